"""Unpack a competition's archive, which is not trusted: names, sizes and checksums are checked, and it unpacks whole or not."""

import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from pixmend.errors import UserError
from pixmend.files import CHUNK, PathLike, fsync_folder, name_file_on_full_disk, replace_durably
from pixmend.progress import ProgressBar, format_size

MAX_FILES = 500_000
MAX_BYTES = 200 << 30
UNCHECKED_BYTES = 1 << 28   # up to here any compression ratio is accepted
MAX_RATIO = 150
MAX_NAME_BYTES = 255
AGAIN = "download it again from the competition's page, or delete it and run `pixmend download`."


class BadArchive(UserError):
    """An archive that is refused, with the file's name and the reason."""


def unpack_archive(path: PathLike, folder: PathLike, *, required: str = "", made_here: bool = False) -> list[zipfile.ZipInfo]:
    """Unpack an archive that has the `required` file, into a folder that appears complete or not at all; return the files."""
    folder = Path(folder)
    part, _ = name_temporary_folders(folder)
    shutil.rmtree(part, ignore_errors=True)
    try:
        with open_archive(path) as opened:
            members = check_members(path, opened, made_here)
            if required and required not in {member.filename for member in members}:
                raise BadArchive(f"{path} is a zip archive, but not of this competition: it has no {required}; {AGAIN}")
            folder.parent.mkdir(parents=True, exist_ok=True)
            check_free_space(folder.parent, sum(member.file_size for member in members))
            part.mkdir(parents=True)
            extract_members(path, opened, members, part)
        fsync_folder(part)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    replace_folder(part, folder)
    return members


def name_temporary_folders(folder: Path) -> tuple[Path, Path]:
    """Return where a folder is unpacked, and where an earlier one is while it is replaced."""
    return folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")


def check_free_space(folder: Path, needed: int) -> None:
    """Raise an error if a folder's disk has not so many bytes left."""
    if (missing := needed - shutil.disk_usage(folder).free) > 0:
        raise UserError(f"Unpacking needs {format_size(needed)} in {folder}, {format_size(missing)} more than are free. "
                        "Free some space or choose another --home.")


def replace_folder(part: Path, folder: Path) -> None:
    """Put a complete folder in the place of an earlier one."""
    _, old = name_temporary_folders(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.is_symlink():   # to files that are unpacked elsewhere, which stay
        folder.unlink()
    elif folder.exists():
        os.replace(folder, old)
    replace_durably(part, folder)
    shutil.rmtree(old, ignore_errors=True)


def extract_members(path: PathLike, opened: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], part: Path) -> None:
    """Write the members' files; zipfile checks the checksum of each after its last bytes."""
    written = 0
    with ProgressBar("unpack", len(members)) as bar:
        for member in members:
            target = part / member.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            with name_file_on_full_disk(target), open(target, "xb") as file:
                try:
                    with opened.open(member) as packed:
                        shutil.copyfileobj(packed, file, CHUNK)
                except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, struct.error):
                    raise BadArchive(f"{path} is damaged at {member.filename!r}; {AGAIN}") from None
            written += member.file_size
            bar.advance(1, f"{written >> 20} MB")


def open_archive(path: PathLike) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise BadArchive(f"{path} does not exist.") from None
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, struct.error):
        with open(path, "rb") as file:
            start = file.read(512).lstrip().lower()
        what = "not a zip archive" if start else "empty"
        if start.startswith(b"pk\x03\x04"):
            what = "a zip archive that was cut off or damaged"
        elif start.startswith((b"<!doctype", b"<html", b"{")):
            what = "a web page or an error message, not a zip archive"
        raise BadArchive(f"{path} is {what}; {AGAIN}") from None


def check_members(path: PathLike, opened: zipfile.ZipFile, made_here: bool) -> list[zipfile.ZipInfo]:
    """Return the files among the members after all checks that need no data; an archive `made_here` may be of any size."""
    members, packed = opened.infolist(), os.path.getsize(path)
    if not all(0 <= member.header_offset < packed for member in members):
        raise BadArchive(f"{path} is a zip archive that was cut off or damaged; {AGAIN}")
    reason = None if made_here else check_count_and_size(members, packed)
    reason = reason or next(filter(None, map(check_member, members)), None)
    reason = reason or check_names([member.filename for member in members])
    if reason:
        raise BadArchive(f"{path} is refused: {reason}; get it from the competition's page.")
    return [member for member in members if not member.is_dir()]


def check_count_and_size(members: Sequence[zipfile.ZipInfo], packed: int) -> str | None:
    """Return why an archive of these members, `packed` bytes in all, is refused; None if it is not."""
    total = sum(member.file_size for member in members)
    faults = {
        "it contains no files": not members,
        f"it contains {len(members)} files, more than {MAX_FILES}": len(members) > MAX_FILES,
        f"it would unpack to {total >> 30} GB, more than {MAX_BYTES >> 30} GB": total > MAX_BYTES,
        f"it would unpack to {total // packed} times its size, as a zip bomb does":
            total > max(UNCHECKED_BYTES, MAX_RATIO * packed)}
    return next((fault for fault, is_found in faults.items() if is_found), None)


def check_member(member: zipfile.ZipInfo) -> str | None:
    """Return why a member is refused; None if it is not."""
    name, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
    parts = name.removesuffix("/").split("/")
    faults = {
        "is encrypted": member.flag_bits & 1,
        "is a link or a device, not a file": kind not in (0, stat.S_IFREG, stat.S_IFDIR),
        "is compressed in an unusual way": member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
        "is an absolute path": name.startswith("/") or re.match(r"[A-Za-z]:", name),
        "has a backslash or a control character in its name": "\\" in name or re.search(r"[\x00-\x1f\x7f]", name),
        "points outside its folder": any(part in ("", ".", "..") for part in parts),
        "has too long a name": any(len(part.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES for part in parts)}
    return next((f"{name!r} in it {fault}" for fault, is_found in faults.items() if is_found), None)


def check_names(names: Sequence[str]) -> str | None:
    """Return why the names conflict: two are the same on some disks, or a file is where a folder is needed."""
    seen: set[str] = set()
    spelled: dict[str, str] = {}
    for name in names:
        plain = name.removesuffix("/")
        if plain.casefold() in seen:
            return f"{name!r} occurs twice in it, or twice except for capitals"
        seen.add(plain.casefold())
        for end in [i for i, letter in enumerate(plain) if letter == "/"]:
            if spelled.setdefault(plain[:end].casefold(), plain[:end]) != plain[:end]:
                return f"the folders {plain[:end]!r} and {spelled[plain[:end].casefold()]!r} differ only in capitals"
    both = {name.casefold() for name in names if not name.endswith("/")} & set(spelled)
    return f"{min(both)!r} in it is both a file and a folder" if both else None
