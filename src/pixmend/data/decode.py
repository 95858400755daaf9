"""Decode JPEG and PNG files strictly: a file that is damaged, or not what the competition requires, is refused.

An image is uint8, height x width x channels, RGB (1 channel if grey). The format is recognized by the bytes, not by the name.
"""

import contextlib
import os
import shlex
import struct
import threading
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import simplejpeg

from pixmend.data.augmentation import apply_transform
from pixmend.errors import DOWNLOAD_AGAIN, UserError
from pixmend.files import PathLike

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
EXIF_IN_JPEG, PROFILE_IN_JPEG = b"Exif\0\0", b"ICC_PROFILE\0"
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
ORIENTATION, UPRIGHT = 0x0112, 1
# The number of the transform that shows an image with each EXIF orientation upright; other numbers mean that it is.
ORIENTATIONS: dict[int | None, int] = {2: 4, 3: 2, 4: 6, 5: 5, 6: 3, 7: 7, 8: 1}
START_OF_SCAN, APP1, APP2 = 0xDA, 0xE1, 0xE2
PNG_COLOURS, PNG_ALPHA = {0: "grey", 2: "colour", 3: "colour"}, (4, 6)
JPEG_COLOURS = {"Gray": "grey", "YCbCr": "colour", "RGB": "colour"}
COLOUR_MARKS = (b"cHRM", b"gAMA", b"sRGB", b"cICP")   # of a PNG file: primaries, gamma, and names of colour spaces
CHANNELS = {"grey": 1, "colour": 3}
ONE_AT_A_TIME = threading.Lock()   # of the threads that replace what the process writes to
AFTER_CONVERSION = "before `pixmend augment` (`download` would undo it), "
CONVERT_OR_REMOVE = "repair the file or remove it from the folder"


class ImageFile(NamedTuple):
    """The header of an image file, and a function that decodes it, in 8 bits, with a number of channels."""

    kind: str
    height: int
    width: int
    exif: bytes
    unpack: Callable[[int], np.ndarray]
    png: bytes = b""   # all of the file, if it is a PNG file
    profile: bytes = b""   # its colour profile (ICC); of a PNG file as it stands there, with a name and compressed
    clear: bytes = b""   # of a PNG file: which colours of it are transparent (tRNS)
    marks: tuple[tuple[bytes, bytes], ...] = ()   # of a PNG file: the chunks that say how its colours look without a profile


def decode_image(path: PathLike, shape: tuple[int, ...]) -> np.ndarray:
    """Return the image in a file; raise a UserError if it is not of exactly this shape."""
    packed = parse_file(path, DOWNLOAD_AGAIN)
    wanted = next(kind for kind, channels in CHANNELS.items() if channels == shape[2])
    check_kind(path, packed.kind, [wanted], AFTER_CONVERSION)
    if (packed.height, packed.width) != shape[:2]:
        raise UserError(f"{path} has {packed.width}x{packed.height} pixels, and {shape[1]}x{shape[0]} are required; "
                        f"give --size the competition's, or {DOWNLOAD_AGAIN}.")
    if (orientation := read_orientation(packed.exif)) in ORIENTATIONS:
        raise UserError(f"{path} is stored turned (EXIF orientation {orientation}), so boxes would be at the wrong place; "
                        f"{AFTER_CONVERSION}{suggest_conversion(path, wanted)}.")
    return packed.unpack(shape[2])


def decode_photo(path: PathLike) -> np.ndarray:
    """Return a photo of any size, grey or in colour, turned upright by its EXIF orientation."""
    packed = parse_file(path, CONVERT_OR_REMOVE)
    check_kind(path, packed.kind, CHANNELS)
    transform = ORIENTATIONS.get(read_orientation(packed.exif), 0)
    return np.ascontiguousarray(apply_transform(packed.unpack(CHANNELS[packed.kind]), transform))


def parse_file(path: PathLike, advice: str) -> ImageFile:
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read()
    except (FileNotFoundError, IsADirectoryError) as error:
        what = "is missing" if isinstance(error, FileNotFoundError) else "is a folder, not an image"
        raise UserError(f"{path} {what}; {advice}.") from None
    return parse_data(path, data, advice)


def parse_data(path: PathLike, data: bytes, advice: str) -> ImageFile:
    """Read the header in the bytes of a file, whose path is for messages."""
    if data.startswith(JPEG):
        return parse_jpeg(path, data, advice)
    if data.startswith(PNG):
        return parse_png(path, data, advice)
    what = "is neither a JPEG nor a PNG image" if data else "is empty"
    raise UserError(f"{path} {what}; {advice}.")


