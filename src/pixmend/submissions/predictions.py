"""Predictions on disk: the float values of every missing pixel of every picture, in holdout.npz and test.npz."""

import contextlib
import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from pixmend.data import dataset
from pixmend.data.paste import paste_values
from pixmend.errors import UserError
from pixmend.files import CHUNK, whole_file

LOCAL_HEADER = 30   # bytes before a member's name in a zip archive; the last four are two lengths: of the name and of extras


def write(path, pictures, masks_and_ids, made_from):
    """Mended pictures, one at a time, with (id, mask) beside them; only what lies in the mask is kept.

    A file without a name gathers the values, since those of a whole training set may not fit into memory.
    """
    ids, sizes = [], []
    with whole_file(path, "w+b") as file, tempfile.TemporaryFile(dir=Path(path).parent) as gathered:
        for picture, (name, mask) in zip(pictures, masks_and_ids, strict=True):
            kept = picture[mask]
            gathered.write(kept.tobytes())
            ids.append(name)
            sizes.append(len(kept))
        np.savez(file, facts=np.frombuffer(json.dumps(made_from).encode(), np.uint8), ids=np.array(ids, dtype=str),
                 starts=np.cumsum([0, *sizes]))
        gathered.seek(0)
        with zipfile.ZipFile(file, "a") as archive, archive.open("values.npy", "w", force_zip64=True) as values:
            np.lib.format.write_array_header_1_0(values, np.lib.format.header_data_from_array_1_0(kept) |
                                                 {"shape": (sum(sizes), *kept.shape[1:])})
            shutil.copyfileobj(gathered, values, CHUNK)


@contextlib.contextmanager
def _opened(path):
    """The archive; one that cannot be read is named, with the way to a new one."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `python -m pixmend predict` with the same flags first.") from None
    except Exception as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}); "
                        f"run `python -m pixmend predict --force` with the same flags.") from None


def facts(path):
    """What the predictions were made from; older files speak of the training pictures' variants, too."""
    with _opened(path) as archive:
        told = json.loads(archive["facts"].tobytes())
    return told | {"set": dataset.of_held(told["set"])}


def in_order(path):
    """The values of each picture in the order they were written, one picture in memory at a time."""
    with _opened(path) as archive, archive.zip.open("values.npy") as file:
        (_, channels), kind = _form(file)
        for size in np.diff(archive["starts"]).tolist():
            yield np.frombuffer(file.read(size * channels * kind.itemsize), kind).reshape(size, channels)


def pictures(path, ready, rows):
    """The mended picture of each row, one in memory at a time."""
    for row, values in zip(rows, in_order(path), strict=True):
        yield paste_values(ready.damaged(row) / np.float32(255), ready.hole(row) > 0, values)


def refuse_other_set(path, ready):
    """Predictions must be of this set, and in these masks."""
    if facts(path)["set"] != ready.made_from:
        raise UserError(f"{path} holds predictions of another prepared set, or in other masks; run `python -m pixmend predict`, "
                        "`serialize` and `score` with the same flags again.")


def _form(values):
    """Shape and kind of an array file, which is read up to its first number."""
    np.lib.format.read_magic(values)
    shape, _, kind = np.lib.format.read_array_header_1_0(values)
    return shape, kind


def _first_value(path, archive):
    """Channels, kind and place in the file of the values, once all of them were read, which tests their checksum."""
    with archive.open("values.npy") as values:
        (_, channels), kind = _form(values)
        begin = values.tell()
        while values.read(CHUNK):
            pass
    member = archive.getinfo("values.npy").header_offset
    with open(path, "rb") as file:
        file.seek(member)
        name_and_extra = np.frombuffer(file.read(LOCAL_HEADER)[-4:], "<u2")
    return channels, kind, member + LOCAL_HEADER + int(name_and_extra.sum()) + begin


class Predictions:
    """What a run predicted, by picture id; the values stay on disk."""

    def __init__(self, path):
        with _opened(path) as archive:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed with its last reader)
            self.starts, (self.channels, self.kind, self.first) = archive["starts"], _first_value(path, archive.zip)
            self.place = {name: i for i, name in enumerate(archive["ids"].tolist())}

    def picture(self, name, known, mask):
        """The whole mended picture of an id: known pixels as given, predicted ones in the mask."""
        if name not in self.place:
            raise UserError(f"There is no prediction for {name}; run `python -m pixmend predict` with the same flags again.")
        i = self.place[name]
        begin, end = self.channels * self.kind.itemsize * self.starts[i:i + 2]
        values = np.frombuffer(os.pread(self._file.fileno(), end - begin, self.first + begin), self.kind)
        return paste_values(known, mask, values.reshape(-1, self.channels))
