"""Submissions as a table with a row for each channel of each missing pixel, values in 0..1.

An id is `{image}_{row}_{column}`, of a colour image `{image}_{row}_{column}_{channel}` with channel 0 for red.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pixmend.config import Settings
from pixmend.data.image_record import ImageRecord
from pixmend.submissions import csv_format
from pixmend.submissions.submission_format import CsvFormat

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class PixelCsv(CsvFormat):
    """A CSV file by image, row, column and channel."""

    header: tuple[str, str] = ("pixel", "value")

    def encode_image(self, image: ImageRecord, values: np.ndarray, settings: Settings, ending: bytes) -> Iterator[bytes]:
        pieces = csv_format.list_pixel_pieces(image.counts(settings.shape) > 0, values.shape[1])
        yield csv_format.encode_rows(image.id, pieces, values, ending)

    def list_image_ids(self, image: ImageRecord, settings: Settings) -> Iterator[pa.RecordBatch]:
        pieces = csv_format.list_pixel_pieces(image.counts(settings.shape) > 0, settings.shape[2])
        yield csv_format.list_ids(image.id, pieces)

    def gather_values(self, image: ImageRecord, values: np.ndarray, settings: Settings) -> np.ndarray:
        return values.reshape(-1, settings.shape[2])
