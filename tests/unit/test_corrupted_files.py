"""Files with random faults: each ends in an error message or in the right result, never in a wrong result or a hang."""

import io
import signal
import struct
import zlib

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.tiny_competition import SIDE, SIZE, build, read_rows, write_solution

from pixmend.competitions.photo_reconstruction import PHOTO_RECONSTRUCTION as competition
from pixmend.data.decode import decode_image
from pixmend.errors import UserError
from pixmend.submissions import csv_scoring

SHAPE = (16, 24, 3)
LETTERS = np.frombuffer(b'\0\n\r",;-+.eE0123456789_x \xff\xc3', np.uint8)
SECONDS = 120


@pytest.fixture(autouse=True)
def no_hang():
    def stop(*_):
        raise TimeoutError("a case hangs")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)


def corrupt(rng, data):
    """Replace, insert, delete, double or cut off some bytes."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, length, kind = int(rng.integers(len(data) + 1)), int(rng.integers(1, 9)), rng.integers(12)
        if kind < 5:
            data[at:at + 1] = rng.choice(LETTERS, 1).tobytes()
        elif kind < 8:
            data[at:at + 1] = rng.bytes(1)
        elif kind == 8:
            data[at:at] = rng.choice(LETTERS, length).tobytes()
        elif kind == 9:
            del data[at:at + length]
        elif kind == 10:
            data[at:at] = data[at:at + 20 * length]
        elif rng.random() < 0.3:
            del data[at:]
    return bytes(data)


def outcome(function, *arguments):
    """Return what a function returns, or None after an error message."""
    try:
        return function(*arguments)
    except UserError as error:
        assert "\n" not in str(error) and str(error).endswith(".")
        return None


# Images

def encode_example(kind, **options):
    image = cv2.resize(np.random.default_rng(1).integers(0, 256, (4, 6, 3), np.uint8), SHAPE[1::-1])
    whole = io.BytesIO()
    image = Image.fromarray(image)
    (image.quantize(8) if options.pop("palette", False) else image).save(whole, kind, **options)
    return whole.getvalue()


def repair_checksums(data):
    """A PNG file whose chunks, as far as there are whole ones, carry the checksums of their bytes."""
    at, out = 8, data[:8]
    while at + 12 <= len(data) and at + 12 + (length := int.from_bytes(data[at:at + 4], "big")) <= len(data):
        body = data[at + 4:at + 8 + length]
        out, at = out + data[at:at + 4] + body + struct.pack(">I", zlib.crc32(body)), at + 12 + length
    return out + data[at:]


def decode_with_pillow(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 95}])
def test_corrupted_jpeg(tmp_path, options):
    rng, whole, path, right = np.random.default_rng(11), encode_example("JPEG", **options), tmp_path / "a.jpeg", 0
    for _ in range(200):
        data = corrupt(rng, whole)
        path.write_bytes(data)
        image = outcome(decode_image, path, SHAPE)
        if image is not None:
            right += 1
            np.testing.assert_array_equal(image, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))
            np.testing.assert_array_equal(image, decode_with_pillow(data))
    assert 0 < right < 200


@pytest.mark.parametrize("options", [{}, {"palette": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}])
@pytest.mark.parametrize("repaired", [False, True])
def test_corrupted_png(tmp_path, options, repaired):
    rng, whole, path, right = np.random.default_rng(12), encode_example("PNG", **options), tmp_path / "a.png", 0
    for _ in range(100):
        data = corrupt(rng, whole)
        data = repair_checksums(data) if repaired else data
        path.write_bytes(data)
        image = outcome(decode_image, path, SHAPE)
        if image is not None:
            right += 1
            np.testing.assert_array_equal(image, decode_with_pillow(data))
            assert repaired or np.array_equal(image, decode_with_pillow(whole))
    assert right < 100


# Tables

@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    home = tmp_path_factory.mktemp("tiny")
    settings, images, boxes = build(home)
    write_solution(home / "solution.csv", images, boxes)
    records = [e for e in competition.read_images(settings.competition_folder / "files", settings.shape) if e.split == "test"]
    competition.submission.write(home / "mine.csv", records, [image / np.float32(255) for image in images.values()], settings)
    return settings, records, images


def test_corrupted_table(tiny):
    settings, records, _ = tiny
    files = settings.competition_folder / "files"
    path = files / "Dataset" / "Testing_Data" / "masked_info.csv"
    whole, rng, right = path.read_bytes(), np.random.default_rng(13), 0
    for _ in range(400):
        path.write_bytes(corrupt(rng, whole))
        got = outcome(competition.read_images, files, settings.shape)
        if got is not None:
            right += 1
            head, *rows = [row for row in read_rows(path) if row]
            named = [dict(zip([name.removeprefix("\ufeff") for name in head], row, strict=True)) for row in rows]
            wanted = {r["filename"]: [(int(float(r[f"box{n}_row"])), int(float(r[f"box{n}_col"])), SIDE, SIDE) for n in (1, 2)]
                      for r in named}
            assert {e.id: list(e.boxes) for e in got if e.split == "test"} == wanted
            assert wanted.keys() == {e.id for e in records}
            assert all(0 <= place <= SIZE - SIDE for boxes in wanted.values() for box in boxes for place in box[:2])
    path.write_bytes(whole)
    assert 0 < right < 400


def test_corrupted_sample(tiny, tmp_path):
    settings, records, images = tiny
    sample, out = settings.competition_folder / "files" / "sample_submission.csv", tmp_path / "mine.csv"
    whole, rng, right = sample.read_bytes(), np.random.default_rng(14), 0
    values = dict(read_rows(settings.competition_folder.parent.parent / "mine.csv")[1:])
    for _ in range(250):
        sample.write_bytes(corrupt(rng, whole))
        outcome(competition.read_images, sample.parent, settings.shape)
        outcome(competition.submission.write, out, records, [image / np.float32(255) for image in images.values()], settings)
        if out.exists():
            right += 1
            competition.submission.check(out, sample.parent)
            (head, *rows), (given, *wanted) = read_rows(out), [row for row in read_rows(sample) if row]
            assert head == given and rows == [[i, values[i]] for i, *_ in wanted] and len(rows) == len(values)
            out.unlink()
        assert not list(tmp_path.iterdir())
    sample.write_bytes(whole)
    assert 0 < right < 250


def test_corrupted_submission(tiny, tmp_path):
    settings, *_ = tiny
    home, path = settings.competition_folder.parent.parent, tmp_path / "mine.csv"
    whole, rng, right = (home / "mine.csv").read_bytes(), np.random.default_rng(15), 0
    solution = pd.read_csv(home / "solution.csv", index_col=0).value
    for _ in range(250):
        path.write_bytes(corrupt(rng, whole))
        scores = outcome(csv_scoring.score_csv, path, home / "solution.csv")
        outcome(competition.submission.check, path, settings.competition_folder / "files")
        if scores is not None:
            right += 1
            mine = pd.Series({i: float(v) for i, v in (row for row in read_rows(path)[1:] if row)})
            assert len(mine) == len(solution)
            assert scores["total"] == pytest.approx(float(np.sqrt(((mine - solution) ** 2).mean())), rel=1e-9)
    assert 0 < right < 250
