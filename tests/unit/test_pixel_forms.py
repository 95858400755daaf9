"""The submissions by picture, row and column and those of bytes: written and read back, and one sentence for a broken file."""

import dataclasses
import struct

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sklearn.metrics import root_mean_squared_error

from pixmend.config import Settings
from pixmend.data.image_record import Entry
from pixmend.errors import UserError
from pixmend.submissions.pixel_bytes import PixelBytes, pack, unpack
from pixmend.submissions.pixel_csv import PixelCsv

PIXEL_BYTES, PIXEL_CSV = PixelBytes(), PixelCsv()
GREY = Settings(size=32, channels=1)
COLOUR = dataclasses.replace(GREY, channels=3)


def entries_of(masks):
    return [Entry(f'a, "{n}"', "", "", "test", None, None, drawn=np.uint8(mask)) for n, mask in enumerate(masks)]


def example(settings, seed=1, shares=(0.02, 0.3, 1)):
    rng = np.random.default_rng(seed)
    masks = [rng.random(settings.shape[:2]) < share for share in shares]
    for mask in masks:
        mask[rng.integers(32), rng.integers(32)] = True
    return entries_of(masks), [rng.random(settings.shape, np.float32) for _ in masks], masks


def refusal(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return str(caught.value)


# Bytes

def by_hand(path):
    """The pictures' values as the form's own description says, with struct alone."""
    data = path.read_bytes()
    width, at, pictures = data[0], 1, []
    while at < len(data):
        count, = struct.unpack(">Q", data[at:at + width].rjust(8, b"\0"))
        pictures.append(list(data[at + width:at + width + count + 1]))
        at += width + count + 1
    return pictures


def test_bytes_are_as_described_and_read_back(tmp_path):
    entries, pictures, masks = example(GREY)
    path = tmp_path / "a.bin"
    PIXEL_BYTES.write(path, entries, iter(pictures), GREY)
    wanted = [np.rint(255 * picture[mask].ravel()).astype(int).tolist() for picture, mask in zip(pictures, masks, strict=True)]
    assert by_hand(path) == wanted
    assert path.read_bytes()[0] == 2 and path.stat().st_size == 1 + 3 * 2 + sum(map(len, wanted))
    told = list(PIXEL_BYTES.read(path, entries, GREY))
    assert [values.shape for values in told] == [(len(values), 1) for values in wanted]
    assert all(np.array_equal(255 * values.ravel(), of) for values, of in zip(told, wanted, strict=True))
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(("most", "width"), [(1, 1), (256, 1), (257, 2), (65536, 2), (65537, 3)])
def test_as_few_bytes_for_a_length_as_the_longest_needs(tmp_path, most, width):
    (tmp_path / "a.bin").write_bytes(b"".join(pack([np.zeros(1, np.uint8), np.full(most, 7, np.uint8)])))
    assert (tmp_path / "a.bin").read_bytes()[0] == width
    assert [len(levels) for levels in unpack(tmp_path / "a.bin", "")] == [1, most]


@examples(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=700), min_size=1, max_size=5), st.integers(0, 3))
def test_any_pictures_are_read_back_and_every_cut_is_noticed(tmp_path_factory, pictures, cut):
    path = tmp_path_factory.mktemp("bytes") / "a.bin"
    whole = b"".join(pack([np.frombuffer(levels, np.uint8) for levels in pictures]))
    path.write_bytes(whole)
    assert [levels.tobytes() for levels in unpack(path, "x")] == pictures
    if 0 < cut < len(pictures[-1]) + whole[0]:
        path.write_bytes(whole[:-cut])
        assert "cut off or damaged" in refusal(unpack, path, "do this")


@pytest.mark.parametrize(("change", "reason"), [
    (lambda data: b"", "does not begin with the number of bytes of a length"),
    (lambda data: b"\0" + data[1:], "does not begin with the number of bytes"),
    (lambda data: data[:-1], "is cut off or damaged: image 3 would end at byte"),
    (lambda data: data + b"\0\0\7", "holds 4 images, and"),
    (lambda data: data[:1], "holds 0 images, and"),
    (lambda data: data[:1] + b"\0\0\7" + data[1:], "holds 4 images, and"),
    (lambda data: data[:1] + (int.from_bytes(data[1:3], "big") - 1).to_bytes(2, "big") + data[3:], "a.bin"),
])
def test_broken_bytes_are_told_in_a_sentence(tmp_path, change, reason):
    entries, pictures, _ = example(GREY)
    path = tmp_path / "a.bin"
    PIXEL_BYTES.write(path, entries, pictures, GREY)
    (tmp_path / PIXEL_BYTES.sample_name).write_bytes(path.read_bytes())
    PIXEL_BYTES.check(path, tmp_path)
    path.write_bytes(change(path.read_bytes()))
    for told in (refusal(PIXEL_BYTES.check, path, tmp_path), refusal(list, PIXEL_BYTES.read(path, entries, GREY))):
        assert reason in told and str(path) in told and "serialize --force" in told


