"""Predictions on disk, holdout.npz and test.npz of a run: the values of every missing pixel of every image; and their means.

ids       text, in the order of the dataset
starts    int64 (images + 1): where the values of each image begin
values    (missing pixels of all images, channels), as predicted: float32 in 0..1, or uint8 for predicted masks
facts     uint8, JSON: what the predictions were made from

The values lie uncompressed in the file, so that those of one image are read alone. data/paste.py puts them into an image.
"""

import contextlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixmend.data import dataset
from pixmend.data.dataset import Dataset, DatasetRow
from pixmend.data.paste import paste_values
from pixmend.errors import UserError
from pixmend.files import CHUNK, atomic_write, explain_damage
from pixmend.progress import track
from pixmend.setting_values import format_folder_command

LOCAL_HEADER = 30   # bytes before a member's name in a zip archive; the last four are two lengths: of the name and of extras


def write_predictions(path: Path, images: Iterable[np.ndarray], masks: Iterable[tuple[str, np.ndarray]],
                      metadata: Mapping[str, Any]) -> None:
    """Write what lies in the mask of each predicted image, height x width x channels; `masks` are (id, mask) of each."""
    ids, sizes = [], []
    with atomic_write(path, "w+b") as file, tempfile.TemporaryFile(dir=Path(path).parent) as storage:
        for image, (id, mask) in zip(images, masks, strict=True):
            values = image[mask]
            storage.write(values.tobytes())   # those of a whole training set may not fit into memory
            ids.append(id)
            sizes.append(len(values))
        np.savez(file, facts=np.frombuffer(json.dumps(metadata).encode(), np.uint8), ids=np.array(ids, dtype=str),
                 starts=np.cumsum([0, *sizes]))
        storage.seek(0)
        with zipfile.ZipFile(file, "a") as archive, archive.open("values.npy", "w", force_zip64=True) as member:
            header = np.lib.format.header_data_from_array_1_0(values) | {"shape": (sum(sizes), *values.shape[1:])}
            np.lib.format.write_array_header_1_0(member, header)
            shutil.copyfileobj(storage, member, CHUNK)


@contextlib.contextmanager
def open_predictions(path: Path) -> Iterator[Any]:
    """Open the archive; a missing or damaged one is a UserError."""
    if not path.exists():
        raise UserError(f"There are no predictions in {path}. Make them first: {format_command(path)}.")
    with explain_damage(path, f"Predict again: {format_command(path)} --force."), np.load(path, allow_pickle=False) as archive:
        yield archive


def format_command(path: Path) -> str:
    """Return the command that makes a run's predictions."""
    return format_folder_command("predict", Path(path).parent)


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what the predictions were made from; files of the first edition also name the augmentation, which is left out."""
    with open_predictions(path) as archive:
        metadata = json.loads(archive["facts"].tobytes())
        return metadata | {"set": dataset.holdout_cache_key(metadata["set"])}


def read_values(path: Path) -> Iterator[np.ndarray]:
    """Yield the values of each image, (missing pixels, channels), one image in memory at a time."""
    file = PredictionFile(path)
    for number in range(len(file.starts) - 1):
        yield file.read_values(number)


def read_images(path: Path, ready: Dataset, rows: Sequence[DatasetRow]) -> Iterator[np.ndarray]:
    """Yield the predicted image of each row of the dataset, known pixels unchanged, one in memory at a time."""
    for row, values in zip(rows, read_values(path), strict=True):
        yield paste_values(ready.read_damaged(row) / np.float32(255), ready.read_counts(row) > 0, values)


def check_same_dataset(path: Path, ready: Dataset) -> None:
    """Refuse predictions of another dataset, or in other masks."""
    if read_metadata(path)["set"] != ready.cache_key:
        raise UserError(f"{path} holds predictions of another dataset or holdout, or in other masks. Predict again: "
                        f"{format_command(path)}, then serialize and score.")


def read_together(rows: Sequence[DatasetRow], paths: Iterable[Path], label: str) -> Iterator[tuple[DatasetRow, np.ndarray]]:
    """Yield each row with the values of its missing pixels in every file: float32 in 0..1, (files, pixels, channels)."""
    for row, values in zip(track(rows, label), zip(*map(read_values, paths), strict=True), strict=True):
        yield row, np.stack(values)


def average_predictions(dataset: Dataset, rows: Sequence[DatasetRow], paths: Iterable[Path],
                        weights: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the restored image of each row: the mean of the files' values under the row's weights, one weight for each file."""
    for (row, values), row_weights in zip(read_together(rows, paths, "average predictions"), weights, strict=False):
        mean = np.tensordot(row_weights, values, 1)
        yield paste_values(dataset.read_damaged(row) / np.float32(255), dataset.read_counts(row) > 0, mean)


class PredictionFile:
    """The predictions of a run by image id; the values stay on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_predictions(path) as archive:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed with its last reader)
            self.starts, ids = archive["starts"], archive["ids"].tolist()
            self.positions = {id: i for i, id in enumerate(ids)}
            with archive.zip.open("values.npy") as member:
                np.lib.format.read_magic(member)
                (count, self.channels), in_columns, self.dtype = np.lib.format.read_array_header_1_0(member)
                array_header = member.tell()
                while member.read(CHUNK):   # to the end, where the checksum is tested
                    pass
            is_ordered = self.starts.dtype.kind == "i" and bool((np.diff(self.starts) >= 0).all())
            if not is_ordered or len(self.starts) != len(ids) + 1 or self.starts[[0, -1]].tolist() != [0, count]:
                raise ValueError("starts")
            info = archive.zip.getinfo("values.npy")
            if in_columns or info.compress_type != zipfile.ZIP_STORED:
                raise ValueError("values")
            lengths = np.frombuffer(os.pread(self._file.fileno(), LOCAL_HEADER, info.header_offset)[-4:], "<u2")
        self.offset = info.header_offset + LOCAL_HEADER + int(lengths.sum()) + array_header

    def read_image(self, id: str, known: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return a whole image: `known` where the mask is False, the predicted values where it is True."""
        if id not in self.positions:
            raise UserError(f"{self.path} has no prediction for {id}. Predict again: {format_command(self.path)} --force.")
        return paste_values(known, mask, self.read_values(self.positions[id]))

    def read_values(self, number: int) -> np.ndarray:
        """Return the values of an image, (missing pixels, channels); numbers that cannot be predictions are refused."""
        begin, end = self.channels * self.dtype.itemsize * self.starts[number:number + 2]
        values = np.frombuffer(os.pread(self._file.fileno(), end - begin, self.offset + begin), self.dtype)
        if values.dtype.kind == "f" and not ((values >= 0) & (values <= 1)).all():
            raise UserError(f"{self.path} has values that are not in 0..1. Predict again: {format_command(self.path)} --force.")
        return values.reshape(-1, self.channels)
