"""Pictures of users, of any size: grey or in colour, with or without transparency, 8 or 16 bits; kept as they came.

Colours are uint8 or uint16, height x width x channels: grey, or red, green and blue; pictures that are given as arrays may also
be floats in 0..1. Transparency is apart, height x width.
"""

import contextlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pixmend.data import decode
from pixmend.data.augmentation import apply_transform
from pixmend.errors import UserError
from pixmend.files import PathLike, atomic_write

ADVICE = "give a JPEG or PNG picture that can be opened"
KINDS = ("grey", "colour", "transparent", "16-bit")
PROFILE_NAME = b"profile\0\0"   # and the number of its compression
MAX_PROFILE = 4_000_000   # bytes
FIRST_CHUNK_END = len(decode.PNG) + 25   # of a PNG file: its header is 13 bytes long, in a chunk
DEPTH_AT, COLOUR_TYPE_AT, GREY_WITH_ALPHA = 24, 25, 4   # in a PNG file


@dataclass(frozen=True)
class Picture:
    """A picture, upright; `alpha` is None where all of it is opaque, `exif` and `profile` are empty where the file has none."""

    colours: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes = b""
    profile: bytes = b""   # of its colours (ICC)
    marks: tuple[tuple[bytes, bytes], ...] = ()   # chunks of a PNG file that say the same as a profile

    @property
    def largest(self) -> int:
        """Return the value of full brightness."""
        return 1 if self.colours.dtype.kind == "f" else int(np.iinfo(self.colours.dtype).max)


def read_picture(path: PathLike) -> Picture:
    """Read a JPEG or PNG file, and turn it upright by its EXIF orientation."""
    try:
        return decode_picture(path, decode.parse_file(path, ADVICE))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); change its permissions, or {ADVICE}.") from None


def decode_picture(path: PathLike, packed: decode.ImageFile) -> Picture:
    """Return the picture in a file, whose path is for messages, upright."""
    if packed.kind not in KINDS:
        raise UserError(f"{path}: {packed.kind} pictures cannot be mended. Save it as a still JPEG or PNG picture, grey or in "
                        f"colour (RGB).")
    pixels = decode_all_channels(path, packed.png, packed.clear) if packed.png else packed.unpack(decode.CHANNELS[packed.kind])
    pixels = np.ascontiguousarray(apply_transform(pixels, decode.ORIENTATIONS.get(decode.read_orientation(packed.exif), 0)))
    profile = unpack_profile(packed.profile) if packed.png else packed.profile
    has_alpha = pixels.shape[2] in (2, 4)
    colours, alpha = (pixels[..., :-1], pixels[..., -1]) if has_alpha else (pixels, None)
    return Picture(colours, alpha, packed.exif, profile, packed.marks)


def unpack_profile(chunk: bytes) -> bytes:
    """Return the colour profile in a chunk of a PNG file; empty if it is broken, or too long to be one."""
    _, _, packed = chunk.partition(b"\0")   # its name; then the number of its compression
    unpacking = zlib.decompressobj()
    with contextlib.suppress(zlib.error):
        profile = unpacking.decompress(packed[1:], MAX_PROFILE)
        return profile if unpacking.eof else b""
    return b""


def decode_all_channels(path: PathLike, data: bytes, clear: bytes) -> np.ndarray:
    """Decode a PNG file with all its bits and its transparency, red first."""
    pixels: np.ndarray | None = None
    with contextlib.suppress(cv2.error), decode.drop_stderr():
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise UserError(f"{path} is damaged: its pixels cannot be decoded; {ADVICE}.")
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[2] == 1:
        return add_alpha(pixels, data[DEPTH_AT], clear) if clear else pixels
    return pixels[..., [0, 3] if data[COLOUR_TYPE_AT] == GREY_WITH_ALPHA else [2, 1, 0, 3][:pixels.shape[2]]]


def add_alpha(grey: np.ndarray, depth: int, clear: bytes) -> np.ndarray:
    """Return a grey image with the transparency of its one transparent level, which OpenCV leaves out."""
    largest = np.iinfo(grey.dtype).max
    level = int.from_bytes(clear, "big") * (largest // (2**depth - 1))
    return np.concatenate([grey, np.where(grey == level, 0, largest).astype(grey.dtype)], 2)


def write_picture(path: Path, picture: Picture, *, with_metadata: bool) -> None:
    """Write a PNG file, with the EXIF data if asked."""
    data = encode_picture(picture, with_metadata=with_metadata)
    with atomic_write(path) as file:
        file.write(data)


def encode_picture(picture: Picture, *, with_metadata: bool) -> bytes:
    """Return a PNG file, which keeps every bit; the colour profile is kept, too, and the EXIF data if asked."""
    alpha = [] if picture.alpha is None else [picture.alpha[..., None]]
    if alpha and picture.colours.shape[2] == 1:
        data = encode_grey_with_alpha(np.concatenate([picture.colours, *alpha], 2))
    else:
        data = cv2.imencode(".png", np.ascontiguousarray(np.concatenate([picture.colours[..., ::-1], *alpha], 2)))[1].tobytes()
    if with_metadata and picture.exif:
        data = add_chunk(data, b"eXIf", set_upright(picture.exif))
    for name, content in picture.marks:
        data = add_chunk(data, name, content)
    return add_chunk(data, b"iCCP", PROFILE_NAME + zlib.compress(picture.profile)) if picture.profile else data


def encode_grey_with_alpha(pixels: np.ndarray) -> bytes:
    """Return a PNG file of two channels, which OpenCV reads but does not write."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, GREY_WITH_ALPHA, 0, 0, 0)
    lines = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    length = len(lines) // height
    unfiltered = b"".join(b"\0" + lines[at:at + length] for at in range(0, len(lines), length))
    return decode.PNG + b"".join([make_chunk(b"IHDR", header), make_chunk(b"IDAT", zlib.compress(unfiltered)),
                                  make_chunk(b"IEND", b"")])


def make_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def add_chunk(data: bytes, name: bytes, content: bytes) -> bytes:
    """Return a PNG file with one more chunk after its header."""
    return data[:FIRST_CHUNK_END] + make_chunk(name, content) + data[FIRST_CHUNK_END:]


def set_upright(exif: bytes) -> bytes:
    """Return EXIF data in which the orientation, if there is one, is upright: a picture that was read is."""
    changed = bytearray(exif)
    if (at := decode.find_orientation(exif)) is not None:
        struct.pack_into(f"{decode.BYTE_ORDERS[exif[:4]]}H", changed, at, decode.UPRIGHT)
    return bytes(changed)
