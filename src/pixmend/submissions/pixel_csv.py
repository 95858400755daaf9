"""Submissions as a table with a row for each channel of each missing pixel, values in 0..1.

An id is `{image}_{row}_{column}`, of a colour image `{image}_{row}_{column}_{channel}` with channel 0 for red.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixmend.config import Settings
from pixmend.data.image_record import ImageRecord
from pixmend.submissions import csv_format, csv_reader
from pixmend.submissions.submission_format import CsvFormat


@dataclass(frozen=True, kw_only=True)
class PixelCsv(CsvFormat):
    """A CSV file by image, row, column and channel."""

    header: tuple[str, str] = ("pixel", "value")

    def encode_image(self, image: ImageRecord, values: np.ndarray, settings: Settings, ending: bytes) -> Iterator[bytes]:
        pieces = csv_format.list_pixel_pieces(image.counts(settings.shape) > 0, values.shape[1])
        yield csv_format.encode_rows(image.id, pieces, values, ending)

    def read(self, path: Path, images: Sequence[ImageRecord], settings: Settings) -> Iterator[np.ndarray]:
        pieces = (csv_format.list_pixel_pieces(image.counts(settings.shape) > 0, settings.shape[2]) for image in images)
        ids = ([csv_format.list_ids(image.id, of_image)] for image, of_image in zip(images, pieces, strict=True))
        for values in csv_reader.read_values_by_image(path, ids):
            yield values.reshape(-1, settings.shape[2])
