"""Submissions by pixel, as a table and as bytes: written and read back, and an error for each fault."""

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
from pixmend.data.image_record import ImageRecord
from pixmend.errors import UserError
from pixmend.submissions.pixel_bytes import PixelBytes, pack, unpack
from pixmend.submissions.pixel_csv import PixelCsv

PIXEL_BYTES, PIXEL_CSV = PixelBytes(), PixelCsv()
GREY = Settings(size=32, channels=1)
COLOUR = dataclasses.replace(GREY, channels=3)


def make_records(masks):
    return [ImageRecord(f'a, "{n}"', "", "", "test", None, None, drawn=np.uint8(mask)) for n, mask in enumerate(masks)]


def example(settings, seed=1, shares=(0.02, 0.3, 1)):
    rng = np.random.default_rng(seed)
    masks = [rng.random(settings.shape[:2]) < share for share in shares]
    for mask in masks:
        mask[rng.integers(32), rng.integers(32)] = True
    return make_records(masks), [rng.random(settings.shape, np.float32) for _ in masks], masks


def refusal(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return str(caught.value)


# Bytes

def decode_by_hand(path):
    """Return the values of each image as the format describes them, with struct alone."""
    data = path.read_bytes()
    width, at, images = data[0], 1, []
    while at < len(data):
        count, = struct.unpack(">Q", data[at:at + width].rjust(8, b"\0"))
        images.append(list(data[at + width:at + width + count + 1]))
        at += width + count + 1
    return images


def test_bytes_are_as_described_and_are_read_back(tmp_path):
    records, images, masks = example(GREY)
    path = tmp_path / "a.bin"
    PIXEL_BYTES.write(path, records, iter(images), GREY)
    wanted = [np.rint(255 * image[mask].ravel()).astype(int).tolist() for image, mask in zip(images, masks, strict=True)]
    assert decode_by_hand(path) == wanted
    assert path.read_bytes()[0] == 2 and path.stat().st_size == 1 + 3 * 2 + sum(map(len, wanted))
    found = list(PIXEL_BYTES.read(path, records, GREY))
    assert [values.shape for values in found] == [(len(values), 1) for values in wanted]
    assert all(np.array_equal(255 * values.ravel(), of) for values, of in zip(found, wanted, strict=True))
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(("most", "width"), [(1, 1), (256, 1), (257, 2), (65536, 2), (65537, 3)])
def test_lengths_take_as_few_bytes_as_the_longest_needs(tmp_path, most, width):
    (tmp_path / "a.bin").write_bytes(b"".join(pack([np.zeros(1, np.uint8), np.full(most, 7, np.uint8)])))
    assert (tmp_path / "a.bin").read_bytes()[0] == width
    assert [len(levels) for levels in unpack(tmp_path / "a.bin", "")] == [1, most]


@examples(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=700), min_size=1, max_size=5), st.integers(0, 3))
def test_a_truncated_file_is_noticed(tmp_path_factory, images, cut):
    path = tmp_path_factory.mktemp("bytes") / "a.bin"
    whole = b"".join(pack([np.frombuffer(levels, np.uint8) for levels in images]))
    path.write_bytes(whole)
    assert [levels.tobytes() for levels in unpack(path, "x")] == images
    if 0 < cut < len(images[-1]) + whole[0]:
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
def test_faults_of_a_binary_file_are_errors(tmp_path, change, reason):
    records, images, _ = example(GREY)
    path = tmp_path / "a.bin"
    PIXEL_BYTES.write(path, records, images, GREY)
    (tmp_path / PIXEL_BYTES.sample_name).write_bytes(path.read_bytes())
    PIXEL_BYTES.check(path, tmp_path)
    path.write_bytes(change(path.read_bytes()))
    for found in (refusal(PIXEL_BYTES.check, path, tmp_path), refusal(list, PIXEL_BYTES.read(path, records, GREY))):
        assert reason in found and str(path) in found and "serialize --force" in found and "--run" in found


