"""Submissions as a table with a row for each channel of each missing pixel, values in 0..1.

An id is `{image}_{row}_{column}`, of a colour image `{image}_{row}_{column}_{channel}` with channel 0 for red.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np

from pixmend.config import Settings
from pixmend.data.image_record import ImageRecord
from pixmend.submissions import csv_format, csv_reader, csv_scoring
from pixmend.submissions.submission_format import Scores, SubmissionFormat

HEADER = ("pixel", "value")


@dataclass(frozen=True, kw_only=True)
class PixelCsv(SubmissionFormat):
    """A CSV file by image, row, column and channel."""

    suffix: str = ".csv"
    sample_name: str = "sample_submission.csv"

    def encode(self, images: Iterable[ImageRecord], values: Iterable[np.ndarray], settings: Settings,
               is_public: Iterable[bool] | None = None) -> Iterator[bytes]:
        """Yield the header, then the rows of one image at a time."""
        yield csv_format.encode_table([HEADER if is_public is None else (*HEADER, "Usage")])
        endings = repeat(b"\n") if is_public is None else (b",Public\n" if public else b",Private\n" for public in is_public)
        for (image, image_values), ending in zip(zip(images, values, strict=True), endings, strict=False):
            yield csv_format.encode_pixel_rows(image.id, image.counts(settings.shape) > 0, image_values, ending)

    def read(self, path: Path, images: Sequence[ImageRecord], settings: Settings) -> Iterator[np.ndarray]:
        """Yield the values of each image; a file with other rows is refused."""
        channels = settings.shape[2]
        ids = ((number, csv_format.list_pixel_ids(image.id, image.counts(settings.shape) > 0, channels))
               for number, image in enumerate(images))
        for values in csv_reader.read_values_by_image(path, ids):
            yield values.reshape(-1, channels)

    def check(self, path: Path, folder: Path) -> None:
        """Refuse a submission whose header, ids or values differ from what the sample asks for."""
        csv_reader.check_against_sample(path, Path(folder) / self.sample_name)

    def score(self, submission: Path, solution: Path) -> Scores:
        """Return the RMSE over the public, the private and all rows."""
        return csv_scoring.score_csv(submission, solution)
