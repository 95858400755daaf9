"""Submissions of the competition photo-reconstruction: a table with a row for each channel of each pixel of each box.

An id is `{image}_box{1|2}_{row}_{column}_{channel}`; a pixel in two boxes has rows in both. The header and the order of the
rows are those of sample_submission.csv. Which channel is 0 and how values are scaled is not documented, so both are settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pixmend import files
from pixmend.config import Settings, SubmissionSettings
from pixmend.data.damage import Box, slice_box
from pixmend.data.image_record import ImageRecord
from pixmend.errors import DOWNLOAD_AGAIN, UserError
from pixmend.submissions import csv_format, csv_reader
from pixmend.submissions.csv_reader import Kind
from pixmend.submissions.submission_format import CsvFormat
from pixmend.submissions.value_forms import Form, to_form

if TYPE_CHECKING:
    import pyarrow as pa

CHANNELS = 3
HEADER = ("filename_box_pixel", "value")


@dataclass(frozen=True, kw_only=True)
class BoxCsv(CsvFormat):
    """A CSV file by image, box, row, column and channel; images have three channels."""

    header: tuple[str, str] = HEADER

    has_value_settings: ClassVar[bool] = True

    def encode_image(self, image: ImageRecord, values: np.ndarray, settings: Settings, ending: bytes) -> Iterator[bytes]:
        submitted = np.zeros((*settings.shape[:2], CHANNELS), values.dtype)
        submitted[image.counts(settings.shape) > 0] = values
        return encode_rows(image, cut_boxes(submitted, image.boxes), ending)

    def get_form(self, settings: SubmissionSettings) -> Form:
        return Form(settings.channel_order, settings.value_scale)

    def to_submission_values(self, image: np.ndarray, settings: SubmissionSettings) -> np.ndarray:
        """Return an RGB image with its channels ordered, and its values scaled, as the settings say."""
        return to_form(image, self.get_form(settings), image)

    def write(self, path: Path, images: Sequence[ImageRecord], predictions: Iterable[np.ndarray], settings: Settings) -> None:
        """Write a submission one image at a time; one of test images follows the order of the sample."""
        folder = settings.competition_folder / "files"
        header = csv_format.encode_table([self.read_header(folder)])
        order = self.sample_order(folder, images) if all(image.split == "test" for image in images) else None
        boxes = (self._checked_boxes(*pair, settings) for pair in zip(images, predictions, strict=True))
        with files.atomic_write(path) as file:
            file.write(header)
            if order is None:
                for image, values in zip(images, boxes, strict=True):
                    file.writelines(encode_rows(image, values))
            else:
                flat = (np.concatenate([box.ravel() for box in values]) for values in boxes)
                file.writelines(csv_format.encode_reordered_rows(self._sample_rows(folder), order, flat))

    def _checked_boxes(self, image: ImageRecord, prediction: np.ndarray, settings: Settings) -> list[np.ndarray]:
        boxes = cut_boxes(self.to_submission_values(prediction, settings), image.boxes)
        if not all(((box >= 0) & (box <= 1)).all() for box in boxes):
            raise UserError(f"The prediction for {image.id} leaves 0..1; run `pixmend predict --force`.")
        return boxes

    def list_image_ids(self, image: ImageRecord, settings: Settings) -> Iterator[pa.RecordBatch]:
        return list_ids([image])

    def gather_values(self, image: ImageRecord, values: np.ndarray, settings: Settings) -> np.ndarray:
        """Return the values of an image's missing pixels; of a pixel in two boxes, those of its second one."""
        submitted, start = np.zeros(settings.shape), 0
        for box in image.boxes:
            *_, height, width = box
            end = start + height * width * CHANNELS
            submitted[slice_box(box)] = values[start:end].reshape(height, width, CHANNELS)
            start = end
        return submitted[image.counts(settings.shape) > 0]

    def read_header(self, folder: Path) -> list[str]:
        """Return the two column names of the sample, whatever they are; the known ones in another order are refused."""
        path = Path(folder) / self.sample_name
        names = csv_reader.read_header(path, 2, DOWNLOAD_AGAIN)
        if names == list(reversed(HEADER)):
            raise UserError(f"{path}, line 1: the columns are {','.join(names)}, not {','.join(HEADER)}; {DOWNLOAD_AGAIN}.")
        return names

    def check_sample(self, folder: Path, test_images: Mapping[str, Sequence[Box]]) -> None:
        """Refuse a sample of other images or another number of rows; `sample_order` compares every id, which takes longer."""
        path = Path(folder) / self.sample_name
        self.read_header(folder)
        expected = sum(height * width for boxes in test_images.values() for *_, height, width in boxes) * CHANNELS
        for rows in islice(self._sample_rows(folder), 1):
            first = rows.column(0)[0].as_py().decode(errors="replace")
            if first.rpartition("_box")[0] not in test_images:
                raise UserError(f"{path}: its first id, {first!r}, is of no test image; {DOWNLOAD_AGAIN}.")
        if csv_reader.count_lines(path) - 1 != expected:   # which counts blank lines, too
            found = sum(rows.num_rows for rows in self._sample_rows(folder))
            if found != expected:
                raise UserError(f"{path} has {found} rows, and the test images' boxes {expected}; {DOWNLOAD_AGAIN}.")

    def sample_order(self, folder: Path, images: Sequence[ImageRecord]) -> np.ndarray | None:
        """Return for each row of the sample the images' row with the same id; None where both have one order."""
        path = Path(folder) / self.sample_name
        if is_uniform(path, images) or csv_reader.find_first_difference(list_ids(images), self._sample_rows(folder)) is None:
            return None
        wanted, given = csv_reader.hash_table_ids(self._sample_rows(folder)), csv_reader.hash_table_ids(list_ids(images))
        try:
            return csv_reader.match_ids(wanted, given)
        except csv_reader.IdMismatch as mismatch:
            if mismatch.table == "given":
                missing = csv_reader.get_id(list_ids(images), mismatch.row)
                raise UserError(f"{path} lacks the id {missing!r} of a box in masked_info.csv; {DOWNLOAD_AGAIN}.") from None
            line, fields = csv_reader.read_row(path, mismatch.row, DOWNLOAD_AGAIN) or (mismatch.row, [""])
            how = "occurs a second time" if mismatch.fault == "twice" else "belongs to no box in masked_info.csv"
            raise UserError(f"{path}, line {line}: the id {fields[0]!r} {how}; {DOWNLOAD_AGAIN}.") from None

    def _sample_rows(self, folder: Path) -> Iterator[pa.RecordBatch]:
        return csv_reader.read_table(Path(folder) / self.sample_name, (Kind.TEXT, Kind.TEXT), DOWNLOAD_AGAIN)