def parse_jpeg(path: PathLike, data: bytes, advice: str) -> ImageFile:
    def call_decoder(read: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return read(data, *arguments, **options)
        except ValueError as error:
            reason = str(error).partition("\n")[0] or "decoder gave up"
            raise UserError(f"{path} is cut off or damaged ({reason}); {advice}.") from None

    def unpack(channels: int) -> np.ndarray:
        # libjpeg-turbo bypasses the cache at addresses that are multiples of 32, which takes a tenth longer.
        buffer = np.empty(height * width * channels + 32, np.uint8)
        first = (16 - buffer.ctypes.data) % 32
        image = buffer[first:first + height * width * channels].reshape(height, width, channels)
        return call_decoder(simplejpeg.decode_jpeg, "GRAY" if channels == 1 else "RGB", buffer=image, strict=True)

    height, width, colours, _ = call_decoder(simplejpeg.decode_jpeg_header)
    blocks = list(list_jpeg_blocks(data))
    exif = next((block.removeprefix(EXIF_IN_JPEG) for marker, block in blocks
                 if marker == APP1 and block.startswith(EXIF_IN_JPEG)), b"")
    return ImageFile(JPEG_COLOURS.get(colours, colours), height, width, exif, unpack, profile=join_profile(blocks))


def list_jpeg_blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of each block before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != START_OF_SCAN:
        marker, length = data[at + 1], int.from_bytes(data[at + 2:at + 4], "big")
        if marker != 0xFF:
            yield marker, data[at + 4:at + 2 + length]
        at += 1 if marker == 0xFF else 2 + length


def join_profile(blocks: Iterable[tuple[int, bytes]]) -> bytes:
    """Return the colour profile of a JPEG file, which may lie in several numbered blocks; empty if there is none."""
    parts = [block[len(PROFILE_IN_JPEG):] for marker, block in blocks if marker == APP2 and block.startswith(PROFILE_IN_JPEG)]
    return b"".join(part[2:] for part in sorted(parts))


def parse_png(path: PathLike, data: bytes, advice: str) -> ImageFile:
    chunks = read_png_chunks(path, data, advice)
    width, height, depth, colours = struct.unpack(">IIBB", chunks[b"IHDR"][:10])

    def unpack(channels: int) -> np.ndarray:
        how = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
        image: np.ndarray | None = None
        with contextlib.suppress(cv2.error), drop_stderr():   # an error for more pixels than OpenCV takes
            image = cv2.imdecode(np.frombuffer(data, np.uint8), how | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None:
            raise UserError(f"{path} is damaged: its pixels cannot be decoded; {advice}.")
        return image.reshape(height, width, channels)

    kind = PNG_COLOURS.get(colours, "unknown")
    if colours in PNG_ALPHA or b"tRNS" in chunks:
        kind = "transparent"
    if depth == 16:
        kind = "16-bit"
    if b"acTL" in chunks:
        kind = "animated"
    exif, profile, clear = (chunks.get(name, b"") for name in (b"eXIf", b"iCCP", b"tRNS"))
    marks = tuple((name, chunks[name]) for name in COLOUR_MARKS if name in chunks)
    return ImageFile(kind, height, width, exif, unpack, png=data, profile=profile, clear=clear, marks=marks)


@contextlib.contextmanager
def drop_stderr() -> Iterator[None]:
    """Drop what libpng writes to the screen, without the file's name, before an error is raised that has it."""
    with ONE_AT_A_TIME:
        stderr = os.dup(2)
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def read_png_chunks(path: PathLike, data: bytes, advice: str) -> dict[bytes, bytes]:
    """Return the chunks by name, the last of each, after a check of every checksum and of the end marker."""
    chunks: dict[bytes, bytes] = {}
    at, name = len(PNG), b""
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


def check_kind(path: PathLike, kind: str, wanted: Collection[str], then: str = "") -> None:
    if kind not in wanted:
        article = "an" if kind in ("animated", "unknown") else "a"
        advice = suggest_conversion(path, "colour" if "colour" in wanted else "grey")
        raise UserError(f"{path} is {article} {kind} image, not an 8-bit {' or '.join(wanted)} one; {then}{advice}.")


def read_orientation(exif: bytes) -> int | None:
    """Return the orientation tag of a TIFF block's first directory; None if there is none or the block is broken."""
    at = find_orientation(exif)
    return None if at is None else int(struct.unpack_from(f"{BYTE_ORDERS[exif[:4]]}H", exif, at)[0])


def find_orientation(exif: bytes) -> int | None:
    """Return the place of the orientation's value in a TIFF block; None if there is none or the block is broken."""
    if order := BYTE_ORDERS.get(exif[:4]):
        with contextlib.suppress(struct.error):
            at, = struct.unpack_from(f"{order}I", exif, 4)
            count, = struct.unpack_from(f"{order}H", exif, at)
            for entry in range(at + 2, at + 2 + 12 * count, 12):
                tag, _, _, _ = struct.unpack_from(f"{order}HHIH", exif, entry)
                if tag == ORIENTATION:
                    return entry + 8
    return None


def suggest_conversion(path: PathLike, wanted: str) -> str:
    how = ", cv2.IMREAD_GRAYSCALE" if wanted == "grey" else ""
    code = f"import sys, cv2; cv2.imwrite(sys.argv[1], cv2.imread(sys.argv[1]{how}))"
    return f'save it as plain 8-bit {wanted}: python -c "{code}" {shlex.quote(str(path))}'
