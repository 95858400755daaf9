"""Predictions on disk, holdout.npz and test.npz of a run: the values of every missing pixel of every image.

ids       text, in the order of the dataset
starts    int64 (images + 1): where the values of each image begin
values    (missing pixels of all images, channels), as predicted: float32 in 0..1, or uint8 for predicted masks
facts     uint8, JSON: what the predictions were made from

The values lie uncompressed in the file, so that those of one image are read alone. See data/paste.py for how they go into an image.
"""

import contextlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from pixmend.data import dataset
from pixmend.data.dataset import Dataset, DatasetRow
from pixmend.data.paste import paste_values
from pixmend.errors import UserError
from pixmend.files import CHUNK, atomic_write

LOCAL_HEADER = 30   # bytes before a member's name in a zip archive; the last four are two lengths: of the name and of extras


def write_predictions(path: Path, images: Iterable[np.ndarray], masks: Iterable[tuple[str, np.ndarray]],
                      metadata: Mapping[str, Any]) -> None:
    """Write what lies in the mask of each predicted image, height x width x channels; `masks` are (id, mask) of each.

    A temporary file collects the values, since those of a whole training set may not fit into memory.
    """
    ids, sizes = [], []
    with atomic_write(path, "w+b") as file, tempfile.TemporaryFile(dir=Path(path).parent) as storage:
        for image, (id, mask) in zip(images, masks, strict=True):
            values = image[mask]
            storage.write(values.tobytes())
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
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except FileNotFoundError:
        raise UserError(f"There are no predictions in {path}. Make them first: pixmend predict --run {Path(path).parent.name}.") from None
    except Exception as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}). Predict again: "
                        f"pixmend predict --run {Path(path).parent.name} --force.") from None


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what the predictions were made from; files of the first edition also name the augmentation, which is left out."""
    with open_predictions(path) as archive:
        metadata = json.loads(archive["facts"].tobytes())
    return metadata | {"set": dataset.holdout_cache_key(metadata["set"])}


def read_values(path: Path) -> Iterator[np.ndarray]:
    """Yield the values of each image, (missing pixels, channels), one image in memory at a time."""
    with open_predictions(path) as archive, archive.zip.open("values.npy") as file:
        (_, channels), dtype = read_array_header(file)
        for size in np.diff(archive["starts"]).tolist():
            yield np.frombuffer(file.read(size * channels * dtype.itemsize), dtype).reshape(size, channels)


def read_images(path: Path, ready: Dataset, rows: Sequence[DatasetRow]) -> Iterator[np.ndarray]:
    """Yield the predicted image of each row of the dataset, known pixels unchanged, one in memory at a time."""
    for row, values in zip(rows, read_values(path), strict=True):
        yield paste_values(ready.damaged(row) / np.float32(255), ready.hole(row) > 0, values)


def check_same_dataset(path: Path, ready: Dataset) -> None:
    """Refuse predictions of another dataset, or in other masks."""
    if read_metadata(path)["set"] != ready.made_from:
        raise UserError(f"{path} holds predictions of another dataset, or in other masks. Predict again: "
                        f"pixmend predict --run {Path(path).parent.name}, then serialize and score.")


def read_array_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Return the shape and the dtype of an array file, which is then at its first number."""
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, dtype


class PredictionFile:
    """The predictions of a run by image id; the values stay on disk."""

    def __init__(self, path: Path) -> None:
        with open_predictions(path) as archive:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed with its last reader)
            self.starts = archive["starts"]
            self.channels, self.dtype, self.offset = locate_values(path, archive.zip)
            self.positions = {id: i for i, id in enumerate(archive["ids"].tolist())}

    def read_image(self, id: str, known: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return a whole image: `known` where the mask is False, the predicted values where it is True."""
        if id not in self.positions:
            path = Path(self._file.name)
            raise UserError(f"{path} has no prediction for {id}. Predict again: pixmend predict --run {path.parent.name} --force.")
        i = self.positions[id]
        begin, end = self.channels * self.dtype.itemsize * self.starts[i:i + 2]
        values = np.frombuffer(os.pread(self._file.fileno(), end - begin, self.offset + begin), self.dtype)
        return paste_values(known, mask, values.reshape(-1, self.channels))


def locate_values(path: Path, archive: zipfile.ZipFile) -> tuple[int, np.dtype, int]:
    """Return channels, dtype and position in the file of the values, after reading all of them, which tests their checksum."""
    with archive.open("values.npy") as member:
        (_, channels), dtype = read_array_header(member)
        begin = member.tell()
        while member.read(CHUNK):
            pass
    header = archive.getinfo("values.npy").header_offset
    with open(path, "rb") as file:
        file.seek(header)
        name_and_extra = np.frombuffer(file.read(LOCAL_HEADER)[-4:], "<u2")
    return channels, dtype, header + LOCAL_HEADER + int(name_and_extra.sum()) + begin
