"""Strict decoding: a JPEG or PNG file becomes a picture only if all of it is whole and it is as the contest wants it.

A picture is uint8, height x width x channels, RGB (1 channel where grey). What a file is, its bytes say, not its name.
"""

import math
import shlex
import struct
import zlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
import simplejpeg

from pixmend.errors import UserError
from pixmend.files import PathLike

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
EXIF_IN_JPEG = b"Exif\0\0"
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
ORIENTATION, UPRIGHT = 0x0112, 1
# What each EXIF orientation asks for before a picture is shown: a left-right flip or none, then quarter turns anticlockwise.
UPWARDS: Mapping[int | None, tuple[bool, int]] = {2: (True, 0), 3: (False, 2), 4: (True, 2), 5: (True, 1), 6: (False, 3), 7: (True, 3), 8: (False, 1)}
START_OF_SCAN, APP1 = 0xDA, 0xE1
PNG_COLOURS, PNG_ALPHA = {0: "grey", 2: "colour", 3: "colour"}, (4, 6)
JPEG_COLOURS = {"Gray": "grey", "YCbCr": "colour", "RGB": "colour"}
WANTED = {1: "grey", 3: "colour"}
CHANNELS = {kind: channels for channels, kind in WANTED.items()}
AGAIN = "fetch it again with `pixmend download --force`"
MENDED = "go on with `pixmend augment` (`download` would undo it) once you "
TAKE_AWAY = "mend that file or take it out of the folder"


class Packed(NamedTuple):
    """What a file says of its picture, and how to unpack it with so many channels."""

    kind: str
    height: int
    width: int
    exif: bytes
    unpack: Callable[[int], np.ndarray]


def decode_image(path: PathLike, shape: tuple[int, ...]) -> np.ndarray:
    """The picture in a file, of exactly this shape; a UserError says what else the file is."""
    packed = _packed(path, AGAIN)
    _check_kind(path, packed.kind, (WANTED[shape[2]],), MENDED)
    _check_size(path, packed.height, packed.width, shape)
    _check_upright(path, packed.exif)
    return packed.unpack(shape[2])


def decode_photo(path: PathLike) -> np.ndarray:
    """A photo of any size, grey or in colour, turned as its EXIF block says it is to be seen."""
    packed = _packed(path, TAKE_AWAY)
    _check_kind(path, packed.kind, WANTED.values())
    flipped, turns = UPWARDS.get(_orientation(packed.exif), (False, 0))
    photo = packed.unpack(CHANNELS[packed.kind])
    return np.ascontiguousarray(np.rot90(photo[:, ::-1] if flipped else photo, turns))


def _packed(path: PathLike, advice: str) -> Packed:
    data = _bytes(path, advice)
    if data.startswith(JPEG):
        return _packed_jpeg(path, data, advice)
    if data.startswith(PNG):
        return _packed_png(path, data, advice)
    what = "is neither a JPEG nor a PNG picture" if data else "is empty"
    raise UserError(f"{path} {what}; {advice}.")


