"""Files that appear complete or not at all: temporary names, fsync, rename; with hashes, manifests and locks."""

import contextlib
import csv
import errno
import fcntl
import glob
import hashlib
import json
import math
import os
import platform
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from pixmend.errors import FULL_DISK, UserError

CHUNK = 1 << 22   # bytes that are read at once
FSYNC_THREADS = 16
NAME_BYTES = 150   # of a file's name in that of its temporary file; file systems allow 255 in all
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)   # of a network file system that is mounted without them
PathLike = str | os.PathLike[str]
_umask = os.umask(0)
os.umask(_umask)
_locks: set[int] = set()   # descriptors of the locks of this process
_has_warned = False        # that a file system has no locks


@contextlib.contextmanager
def atomic_write(path: PathLike, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that takes the name `path` only when all of it is on the disk."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{os.fsencode(path.name)[:NAME_BYTES].decode(errors='ignore')}.{identify_machine()}."
    remove_abandoned(path.parent, prefix)
    # This name is unique and made exclusively, so two writers never share a file and no link is followed.
    descriptor, name = tempfile.mkstemp(prefix=f"{prefix}{os.getpid()}.", suffix=".part", dir=path.parent)
    os.fchmod(descriptor, 0o666 & ~_umask)
    os.close(descriptor)
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with name_file_on_full_disk(path), open(name, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        replace_durably(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def name_file_on_full_disk(path: PathLike) -> Iterator[None]:
    """Add the file's name to the error of a full disk, which a write raises without one."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK and error.filename is None:
            error.filename = str(path)
        raise


def remove_abandoned(folder: Path, prefix: str) -> None:
    """Delete temporary files with this prefix whose writers, processes of this machine, have died."""
    for part in folder.glob(f"{glob.escape(prefix)}*.part"):
        if is_abandoned(part):
            part.unlink(missing_ok=True)


def identify_machine() -> str:
    """Return what stands for this machine in the names of temporary files."""
    return hash_value(platform.node())[:6]


def is_abandoned(part: Path) -> bool:
    """Tell whether the writer of a temporary file was a process of this machine and has died; of others it is not known."""
    *_, machine, writer, _, _ = ("", "", "", *part.name.split("."))   # NAME.MACHINE.PROCESS.RANDOM.part
    if machine != identify_machine() or not writer.isdigit():
        return False
    try:
        os.kill(int(writer), 0)
    except ProcessLookupError:
        return True
    except PermissionError:   # it lives, as another user's
        pass
    return False


def replace_durably(part: PathLike, path: PathLike) -> None:
    """Rename a finished file or folder, and make the new name itself durable."""
    os.replace(part, path)
    fsync_path(Path(path).parent)


def move_durably(path: PathLike, target: PathLike) -> None:
    """Rename a finished file; onto another disk copy it with its times, and delete it here only then."""
    try:
        replace_durably(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with open(path, "rb") as source, atomic_write(target) as file:
            shutil.copyfileobj(source, file, CHUNK)
        shutil.copystat(path, target)
        os.unlink(path)


def fsync_path(path: PathLike) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_folder(folder: PathLike) -> None:
    """Make a folder with everything in it durable; many calls at once, because the disk ends them together."""
    with ThreadPoolExecutor(FSYNC_THREADS) as pool:
        list(pool.map(fsync_path, [*Path(folder).rglob("*"), folder]))


def reserve_space(path: PathLike) -> None:
    """Allocate the disk space of a sparse file, so that a full disk is noticed now."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, os.stat(path).st_size)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None


def write_text(path: PathLike, text: str) -> None:
    with atomic_write(path, "w") as file:
        file.write(text)


def write_json(path: PathLike, value: Any) -> None:
    """Write JSON piece by piece, because the text of a long list needs several times its memory."""
    with atomic_write(path, "w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.write("\n")


def read_json(path: PathLike) -> Any:
    """Return the value in a JSON file; None if there is no file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not valid JSON. Delete it and run the stage that writes it again.") from None


def read_object(path: PathLike, fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the object in a JSON file, of which some fields have these types (see `has_type`); None if there is no file."""
    value = read_json(path)
    if value is None and not Path(path).exists():
        return None
    wrong = [name for name, type_ in fields.items() if not isinstance(value, dict) or not has_type(value.get(name), type_)]
    if wrong:
        raise UserError(f"{path} is damaged: {wrong[0]} is missing or wrong. Delete it and run the stage that writes it again.")
    return value


def has_type(value: Any, type_: Any) -> bool:
    """Tell whether a value from JSON is of a type: [str] is a list of texts, {str: int} an object of whole numbers."""
    if isinstance(type_, list):
        return isinstance(value, list) and all(has_type(entry, type_[0]) for entry in value)
    if isinstance(type_, dict):
        return isinstance(value, dict) and all(has_type(entry, *type_.values()) for entry in value.values())
    if type_ in (int, float):
        return type(value) is int or (type(value) is type_ and math.isfinite(value))
    return isinstance(value, type_)


@contextlib.contextmanager
def explain_damage(path: PathLike, remedy: str) -> Iterator[None]:
    """Turn what is raised while a damaged file is read into a message with the file and the remedy."""
    try:
        yield
    except (ArithmeticError, AttributeError, EOFError, LookupError, RecursionError, TypeError, ValueError, csv.Error,
            zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}). {remedy}") from None


def hash_file(path: PathLike) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_stream(file: IO[bytes]) -> str:
    """Return the hash of what a stream has left, as `hash_file` does of a file."""
    digest = hashlib.sha256()
    while data := file.read(CHUNK):
        digest.update(data)
    return digest.hexdigest()


def hash_value(value: Any) -> str:
    """Return a short hash of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def file_signature(path: PathLike) -> list[int]:
    """Return size and time of change of a file, which tell quickly whether it is still the one that was written."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def optional_signature(path: PathLike) -> list[int] | None:
    """Return the signature of a file; None if there is no file."""
    return file_signature(path) if Path(path).exists() else None


def write_manifest(path: PathLike, cache_key: Mapping[str, Any], files: Iterable[PathLike], **facts: Any) -> None:
    """Write, after the files themselves, from which inputs they were made, and further facts for the record."""
    signatures = {str(Path(os.path.relpath(file, Path(path).parent))): file_signature(file) for file in files}
    write_json(path, {**facts, "made_from": cache_key, "files": signatures})


def read_made_from(path: PathLike) -> dict[str, Any]:
    """Return from what the files of a manifest were made; nothing where there is no manifest."""
    return (read_object(path, {"made_from": dict}) or {"made_from": {}})["made_from"]


def manifest_matches(path: PathLike, cache_key: Mapping[str, Any]) -> bool:
    """Tell whether the files of a manifest were made from these inputs and are unchanged."""
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("made_from") != json.loads(json.dumps(cache_key)):
        return False
    folder, files = Path(path).parent, manifest.get("files")
    return isinstance(files, dict) and all(optional_signature(folder / name) == signature for name, signature in files.items())


@contextlib.contextmanager
def try_lock(folder: PathLike) -> Iterator[bool]:
    """Lock a folder for this process; raise an error at once if another one has. Yield whether the file system has locks."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open_lock(folder / ".lock") as file:
        try:
            works = lock_file(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder} is in use by another command. Wait until it has ended.") from None
        yield works


@contextlib.contextmanager
def wait_for_lock(path: PathLike) -> Iterator[None]:
    """Lock a file, after waiting for the process that has locked it; a wait is reported."""
    with open_lock(path) as file:
        try:
            lock_file(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another process that works in {Path(path).parent} ...", flush=True)
            lock_file(file, fcntl.LOCK_EX)
        yield


def lock_file(file: IO[bytes], operation: int) -> bool:
    """Lock an open file; where its file system has no locks, warn once and return False."""
    global _has_warned
    try:
        fcntl.flock(file, operation)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        if not _has_warned:
            print(f"{file.name}: this file system has no locks ({error.strerror}), so nothing refuses a second command for "
                  f"the same run: start only one at a time, or mount it with locks.", file=sys.stderr)
        _has_warned = True
        return False
    return True


@contextlib.contextmanager
def open_lock(path: PathLike) -> Iterator[IO[bytes]]:
    with open(path, "a+b") as file:
        _locks.add(file.fileno())
        try:
            yield file
        finally:
            _locks.discard(file.fileno())


def close_inherited_locks() -> None:
    """Close the locks that a forked worker process has inherited, so that they end with the parent process."""
    for descriptor in _locks:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _locks.clear()
