"""The stand-in of the competition in memory: images decoded and filled by all cores, near duplicates kept in one split.

A `Split` is train, holdout or test. Its images are (count, 256, 256, 3) uint8 RGB. `corners` is (count, 2, 2) int, the row and
column of each box; the box side is 75 at 256. The originals of test images come from the folder truth/.
"""

import csv
import io
import zipfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from pixmend.data.near_duplicates import find_near_duplicates, hash_image, join_sources
from pixmend.data.splits import choose_holdout
from pixmend.fills.harmonic import fill_harmonic
from pixmend.fills.smooth import fill_smooth

ARCHIVE, ORIGINALS, TABLE = "photo-reconstruction.zip", "truth", "masked_info.csv"
TRAINING, TESTING = "Dataset/Training_Data/", "Dataset/Testing_Data/"
HOLDOUT_SHARE, SPLIT_SEED = 0.1, 1   # the defaults of the augment stage
CORNERS = ("box1_row", "box1_col", "box2_row", "box2_col")
SPLITS = ("train", "holdout", "test")
CHUNK = 32   # images that a process decodes at a time


@dataclass
class Split:
    """The images of a split: as given, without damage, and with the smooth fill."""

    names: list[str]
    damaged: np.ndarray
    original: np.ndarray
    corners: np.ndarray
    smooth: np.ndarray

    @property
    def side(self) -> int:
        return get_box_side(self.damaged.shape[1])

    def compute_counts(self) -> np.ndarray:
        """Return how many rows of a submission ask for each pixel: (count, size, size) uint8."""
        counts = np.zeros(self.damaged.shape[:3], np.uint8)
        for image_counts, corners in zip(counts, self.corners, strict=True):
            for row, column in corners:
                image_counts[row:row + self.side, column:column + self.side] += 1
        return counts


class Record(NamedTuple):
    """One image in the archive; a test image has no label."""

    label: str
    id: str
    name: str
    corners: np.ndarray


class DecodedImage(NamedTuple):
    damaged: np.ndarray
    original: np.ndarray
    smooth: np.ndarray
    hashes: tuple[np.uint64, np.uint64]   # of the original


def get_box_side(size: int) -> int:
    return round(75 * size / 256)


def prepare_splits(data: Path, cores: int, folder: Path | None = None) -> dict[str, Split]:
    """Return the three splits; with a folder, they are stored there and read again the next time."""
    if folder and (folder / "test.npz").exists():
        return {name: read_split(folder / f"{name}.npz") for name in SPLITS}
    records, images = decode_archive(data, cores)
    splits = make_splits(records, images)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        for name, split in splits.items():
            np.savez(folder / f"{name}.npz", **vars(split))
    return splits


def read_split(path: Path) -> Split:
    with np.load(path) as file:
        return Split(**{name: file[name] for name in file.files})


def decode_archive(data: Path, cores: int) -> tuple[list[Record], list[DecodedImage]]:
    """List and decode all images; test images come last."""
    with zipfile.ZipFile(data / ARCHIVE) as archive:
        records = list_records(archive)
    chunks = [records[start:start + CHUNK] for start in range(0, len(records), CHUNK)]
    with get_context("spawn").Pool(cores) as pool:
        decoded = pool.map(partial(decode_chunk, data), chunks, chunksize=1)
    return records, [image for chunk in decoded for image in chunk]


def list_records(archive: zipfile.ZipFile) -> list[Record]:
    """List the images as competitions/photo_reconstruction.py does: class by class, in the order of their tables."""
    labels = sorted({name.split("/")[2] for name in archive.namelist() if name.startswith(TRAINING)})
    tables = {label: read_table(archive, f"{TRAINING}{label}/Masked_Train/{TABLE}") for label in labels}
    tables[""] = read_table(archive, TESTING + TABLE)
    uses = Counter(name for table in tables.values() for name, _ in table)
    records = []
    for label, table in tables.items():
        for name, corners in table:
            is_unique = uses[name] == 1 or not label
            records.append(Record(label, name if is_unique else f"{label}/{name}", name, corners))
    return records


def read_table(archive: zipfile.ZipFile, path: str) -> list[tuple[str, np.ndarray]]:
    """Return the name and the box corners, (2, 2), of each image in a table."""
    with io.TextIOWrapper(archive.open(path), "utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    return [(line["filename"], np.array([int(line[name]) for name in CORNERS]).reshape(2, 2)) for line in lines]


def decode_chunk(data: Path, records: list[Record]) -> list[DecodedImage]:
    cv2.setNumThreads(1)
    with zipfile.ZipFile(data / ARCHIVE) as archive:
        return [decode_record(data, archive, record) for record in records]


def decode_record(data: Path, archive: zipfile.ZipFile, record: Record) -> DecodedImage:
    """Decode and fill one image."""
    if record.label:
        folder = f"{TRAINING}{record.label}"
        damaged = decode_rgb(archive.read(f"{folder}/Masked_Train/{record.name}"))
        original = decode_rgb(archive.read(f"{folder}/Unmasked_Train/{record.name}"))
    else:
        damaged = decode_rgb(archive.read(TESTING + record.name))
        original = decode_rgb((data / ORIGINALS / record.name).with_suffix(".png").read_bytes())
    smooth = fill_smooth(damaged / np.float32(255), make_mask(record.corners, len(damaged)))
    return DecodedImage(damaged, original, np.rint(smooth * 255).astype(np.uint8), hash_image(original))


def decode_rgb(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None, "an image of the archive cannot be decoded"
    return image


def make_mask(corners: np.ndarray, size: int) -> np.ndarray:
    mask, side = np.zeros((size, size), bool), get_box_side(size)
    for row, column in corners:
        mask[row:row + side, column:column + side] = True
    return mask


def make_splits(records: list[Record], images: list[DecodedImage]) -> dict[str, Split]:
    """Choose the holdout by whole sources, with near duplicates joined, as the augment stage does."""
    training = [number for number, record in enumerate(records) if record.label]
    pairs = find_near_duplicates(*zip(*(images[number].hashes for number in training), strict=True))
    sources = join_sources([records[number].id for number in training], pairs)
    holdout = choose_holdout(sources, [records[number].label for number in training], HOLDOUT_SHARE, SPLIT_SEED)
    split_names = ["test"] * len(records)
    for number, source in zip(training, sources, strict=True):
        split_names[number] = "holdout" if source in holdout else "train"
    return {name: make_split(records, images, [number for number, of_image in enumerate(split_names) if of_image == name])
            for name in SPLITS}


def make_split(records: list[Record], images: list[DecodedImage], numbers: list[int]) -> Split:
    return Split(names=[records[number].id for number in numbers],
                 damaged=np.stack([images[number].damaged for number in numbers]),
                 original=np.stack([images[number].original for number in numbers]),
                 corners=np.stack([records[number].corners for number in numbers]),
                 smooth=np.stack([images[number].smooth for number in numbers]))


def compute_harmonic(split: Split, cores: int) -> np.ndarray:
    """Return the exact harmonic fill of a split, float32 in 0..1."""
    arguments = [(image / np.float32(255), make_mask(corners, len(image)))
                 for image, corners in zip(split.damaged, split.corners, strict=True)]
    with get_context("spawn").Pool(cores) as pool:
        return np.stack(pool.starmap(fill_harmonic, arguments, chunksize=8))
