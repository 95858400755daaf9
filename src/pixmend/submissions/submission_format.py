"""What a competition's submission file looks like: how it is written, read, checked and scored.

Predictions and images are float32 in 0..1, height x width x channels; the values of an image are (missing pixels, channels),
row by row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pixmend import files
from pixmend.config import Settings, SubmissionSettings
from pixmend.data.image_record import ImageRecord
from pixmend.errors import UserError
from pixmend.submissions import csv_format, csv_reader, csv_scoring
from pixmend.submissions.csv_reader import Kind
from pixmend.submissions.csv_scoring import Scores
from pixmend.submissions.value_forms import AS_IN_IMAGES, Form

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class SubmissionFormat(ABC):
    """One file format of submissions; a frozen value without state."""

    suffix: str
    sample_name: str

    has_value_settings: ClassVar[bool] = False   # whether --channel-order and --value-scale change its files

    @abstractmethod
    def encode(self, images: Iterable[ImageRecord], values: Iterable[np.ndarray], settings: Settings,
               is_public: Iterable[bool] | None = None) -> Iterable[bytes]:
        """Return the bytes of a submission with these submitted values, in pieces; with `is_public`, those of a solution."""

    @abstractmethod
    def read(self, path: Path, images: Sequence[ImageRecord], settings: Settings) -> Iterator[np.ndarray]:
        """Yield the values of each image from a submission with these images in this order; refuse any other."""

    def read_any_order(self, path: Path, images: Sequence[ImageRecord], settings: Settings, advice: str) -> Iterator[np.ndarray]:
        """Yield the same of a file that others wrote, whose rows may have another order; `advice` ends the message on a fault."""
        return self.read(path, images, settings)

    def reorder(self, path: Path, sample: Path, advice: str) -> None:  # noqa: B027 (a file without ids stays as it is)
        """Give a submission the order of a sample's rows; a file without ids has one order only."""

    @abstractmethod
    def check(self, path: Path, folder: Path) -> None:
        """Raise a UserError unless a submission agrees with the sample submission in the competition's folder."""

    @abstractmethod
    def score(self, submission: Path, solution: Path) -> Scores:
        """Return the RMSE of a submission, values in 0..1."""

    def get_form(self, settings: SubmissionSettings) -> Form:
        """Return the form of a submission's values; by default that of an image."""
        return AS_IN_IMAGES

    def to_submission_values(self, image: np.ndarray, settings: SubmissionSettings) -> np.ndarray:
        """Return a whole image with its values and channels as a submission holds them; by default unchanged."""
        return image

    def write(self, path: Path, images: Sequence[ImageRecord], predictions: Iterable[np.ndarray], settings: Settings) -> None:
        """Write a submission with the missing pixels of each predicted image, one image in memory at a time."""
        with files.atomic_write(path) as file:
            file.writelines(self.encode(images, self.missing_values(images, predictions, settings), settings))

    def missing_values(self, images: Sequence[ImageRecord], predictions: Iterable[np.ndarray],
                       settings: Settings) -> Iterator[np.ndarray]:
        """Yield the values of each image's missing pixels as they are submitted."""
        for image, prediction in zip(images, predictions, strict=True):
            yield self.to_submission_values(prediction, settings)[image.counts(settings.shape) > 0]


@dataclass(frozen=True, kw_only=True)
class CsvFormat(SubmissionFormat):
    """A CSV file with a row for each value; a solution has a third column, Usage."""

    header: tuple[str, str]
    suffix: str = ".csv"
    sample_name: str = "sample_submission.csv"

    @abstractmethod
    def list_image_ids(self, image: ImageRecord, settings: Settings) -> Iterator[pa.RecordBatch]:
        """Yield the ids of an image's rows, in their order."""

    @abstractmethod
    def gather_values(self, image: ImageRecord, values: np.ndarray, settings: Settings) -> np.ndarray:
        """Return the values of an image's missing pixels, given those of its rows."""

    @abstractmethod
    def encode_image(self, image: ImageRecord, values: np.ndarray, settings: Settings, ending: bytes) -> Iterable[bytes]:
        """Return the rows of an image; `ending` ends each row."""

    def encode(self, images: Iterable[ImageRecord], values: Iterable[np.ndarray], settings: Settings,
               is_public: Iterable[bool] | None = None) -> Iterator[bytes]:
        yield csv_format.encode_table([self.header if is_public is None else (*self.header, "Usage")])
        endings = repeat(b"\n") if is_public is None else (b",Public\n" if public else b",Private\n" for public in is_public)
        for (image, image_values), ending in zip(zip(images, values, strict=True), endings, strict=False):
            yield from self.encode_image(image, image_values, settings, ending)

    def read(self, path: Path, images: Sequence[ImageRecord], settings: Settings) -> Iterator[np.ndarray]:
        ids = (self.list_image_ids(image, settings) for image in images)
        for image, values in zip(images, csv_reader.read_values_by_image(path, ids), strict=True):
            yield self.gather_values(image, values, settings)

    def read_any_order(self, path: Path, images: Sequence[ImageRecord], settings: Settings, advice: str) -> Iterator[np.ndarray]:
        def list_ids() -> Iterator[Iterator[pa.RecordBatch]]:
            return (self.list_image_ids(image, settings) for image in images)

        for image, values in zip(images, csv_reader.read_values_in_any_order(path, list_ids, advice), strict=True):
            yield self.gather_values(image, values, settings)

    def reorder(self, path: Path, sample: Path, advice: str) -> None:
        """Give a submission the order of a sample's rows, which must have the same ids."""
        def read(table: Path) -> Iterator[pa.RecordBatch]:
            return csv_reader.read_table(table, (Kind.TEXT, Kind.TEXT), advice)

        if csv_reader.find_first_difference(read(path), read(sample)) is None:
            return
        ids, values = csv_reader.load_columns(path, (Kind.TEXT, Kind.UNIT), advice)
        try:
            positions = csv_reader.match_ids(ids, csv_reader.hash_table_ids(read(sample)))
        except csv_reader.IdMismatch as mismatch:
            reason = csv_reader.explain_mismatch(sample, mismatch, [read(path)], advice)
            raise UserError(f"{sample}{reason}; {advice}.") from None
        with files.atomic_write(path) as file:
            file.write(csv_format.encode_table([csv_reader.read_header(sample, 2, advice)]))
            file.writelines(csv_format.encode_reordered_rows(read(sample), np.argsort(positions), [values]))

    def check(self, path: Path, folder: Path) -> None:
        csv_reader.check_against_sample(path, Path(folder) / self.sample_name)

    def score(self, submission: Path, solution: Path) -> Scores:
        return csv_scoring.score_csv(submission, solution)
