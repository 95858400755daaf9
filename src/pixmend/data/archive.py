"""A contest's archive, not trusted: every name, size and checksum is tested; it unpacks whole or not at all."""

import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from pixmend.errors import UserError
from pixmend.files import CHUNK, PathLike, replace_durably
from pixmend.progress import ProgressBar

MOST_FILES = 500_000
MOST_BYTES = 200 << 30
HARMLESS_BYTES = 1 << 28  # up to here any compression ratio is taken
MOST_RATIO = 150
LONGEST_NAME = 255  # bytes
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1
AGAIN = "get it once more from the competition's page, or delete it and run `pixmend download`."


class BadArchive(UserError):
    """An archive that is not taken, with the file's name and the reason."""


def list_archive(path: PathLike, *, made_here: bool = False) -> list[zipfile.ZipInfo]:
    """The files of an archive from its table of contents alone: names and sizes are tested, data isn't."""
    with _opened(path) as opened:
        return _tested(path, opened, made_here)


def unpack_archive(path: PathLike, folder: PathLike, *, made_here: bool = False) -> list[zipfile.ZipInfo]:
    """Unpack into a folder that appears whole or not at all, testing each checksum on the way; return the files."""
    folder = Path(folder)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with _opened(path) as opened:
            members = _tested(path, opened, made_here)
            _room_for(members, folder.parent)
            part.mkdir(parents=True)
            _extract(path, opened, members, part)
        os.sync()
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    _swap(part, folder)
    return members


def _extract(path: PathLike, opened: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], part: Path) -> None:
    for parent in sorted({part / Path(member.filename).parent for member in members}):
        parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with ProgressBar("unpack", len(members)) as bar:
        for member in members:
            with open(part / member.filename, "xb") as file:
                _read(path, opened, member, file.write)
            written += member.file_size
            bar.advance(1, f"{written >> 20} MB")


def _swap(part: Path, folder: Path) -> None:
    """Put a finished folder in an older one's place."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    replace_durably(part, folder)
    shutil.rmtree(old, ignore_errors=True)


def _opened(path: PathLike) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise BadArchive(f"{path} is not there.") from None
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, struct.error):
        raise BadArchive(f"{path} is {_looks_like(path)}; {AGAIN}") from None


def _looks_like(path: PathLike) -> str:
    with open(path, "rb") as file:
        start = file.read(512).lstrip().lower()
    if not start:
        return "empty"
    if start.startswith(b"pk\x03\x04"):
        return "a zip archive that was cut off or damaged"
    if start.startswith((b"<!doctype", b"<html", b"{")):
        return "a web page or an error message, not a zip archive"
    return "not a zip archive"


def _read(path: PathLike, opened: zipfile.ZipFile, member: zipfile.ZipInfo, use: Callable[[bytes], object]) -> None:
    """Hand on one member's bytes; its checksum is tested as the last of them are read."""
    try:
        with opened.open(member) as file:
            while data := file.read(CHUNK):
                use(data)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, struct.error):
        raise BadArchive(f"{path} is damaged at {member.filename!r}; {AGAIN}") from None


def _tested(path: PathLike, opened: zipfile.ZipFile, made_here: bool) -> list[zipfile.ZipInfo]:
    """The files among the members, after every test that needs no data; of a user's own photos there may be any number."""
    members, packed = opened.infolist(), os.path.getsize(path)
    if not all(0 <= member.header_offset < packed for member in members):
        raise BadArchive(f"{path} is a zip archive that was cut off or damaged; {AGAIN}")
    reason = None if made_here else _count_and_size(members, packed)
    reason = reason or next(filter(None, map(_member, members)), None)
    reason = reason or _names([member.filename for member in members])
    if reason:
        raise BadArchive(f"{path} is not taken: {reason}; get it from the contest's own page.")
    return [member for member in members if not member.is_dir()]


def _count_and_size(members: Sequence[zipfile.ZipInfo], packed: int) -> str | None:
    total = sum(member.file_size for member in members)
    if not members:
        return "it holds no files"
    if len(members) > MOST_FILES:
        return f"it holds {len(members)} files, more than {MOST_FILES}"
    if total > MOST_BYTES:
        return f"it would unpack to {total >> 30} GB, more than {MOST_BYTES >> 30} GB"
    if total > HARMLESS_BYTES and total > MOST_RATIO * packed:
        return f"it would unpack to {total // max(packed, 1)} times its size, as a zip bomb does"
    return None


def _member(member: zipfile.ZipInfo) -> str | None:
    """Why one member is refused, if it is."""
    name, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
    if member.flag_bits & ENCRYPTED:
        return f"{name!r} in it is encrypted"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return f"{name!r} in it is a link or a device, not a file"
    if member.compress_type not in METHODS:
        return f"{name!r} in it is compressed in an unusual way"
    if reason := _name(name):
        return f"{name!r} in it {reason}"
    return None


def _name(name: str) -> str | None:
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "is an absolute path"
    if "\\" in name or re.search(r"[\x00-\x1f\x7f]", name):
        return "has a backslash or a control character in its name"
    if any(part in ("", ".", "..") for part in parts):
        return "points outside its folder"
    if any(len(part.encode("utf-8", "surrogateescape")) > LONGEST_NAME for part in parts):
        return "has too long a name"
    return None


def _names(names: Sequence[str]) -> str | None:
    """Why names don't go together: two that are one on some disks, or a file where a folder is needed."""
    seen: set[str]
    spelled: dict[str, str]
    seen, spelled = set(), {}
    for name in names:
        plain = name.removesuffix("/")
        if plain.casefold() in seen:
            return f"{name!r} occurs twice in it, or twice but for capitals"
        seen.add(plain.casefold())
        for end in [i for i, letter in enumerate(plain) if letter == "/"]:
            if spelled.setdefault(plain[:end].casefold(), plain[:end]) != plain[:end]:
                return f"the folders {plain[:end]!r} and {spelled[plain[:end].casefold()]!r} differ only in capitals"
    return _file_and_folder({name.casefold() for name in names if not name.endswith("/")} & set(spelled))


def _file_and_folder(both: set[str]) -> str | None:
    return f"{min(both)!r} in it is both a file and a folder" if both else None


def _room_for(members: Sequence[zipfile.ZipInfo], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"{folder} has {free / 1e9:.1f} GB free and unpacking needs {needed / 1e9:.1f} GB; "
                        "free some space or choose another --home.")
