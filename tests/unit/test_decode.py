"""Strict decoding, against Pillow and OpenCV: equal pixels from whole files, one sentence for everything else."""

import io
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from pixmend.data.decode import decode_image
from pixmend.data.encode import encode_jpeg, encode_png
from pixmend.data.picture_files import read_picture, write_picture
from pixmend.errors import UserError

SHAPE, GREY = (24, 40, 3), (24, 40, 1)


@pytest.fixture
def picture():
    return cv2.resize(np.random.default_rng(3).integers(0, 256, (4, 5, 3), np.uint8), SHAPE[1::-1])


def saved(path, image, **options):
    image.save(path, **options)
    return path


def refusal(path, shape=SHAPE):
    with pytest.raises(UserError) as caught:
        decode_image(path, shape)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text and text.endswith((".", f"'{path}'.", f"{path}."))
    return text


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 100, "subsampling": 0}, {"optimize": True}])
def test_jpeg_equals_opencv_and_pillow(tmp_path, picture, options):
    path = saved(tmp_path / "a.jpeg", Image.fromarray(picture), format="JPEG", **options)
    got = decode_image(path, SHAPE)
    assert got.dtype == np.uint8 and got.shape == SHAPE
    np.testing.assert_array_equal(got, cv2.imread(str(path))[..., ::-1])
    np.testing.assert_array_equal(got, np.asarray(Image.open(path)))


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_png_equals_pillow(tmp_path, picture, mode):
    image = Image.fromarray(picture).convert(mode)
    np.testing.assert_array_equal(decode_image(saved(tmp_path / "a.png", image), SHAPE), np.asarray(image.convert("RGB")))


def test_grey_where_grey_is_wanted(tmp_path, picture):
    image = Image.fromarray(picture).convert("L")
    for name in ("a.png", "a.jpg"):
        path = saved(tmp_path / name, image)
        np.testing.assert_array_equal(decode_image(path, GREY)[..., 0], np.asarray(Image.open(path)))


def test_bytes_decide_and_not_the_name(tmp_path, picture):
    path = saved(tmp_path / "a.jpeg", Image.fromarray(picture), format="PNG")
    np.testing.assert_array_equal(decode_image(path, SHAPE), picture)


def test_encode_round_trip(tmp_path, picture):
    (tmp_path / "a").write_bytes(encode_png(picture))
    np.testing.assert_array_equal(decode_image(tmp_path / "a", SHAPE), picture)
    (tmp_path / "a").write_bytes(encode_jpeg(picture))
    assert np.abs(decode_image(tmp_path / "a", SHAPE).astype(int) - picture).mean() < 4
    (tmp_path / "a").write_bytes(encode_png(picture[..., :1].copy()))
    np.testing.assert_array_equal(decode_image(tmp_path / "a", GREY), picture[..., :1])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_every_cut_is_noticed(tmp_path, picture, kind):
    whole = io.BytesIO()
    Image.fromarray(picture).save(whole, kind)
    path = tmp_path / "cut"
    for length in [*range(0, len(whole.getvalue()), 13), len(whole.getvalue()) - 1]:
        path.write_bytes(whole.getvalue()[:length])
        refusal(path)
    path.write_bytes(whole.getvalue()[:-1])
    assert "cut off" in refusal(path)


