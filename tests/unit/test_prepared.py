"""The index and the predictions on disk: read as the csv module and NumPy read them, damage reported, whatever the names."""

import csv

import numpy as np
import pytest

from pixmend.data import augmentation
from pixmend.data.dataset import DatasetRow, read_index, write_index
from pixmend.errors import UserError
from pixmend.submissions import predictions

NAMES = ("a (1).jpeg", 'b,"c" ü', "two\nlines", "")


@pytest.fixture
def index(tmp_path):
    splits = ("train", "holdout", "test", "fold-2", "fold-10")
    rows = [DatasetRow(NAMES[n % 4], NAMES[n % 3], ("", "Cat")[n % 2], n % 8, splits[n % 5], n, n * 10**9 if n % 3 else -1)
            for n in range(50)]
    write_index(tmp_path / "index.csv", rows)
    return tmp_path / "index.csv", rows


def test_rows_are_those_that_a_plain_reader_finds(index):
    path, rows = index
    with open(path, newline="", encoding="utf-8") as file:
        plain = [DatasetRow(r["id"], r["source"], r["class"], augmentation.TRANSFORM_NAMES.index(r["variant"]), r["split"],
                            int(r["damaged"]), int(r["whole"])) for r in csv.DictReader(file)]
    found = read_index(path)
    assert list(found) == plain == rows
    assert list(found[40:3:-7]) == rows[40:3:-7] and found[-1] == rows[-1] and len(found[10:]) == 40
    with pytest.raises(IndexError):
        found[50]


@pytest.fixture
def painted(tmp_path):
    rng = np.random.default_rng(1)
    pictures, masks = rng.random((5, 8, 8, 3), np.float32), rng.random((5, 8, 8)) < 0.5
    named_masks = ((str(number), mask) for number, mask in enumerate(masks))
    predictions.write_predictions(tmp_path / "test.npz", iter(pictures), named_masks, {"set": 1})
    return tmp_path / "test.npz", pictures, masks


def test_predictions_are_what_numpy_would_have_written_of_all_at_once(painted, tmp_path):
    path, pictures, masks = painted
    values = [picture[mask] for picture, mask in zip(pictures, masks, strict=True)]
    np.savez(tmp_path / "plain.npz", facts=np.frombuffer(b'{"set": 1}', np.uint8), ids=np.array(list("01234")),
             starts=np.cumsum([0, *map(len, values)]), values=np.concatenate(values))
    assert path.read_bytes() == (tmp_path / "plain.npz").read_bytes()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["plain.npz", "test.npz"]
    mended = predictions.PredictionFile(path).read_image("3", np.zeros((8, 8, 3)), masks[3])
    assert np.array_equal(mended, pictures[3] * masks[3][..., None])


def test_one_wrong_bit_among_the_values_is_told(painted):
    path, _, _ = painted
    data = bytearray(path.read_bytes())
    data[-2000] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"is damaged .* --force"):
        predictions.PredictionFile(path)


def test_where_nothing_is_missing_nothing_is_kept_and_the_pictures_are_as_they_were(tmp_path):
    """As where a network has found no mask in any picture."""
    known = np.full((8, 8, 3), 0.25, np.float32)
    mask = np.zeros((8, 8), bool)
    predictions.write_predictions(tmp_path / "test.npz", iter([known + 0.5] * 2), ((name, mask) for name in "ab"), {"set": {}})
    np.testing.assert_array_equal(predictions.PredictionFile(tmp_path / "test.npz").read_image("b", known, mask), known)