def test_bytes_of_another_picture_that_are_missing_or_a_folder(tmp_path):
    entries, pictures, _ = example(GREY)
    PIXEL_BYTES.write(tmp_path / "a.bin", entries, pictures, GREY)
    PIXEL_BYTES.write(tmp_path / PIXEL_BYTES.sample_name, entries[::-1], pictures, GREY)
    assert "a.bin: image 1 has" in refusal(PIXEL_BYTES.check, tmp_path / "a.bin", tmp_path)
    assert "none.bin is missing" in refusal(PIXEL_BYTES.check, tmp_path / "none.bin", tmp_path)
    (tmp_path / "folder.bin").mkdir()
    assert "is a folder" in refusal(PIXEL_BYTES.check, tmp_path / "folder.bin", tmp_path)
    (tmp_path / PIXEL_BYTES.sample_name).unlink()
    assert "download --force" in refusal(PIXEL_BYTES.check, tmp_path / "a.bin", tmp_path)


def test_bytes_are_graded_as_scikit_learn_would(tmp_path):
    entries, pictures, masks = example(GREY)
    truth = [np.random.default_rng(9).random(GREY.shape, np.float32) for _ in pictures]
    for name, of in (("mine", pictures), ("truth", truth)):
        PIXEL_BYTES.write(tmp_path / name, entries, of, GREY)
    one, other = (np.concatenate([np.rint(255 * p[m]).ravel() for p, m in zip(of, masks, strict=True)])
                  for of in (pictures, truth))
    scores = PIXEL_BYTES.score(tmp_path / "mine", tmp_path / "truth")
    assert scores["total"] == scores["public"] == pytest.approx(root_mean_squared_error(one, other) / 255)


# Tables

@pytest.mark.parametrize("settings", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_table_is_by_picture_row_column_and_channel_and_reads_back(tmp_path, settings):
    entries, pictures, masks = example(settings)
    PIXEL_CSV.write(tmp_path / "a.csv", entries, iter(pictures), settings)
    wanted = [("_".join([entry.id, str(row), str(column), *([str(channel)] if settings is COLOUR else [])]),
               picture[row, column, channel])
              for entry, picture, mask in zip(entries, pictures, masks, strict=True)
              for row in range(32) for column in range(32) if mask[row, column] for channel in range(settings.channels)]
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table.columns) == ["pixel", "value"] and table.pixel.tolist() == [id for id, _ in wanted]
    np.testing.assert_allclose(table.value, [value for _, value in wanted], atol=5.1e-7)
    for picture, mask, values in zip(pictures, masks, PIXEL_CSV.read(tmp_path / "a.csv", entries, settings), strict=True):
        np.testing.assert_allclose(values, picture[mask], atol=5.1e-7)


@pytest.mark.parametrize(("change", "reason"), [
    (lambda lines: lines[:-1], "does not hold the rows"),
    (lambda lines: [*lines, lines[-1]], "does not hold the rows"),
    (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], "does not hold the rows"),
    (lambda lines: [*lines[:5], lines[5].rsplit(",", 1)[0] + ",dark", *lines[6:]], "line 6: value is 'dark', not"),
    (lambda lines: lines[1:], "does not hold the rows"),
    (lambda lines: [], "is no header of 2 columns"),
])
def test_broken_tables_are_told_in_a_sentence(tmp_path, change, reason):
    entries, pictures, _ = example(GREY)
    path = tmp_path / "a.csv"
    PIXEL_CSV.write(path, entries, pictures, GREY)
    lines = path.read_text().splitlines()
    path.write_text("".join(line + "\n" for line in change(lines)))
    assert reason in refusal(list, PIXEL_CSV.read(path, entries, GREY))


def test_a_tables_solution_says_which_pictures_are_public(tmp_path):
    entries, pictures, masks = example(COLOUR)
    values = [picture[mask] for picture, mask in zip(pictures, masks, strict=True)]
    (tmp_path / "solution.csv").write_bytes(b"".join(PIXEL_CSV.encode(entries, values, COLOUR, [True, False, False])))
    (tmp_path / PIXEL_CSV.sample_name).write_bytes(b"".join(PIXEL_CSV.encode(entries, [np.zeros_like(of) for of in values], COLOUR)))
    PIXEL_CSV.check(tmp_path / PIXEL_CSV.sample_name, tmp_path)
    scores = PIXEL_CSV.score(tmp_path / PIXEL_CSV.sample_name, tmp_path / "solution.csv")
    for name, of in (("public", values[:1]), ("private", values[1:]), ("total", values)):
        truth = np.concatenate([part.ravel() for part in of])
        assert scores[name] == pytest.approx(root_mean_squared_error(truth, np.zeros_like(truth)), abs=1e-6)