def _bytes(path: PathLike, advice: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {advice}.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, not a picture; {advice}.") from None


def _packed_jpeg(path: PathLike, data: bytes, advice: str) -> Packed:
    def whole_or_refused(read: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return read(data, *arguments, **options)
        except ValueError as error:
            raise UserError(f"{path} is cut off or damaged ({_short(error)}); {advice}.") from None

    def unpack(channels: int) -> np.ndarray:
        room = _room((height, width, channels))
        return whole_or_refused(simplejpeg.decode_jpeg, "GRAY" if channels == 1 else "RGB", buffer=room, strict=True)

    height, width, colours, _ = whole_or_refused(simplejpeg.decode_jpeg_header)
    return Packed(JPEG_COLOURS.get(colours, colours), height, width, _jpeg_exif(data), unpack)


def _room(shape: tuple[int, ...]) -> np.ndarray:
    """An empty picture that begins in the middle of 32 bytes; where one begins at their start, libjpeg-turbo writes past the
    cache, which takes a tenth longer.
    """
    room = np.empty(math.prod(shape) + 32, np.uint8)
    first = (16 - room.ctypes.data) % 32
    return room[first:first + math.prod(shape)].reshape(shape)


def _jpeg_exif(data: bytes) -> bytes:
    """The EXIF block among the segments before the first scan, or nothing."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != START_OF_SCAN:
        marker, length = data[at + 1], int.from_bytes(data[at + 2:at + 4], "big")
        if marker == APP1 and data.startswith(EXIF_IN_JPEG, at + 4):
            return data[at + 4 + len(EXIF_IN_JPEG):at + 2 + length]
        at += 1 if marker == 0xFF else 2 + length
    return b""


def _packed_png(path: PathLike, data: bytes, advice: str) -> Packed:
    chunks = _png_chunks(path, data, advice)
    width, height, depth, colours = struct.unpack(">IIBB", chunks[b"IHDR"][:10])

    def unpack(channels: int) -> np.ndarray:
        how = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
        try:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), how | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:   # more pixels than OpenCV takes
            picture = None
        if picture is None:
            raise UserError(f"{path} is damaged: its pixels can't be unpacked; {advice}.")
        return picture.reshape(height, width, channels)

    return Packed(_png_kind(depth, colours, chunks), height, width, chunks.get(b"eXIf", b""), unpack)


def _png_chunks(path: PathLike, data: bytes, advice: str) -> dict[bytes, bytes]:
    """The chunks by name, the last of each, once every checksum and the end marker are found right."""
    chunks: dict[bytes, bytes]
    chunks, at, name = {}, len(PNG), b""
    while at + 12 <= len(data) and name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data) or zlib.crc32(data[at + 4:end - 4]) != int.from_bytes(data[end - 4:end], "big"):
            break
        chunks[name] = data[at + 8:end - 4]
        at = end
    if b"IEND" not in chunks or len(chunks.get(b"IHDR", b"")) != 13:
        raise UserError(f"{path} is cut off or damaged (at byte {at} of {len(data)}); {advice}.")
    return chunks


def _png_kind(depth: int, colours: int, chunks: Mapping[bytes, bytes]) -> str:
    if depth == 16:
        return "16-bit"
    if colours in PNG_ALPHA or b"tRNS" in chunks:
        return "transparent"
    return "animated" if b"acTL" in chunks else PNG_COLOURS.get(colours, "strange")


def _check_kind(path: PathLike, kind: str, wanted: Collection[str], then: str = "") -> None:
    if kind not in wanted:
        raise UserError(f"{path} is a {kind} picture where an 8-bit {' or '.join(wanted)} one is wanted; {then}{_mend(path)}.")


def _check_size(path: PathLike, height: int, width: int, shape: tuple[int, ...]) -> None:
    if (height, width) != shape[:2]:
        raise UserError(f"{path} has {width}x{height} pixels, and {shape[1]}x{shape[0]} are wanted; "
                        f"give --size the contest's own, or {AGAIN}.")


def _check_upright(path: PathLike, exif: bytes) -> None:
    if _orientation(exif) not in (None, UPRIGHT):
        raise UserError(f"{path} is stored turned (EXIF orientation {_orientation(exif)}), so boxes would miss; "
                        f"{MENDED}{_mend(path)}.")


def _orientation(exif: bytes) -> int | None:
    """The orientation tag of a TIFF block's first directory; None where there is none or the block is broken."""
    order = BYTE_ORDERS.get(exif[:4])
    if order is None:
        return None
    try:
        at, = struct.unpack_from(f"{order}I", exif, 4)
        count, = struct.unpack_from(f"{order}H", exif, at)
        for number in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, at + 2 + 12 * number)
            if tag == ORIENTATION:
                return value
    except struct.error:
        pass
    return None


def _mend(path: PathLike) -> str:
    code = "import sys, cv2; cv2.imwrite(sys.argv[1], cv2.imread(sys.argv[1]))"
    return f'save it anew as plain 8-bit colour: python -c "{code}" {shlex.quote(str(path))}'


def _short(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else "decoder gave up"
