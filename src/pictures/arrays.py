"""Array files of bytes, made with all their room on the disk, then written row by row, by several processes at once."""

import contextlib
import math

import numpy as np

from src import files


def make(path, shape):
    """A full disk is known now and not in the middle."""
    np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    files.reserve(path)


@contextlib.contextmanager
def rows_of(path):
    """What writes a row, given its number: in one call, which takes a fifth of the time that a mapped file's pages do."""
    array = np.load(path, mmap_mode="r")
    first, size = array.offset, math.prod(array.shape[1:])
    with open(path, "r+b") as file:
        def write(number, row):
            file.seek(first + number * size)
            file.write(np.ascontiguousarray(row, np.uint8).data)
        yield write