def test_wrong_sizes_missing_files_and_folders_are_errors(tmp_path):
    records, images, _ = example(GREY)
    PIXEL_BYTES.write(tmp_path / "a.bin", records, images, GREY)
    PIXEL_BYTES.write(tmp_path / PIXEL_BYTES.sample_name, records[::-1], images, GREY)
    assert "a.bin: image 1 has" in refusal(PIXEL_BYTES.check, tmp_path / "a.bin", tmp_path)
    assert "none.bin is missing" in refusal(PIXEL_BYTES.check, tmp_path / "none.bin", tmp_path)
    (tmp_path / "folder.bin").mkdir()
    assert "is a folder" in refusal(PIXEL_BYTES.check, tmp_path / "folder.bin", tmp_path)
    (tmp_path / PIXEL_BYTES.sample_name).unlink()
    found = refusal(PIXEL_BYTES.check, tmp_path / "a.bin", tmp_path)
    assert "download --force" in found and "--competition" in found


def test_score_of_bytes_equals_scikit_learn(tmp_path):
    records, images, masks = example(GREY)
    truth = [np.random.default_rng(9).random(GREY.shape, np.float32) for _ in images]
    for name, of in (("mine", images), ("truth", truth)):
        PIXEL_BYTES.write(tmp_path / name, records, of, GREY)
    one, other = (np.concatenate([np.rint(255 * p[m]).ravel() for p, m in zip(of, masks, strict=True)])
                  for of in (images, truth))
    scores = PIXEL_BYTES.score(tmp_path / "mine", tmp_path / "truth")
    assert scores["total"] == scores["public"] == pytest.approx(root_mean_squared_error(one, other) / 255)


# Tables

@pytest.mark.parametrize("settings", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_table_is_by_image_row_column_and_channel_and_is_read_back(tmp_path, settings):
    records, images, masks = example(settings)
    PIXEL_CSV.write(tmp_path / "a.csv", records, iter(images), settings)
    wanted = [("_".join([record.id, str(row), str(column), *([str(channel)] if settings is COLOUR else [])]),
               image[row, column, channel])
              for record, image, mask in zip(records, images, masks, strict=True)
              for row in range(32) for column in range(32) if mask[row, column] for channel in range(settings.channels)]
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table.columns) == ["pixel", "value"] and table.pixel.tolist() == [id for id, _ in wanted]
    np.testing.assert_allclose(table.value, [value for _, value in wanted], atol=5.1e-7)
    for image, mask, values in zip(images, masks, PIXEL_CSV.read(tmp_path / "a.csv", records, settings), strict=True):
        np.testing.assert_allclose(values, image[mask], atol=5.1e-7)


@pytest.mark.parametrize(("change", "reason"), [
    (lambda lines: lines[:-1], "does not hold the rows"),
    (lambda lines: [*lines, lines[-1]], "does not hold the rows"),
    (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], "does not hold the rows"),
    (lambda lines: [*lines[:5], lines[5].rsplit(",", 1)[0] + ",dark", *lines[6:]], "line 6: value is 'dark', not"),
    (lambda lines: lines[1:], "does not hold the rows"),
    (lambda lines: [], "is no header of 2 columns"),
])
def test_faults_of_a_table_are_errors(tmp_path, change, reason):
    records, images, _ = example(GREY)
    path = tmp_path / "a.csv"
    PIXEL_CSV.write(path, records, images, GREY)
    lines = path.read_text().splitlines()
    path.write_text("".join(line + "\n" for line in change(lines)))
    assert reason in refusal(list, PIXEL_CSV.read(path, records, GREY))


def test_the_solution_of_a_table_says_which_images_are_public(tmp_path):
    records, images, masks = example(COLOUR)
    values = [image[mask] for image, mask in zip(images, masks, strict=True)]
    (tmp_path / "solution.csv").write_bytes(b"".join(PIXEL_CSV.encode(records, values, COLOUR, [True, False, False])))
    zeros = [np.zeros_like(of_image) for of_image in values]
    (tmp_path / PIXEL_CSV.sample_name).write_bytes(b"".join(PIXEL_CSV.encode(records, zeros, COLOUR)))
    PIXEL_CSV.check(tmp_path / PIXEL_CSV.sample_name, tmp_path)
    scores = PIXEL_CSV.score(tmp_path / PIXEL_CSV.sample_name, tmp_path / "solution.csv")
    for name, of in (("public", values[:1]), ("private", values[1:]), ("total", values)):
        truth = np.concatenate([part.ravel() for part in of])
        assert scores[name] == pytest.approx(root_mean_squared_error(truth, np.zeros_like(truth)), abs=1e-6)
