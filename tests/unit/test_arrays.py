"""Array files: rows written in any order are those that NumPy finds, and reading them takes the room of one."""

import subprocess
import sys

import numpy as np
import pytest
from support.stages import ROOT

from pixmend.data import array_files
from pixmend.errors import UserError

SHAPE = (6, 5, 4, 3)
ROWS = np.random.default_rng(1).integers(0, 256, SHAPE, np.uint8)


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "rows.npy"
    array_files.make_array_file(path, SHAPE)
    with array_files.open_row_writer(path) as write:
        for number in (3, 0, 5, 1, 4, 2):
            write(number, ROWS[number])
    return path


def test_rows_written_in_any_order_are_the_arrays(stored):
    np.testing.assert_array_equal(np.load(stored), ROWS)
    found = array_files.ArrayFile(stored)
    assert found.shape == SHAPE and len(found) == 6
    np.testing.assert_array_equal(np.stack(list(found)), ROWS)
    np.testing.assert_array_equal(found[np.int64(4)], ROWS[4])
    for outside in (6, -1):
        with pytest.raises(IndexError):
            found[outside]


def test_rows_can_be_numbered_along_two_axes(stored):
    np.testing.assert_array_equal(np.stack(list(array_files.ArrayFile(stored, axes=2))), ROWS.reshape(30, 4, 3))


def test_a_file_cut_off_after_it_was_opened_is_told(stored):
    found = array_files.ArrayFile(stored)
    stored.write_bytes(stored.read_bytes()[:-1])
    np.testing.assert_array_equal(found[4], ROWS[4])
    with pytest.raises(UserError, match=r"rows\.npy"):
        found[5]


READS_ALL = """
import resource, sys
from pixmend.data.array_files import ArrayFile
def held():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows, before = ArrayFile(sys.argv[1]), held()
print(len([None for _ in rows]), held() - before)
"""


def test_reading_64_megabytes_a_row_at_a_time_holds_a_tenth_of_them_at_most(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.ones((64, 1 << 20), np.uint8))
    printed = subprocess.run([sys.executable, "-c", READS_ALL, path], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    read, kilobytes = map(int, printed.split())
    assert read == 64 and kilobytes < 6400