def test_png_checksum(tmp_path, picture):
    data = bytearray(encode_png(picture))
    data[len(data) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    assert "cut off or damaged (at byte" in refusal(tmp_path / "a.png")


def make_png(width, height, depth, colours, lines, *more):
    """Return a PNG file with these lines, each after the number of its filter, and more chunks by name."""
    head = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    chunks = [(b"IHDR", head), *more, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
                                           for name, body in chunks)


def test_png_of_too_few_pixels_with_right_checksums(tmp_path, capfd):
    (tmp_path / "a.png").write_bytes(make_png(SHAPE[1], SHAPE[0], 8, 2, b"\0" * 100))
    assert "pixels cannot be decoded" in refusal(tmp_path / "a.png")
    assert capfd.readouterr().err == ""   # libpng writes its own lines


def test_not_there_empty_or_no_picture(tmp_path):
    assert "is missing" in refusal(tmp_path / "none.jpeg")
    (tmp_path / "empty.jpeg").write_bytes(b"")
    assert "is empty" in refusal(tmp_path / "empty.jpeg")
    (tmp_path / "page.jpeg").write_bytes(b"<html>Sign in</html>")
    assert "neither a JPEG nor a PNG" in refusal(tmp_path / "page.jpeg")
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_wrong_size(tmp_path, picture, kind):
    path = saved(tmp_path / "a", Image.fromarray(picture), format=kind)
    assert "has 40x24 pixels, and 24x40 are required" in refusal(path, (40, 24, 3))


@pytest.mark.parametrize("mode, kind, word", [
    ("L", "JPEG", "grey"), ("CMYK", "JPEG", "CMYK"), ("L", "PNG", "grey"), ("1", "PNG", "grey"), ("I;16", "PNG", "16-bit"),
    ("LA", "PNG", "transparent"), ("RGBA", "PNG", "transparent")])
def test_kinds_that_are_refused_and_the_advice_mends_them(tmp_path, picture, mode, kind, word):
    image = Image.fromarray(picture).convert("I" if mode == "I;16" else mode).convert(mode)
    ending = {"JPEG": "jpeg", "PNG": "png"}[kind]
    mended_by_its_advice(saved(tmp_path / f"it's a.{ending}", image, format=kind), f"is a {word} image")


def mended_by_its_advice(path, reason, shape=SHAPE):
    with pytest.raises(UserError, match=reason) as caught:
        decode_image(path, shape)
    assert "before `pixmend augment`" in str(caught.value)
    command = str(caught.value).split(" 8-bit ")[-1].partition(": ")[2].removesuffix(".")
    subprocess.run(command.replace("python", sys.executable, 1), shell=True, check=True)
    assert decode_image(path, shape).shape == shape


def test_transparent_colour_in_a_palette(tmp_path, picture):
    image = Image.fromarray(picture).quantize(16)
    assert "transparent" in refusal(saved(tmp_path / "a.png", image, transparency=3))


def test_animated_png(tmp_path, picture):
    image = Image.fromarray(picture)
    assert "an animated image" in refusal(saved(tmp_path / "a.png", image, save_all=True, append_images=[image.rotate(90)]))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L"])
def test_animated_pictures_are_refused_with_and_without_transparency(tmp_path, picture, mode):
    image = Image.fromarray(picture).convert(mode)
    path = saved(tmp_path / "a.png", image, save_all=True, append_images=[image.rotate(90)])
    with pytest.raises(UserError, match="animated"):
        read_picture(path)


@pytest.mark.parametrize(("depth", "level", "line"), [
    (8, 77, bytes([0, 77, 255, 77])), (4, 5, b"\x05\xf5"), (1, 1, b"\x70"), (16, 7700, struct.pack(">4H", 0, 7700, 65535, 7700))])
def test_transparent_level_of_a_grey_picture_is_read_and_written(tmp_path, depth, level, line):
    levels = np.array([[0, level, 2**depth - 1, level]] * 2)
    data = make_png(4, 2, depth, 0, 2 * (b"\0" + line), (b"tRNS", struct.pack(">H", level)))
    (tmp_path / "a.png").write_bytes(data)
    found = read_picture(tmp_path / "a.png")
    assert found.colours.shape == (2, 4, 1) and found.largest == max(255, 2**depth - 1)
    np.testing.assert_array_equal(found.colours[..., 0], levels * (found.largest // (2**depth - 1)))
    np.testing.assert_array_equal(found.alpha, np.where(levels == level, 0, found.largest))
    write_picture(tmp_path / "b.png", found, with_metadata=False)
    again = read_picture(tmp_path / "b.png")
    np.testing.assert_array_equal(again.alpha, found.alpha)
    np.testing.assert_array_equal(again.colours, found.colours)


@pytest.mark.parametrize("order", [b"MM", b"II"])
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_orientation(tmp_path, picture, kind, order):
    exif = Image.Exif()
    exif.endian = {b"MM": ">", b"II": "<"}[order]
    exif[0x010F] = "a maker"
    for orientation in (0, 1, 9, 3):   # 0 means unknown, and there is no 9
        exif[0x0112] = orientation
        path = saved(tmp_path / f"a.{kind}", Image.fromarray(picture), exif=exif)
        if orientation != 3:
            assert decode_image(path, SHAPE).shape == SHAPE
    mended_by_its_advice(path, r"stored turned \(EXIF orientation 3\)")


def test_colour_where_grey_is_wanted(tmp_path, picture):
    for name in ("a.png", "a.jpg"):
        mended_by_its_advice(saved(tmp_path / name, Image.fromarray(picture)), "colour image, not an 8-bit grey one", GREY)