def cut_boxes(image: np.ndarray, boxes: Sequence[Box]) -> list[np.ndarray]:
    """Return the pixels of each box, float32, height x width x channels."""
    return [image[slice_box(box)].astype(np.float32) for box in boxes]


def encode_rows(image: ImageRecord, values: Sequence[np.ndarray], ending: bytes = b"\n") -> Iterator[bytes]:
    """Yield the rows of each box of an image."""
    for pieces, box_values in zip(list_pieces([image]), values, strict=True):
        yield csv_format.encode_rows(*pieces, box_values, ending)


def list_pieces(images: Iterable[ImageRecord]) -> Iterator[tuple[str, list[csv_format.Piece]]]:
    """Yield for each box the image's id, and what follows it in the ids of the rows."""
    return ((image.id, csv_format.list_box_pieces(number, box, CHANNELS))
            for image in images for number, box in enumerate(image.boxes, 1))


def list_ids(images: Iterable[ImageRecord]) -> Iterator[pa.RecordBatch]:
    """Yield the ids of each box."""
    return (csv_format.list_ids(*pieces) for pieces in list_pieces(images))


def is_uniform(sample: Path, images: Sequence[ImageRecord]) -> bool:
    """Whether a sample has these ids in this order and one value for all, as Kaggle's has: then its bytes are known."""
    with open(sample, "rb") as file:
        first_row = len(file.readline())
        ending = b"," + file.readline().rpartition(b",")[2]
        file.seek(first_row)
        expected = (csv_format.encode_fields(*pieces, ending) for pieces in list_pieces(images))
        return all(file.read(len(text)) == text for text in expected) and not file.read(1)
