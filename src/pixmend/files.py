"""Files that appear whole or not at all: written beside, synced, renamed; with hashes, receipts and a lock a folder."""

import contextlib
import fcntl
import hashlib
import json
import os
from pathlib import Path

from pixmend.errors import UserError

CHUNK = 1 << 22


@contextlib.contextmanager
def atomic_write(path, mode="wb"):
    """Open a file beside `path`; it takes that name only once all of it is on disk."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with open(part, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    replace_durably(part, path)


def replace_durably(part, path):
    """Rename a finished file or folder and make the new name itself durable."""
    os.replace(part, path)
    fsync_path(Path(path).parent)


def fsync_path(path):
    """Make a file or folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reserve_space(path):
    """Take the room on the disk that a file of holes claims."""
    with open(path, "r+b") as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, os.stat(path).st_size)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None


def write_text(path, text):
    with atomic_write(path, "w") as file:
        file.write(text)


def write_json(path, value):
    """Piece by piece, since a long list as one text takes several times its room."""
    with atomic_write(path, "w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.write("\n")


def read_json(path):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, UnicodeDecodeError, RecursionError):
        raise UserError(f"{path} is not valid JSON; delete it and run the stage that writes it again.") from None


def hash_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_value(value):
    """A short hash of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def file_signature(path):
    """What tells quickly whether a file is still the one that was written: its size and time of change."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def write_manifest(path, made_from, files):
    """Say, after the files are in place, what they were made from."""
    stamps = {str(Path(os.path.relpath(file, Path(path).parent))): file_signature(file) for file in files}
    write_json(path, {"made_from": made_from, "files": stamps})


def manifest_matches(path, made_from):
    """Whether the files named by a receipt were made from this and are untouched since."""
    receipt = read_json(path)
    if receipt is None or receipt.get("made_from") != json.loads(json.dumps(made_from)):
        return False
    folder = Path(path).parent
    return all((folder / name).exists() and file_signature(folder / name) == was for name, was in receipt["files"].items())


@contextlib.contextmanager
def try_lock(folder):
    """Hold a folder for this process; a second one is told so at once."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder} is in use by another run; wait for it to end or choose another --run.") from None
        yield


@contextlib.contextmanager
def wait_for_lock(path):
    """One process after another, each waiting for the one that holds this lock file."""
    with open(path, "a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def optional_signature(path):
    return file_signature(path) if Path(path).exists() else None
