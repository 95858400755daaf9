"""The Kaggle competition photo-reconstruction: four classes of animals, two black squares in each image, RMSE.

Its archive:

sample_submission.csv                                every id to be submitted
Dataset/Training_Data/{class}/Masked_Train           damaged images and masked_info.csv, which says where the squares begin
Dataset/Training_Data/{class}/Unmasked_Train         the original images, with the same file names
Dataset/Testing_Data                                 damaged images and masked_info.csv
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np

from pixmend.competitions.base import Competition, Shape
from pixmend.config import DownloadSettings
from pixmend.data.damage import Box, count_boxes, draw_two_boxes
from pixmend.data.image_record import ImageRecord
from pixmend.data.photos import ENDINGS
from pixmend.errors import DOWNLOAD_AGAIN, UserError
from pixmend.submissions.box_csv import BoxCsv
from pixmend.submissions.csv_reader import read_lines

TRAIN, TEST = "Dataset/Training_Data", "Dataset/Testing_Data"
DAMAGED, ORIGINAL = "Masked_Train", "Unmasked_Train"
TABLE, NAME_COLUMN, CORNER_COLUMNS = "masked_info.csv", "filename", ("box1_row", "box1_col", "box2_row", "box2_col")
WHOLE_NUMBER = re.compile(r"\d{1,9}(\.0*)?", re.ASCII)
SUBMISSION = BoxCsv()


class PhotoReconstruction(Competition):
    """Two black squares, which may overlap; a pixel in both is submitted and scored twice."""

    def read_images(self, folder: Path, shape: Shape) -> list[ImageRecord]:
        """List the training images, class by class in the order of their tables, then the test images."""
        classes = sorted(path for path in list_folder(folder / TRAIN) if path.is_dir() and not path.name.startswith("."))
        if not classes:
            raise UserError(f"{folder / TRAIN} holds no class folders; {DOWNLOAD_AGAIN}.")
        train = {path.name: read_table(path / DAMAGED / TABLE, shape, path / DAMAGED, path / ORIGINAL) for path in classes}
        test = self.read_test_images(folder, shape)
        SUBMISSION.check_sample(folder, {record.id: record.boxes for record in test})
        uses = Counter([*(name for boxes in train.values() for name in boxes), *(record.id for record in test)])
        images = []
        for path in classes:
            for name, boxes in train[path.name].items():
                id = name if uses[name] == 1 else f"{path.name}/{name}"
                damaged, original = (str(path / folder_name / name) for folder_name in (DAMAGED, ORIGINAL))
                images.append(ImageRecord(id, path.name, source=id, split="train", damaged=damaged, original=original,
                                          boxes=boxes))
        return [*images, *test]

    def read_test_images(self, folder: Path, shape: Shape) -> list[ImageRecord]:
        """List the images of the test table."""
        boxes_by_name = read_table(folder / TEST / TABLE, shape, folder / TEST)
        return [ImageRecord(name, label="", source=name, split="test", damaged=str(folder / TEST / name), original=None,
                            boxes=boxes)
                for name, boxes in boxes_by_name.items()]

    def draw_mask(self, rng: np.random.Generator, shape: Shape, settings: DownloadSettings) -> np.ndarray:
        return count_boxes(draw_two_boxes(rng, shape, get_box_side(shape)), shape)


def get_box_side(shape: Shape) -> int:
    """Return 75 pixels for an image of 256, and in that proportion for others."""
    return round(75 * shape[0] / 256)


def list_folder(folder: Path) -> list[Path]:
    """Return the paths in a folder; a missing one is a UserError."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} is missing; {DOWNLOAD_AGAIN}.") from None


def read_table(path: Path, shape: Shape, *folders: Path) -> dict[str, tuple[Box, Box]]:
    """Return the boxes by file name as a masked_info.csv lists them; each folder must hold exactly these images."""
    images: dict[str, tuple[Box, Box]] = {}
    lines: dict[str, tuple[int, str]] = {}
    with read_lines(path, DOWNLOAD_AGAIN) as table:
        _, header = next(table, (1, []))
        names = [text.removeprefix("\ufeff") for text in header]   # without a byte order mark
        for name in (NAME_COLUMN, *CORNER_COLUMNS):
            if name not in names:
                raise UserError(f"{path} has no column {name}, only {','.join(names)[:80]!r}; {DOWNLOAD_AGAIN}.")
        columns = [names.index(name) for name in (NAME_COLUMN, *CORNER_COLUMNS)]
        for line, fields in table:
            if len(fields) != len(header):
                raise UserError(f"{path}, line {line}: {len(fields)} fields where {len(header)} are wanted; {DOWNLOAD_AGAIN}.")
            name, *corners = (fields[column] for column in columns)
            check_name(path, line, name, lines)
            images[name] = parse_boxes(path, line, corners, shape)
    for folder in folders:
        check_files(folder, images, path)
    return images


def check_name(path: Path, line: int, name: str, lines: dict[str, tuple[int, str]]) -> None:
    """Refuse a name that was listed before, or that some file systems do not tell from another; note it in `lines`."""
    if any(c < " " for c in name) or "/" in name:
        raise UserError(f"{path}, line {line}: {name!r} is no file name; {DOWNLOAD_AGAIN}.")
    earlier_line, earlier = lines.setdefault(unicodedata.normalize("NFC", name).casefold(), (line, name))
    if earlier != name:
        raise UserError(f"{path}, line {line}: {name} and {earlier} (line {earlier_line}) differ only in case; {DOWNLOAD_AGAIN}.")
    if earlier_line != line:
        raise UserError(f"{path}, line {line}: {name} stands in line {earlier_line} already; {DOWNLOAD_AGAIN}.")


def parse_boxes(path: Path, line: int, corners: list[str], shape: Shape) -> tuple[Box, Box]:
    """Return the two boxes of a row of the table."""
    side, texts = get_box_side(shape), [text.strip() for text in corners]
    for name, text in zip(CORNER_COLUMNS, texts, strict=True):
        if not WHOLE_NUMBER.fullmatch(text):
            raise UserError(f"{path}, line {line}: {name} is {text!r}, not a whole number from 0 on; {DOWNLOAD_AGAIN}.")
    row1, column1, row2, column2 = (int(text.split(".")[0]) for text in texts)
    if max(row1, row2) + side > shape[0] or max(column1, column2) + side > shape[1]:
        raise UserError(f"{path}, line {line}: a box of {side} pixels at ({row1}, {column1}) or ({row2}, {column2}) leaves the "
                        f"image of {shape[1]}x{shape[0]}; set --size to the competition's own, or {DOWNLOAD_AGAIN}.")
    return (row1, column1, side, side), (row2, column2, side, side)


def check_files(folder: Path, names: Collection[str], table: Path) -> None:
    """Refuse a folder unless each listed image has a file, and each image file is listed."""
    present = {path.name for path in list_folder(folder)}
    for name in names:
        if name not in present:
            near = next((f"; there is {p}" for p in sorted(present) if p.casefold() == name.casefold()), "")
            raise UserError(f"{table} lists {name}, which {folder} does not hold{near}; {DOWNLOAD_AGAIN}.")
    for name in sorted(present.difference(names)):
        if name.lower().endswith(ENDINGS) and not name.startswith("."):
            raise UserError(f"{folder / name} has no row in {table}; {DOWNLOAD_AGAIN}, or remove the image and continue with "
                            "`pixmend augment` (`pixmend download` would bring it back).")


PHOTO_RECONSTRUCTION = PhotoReconstruction(slug="photo-reconstruction", submission=SUBMISSION)
