"""Kill a stage at a chosen write, and compare what two runs have left on the disk.

A write is a sync or a rename. `killed_at` kills a real process. `stopped_at` does the same to the disk inside the test's process:
before the chosen write an exception is raised, and from then on nothing can be renamed, deleted or synced.
"""

import contextlib
import hashlib
import json
import os
import signal
import threading
from pathlib import Path
from unittest import mock

import numpy as np

from support.stages import done, stage, stage_process

KILLER = Path(__file__).parent / "killer"
# What may differ between two runs: clocks, and signatures of other files' times.
CLOCKED = {".lock", "index.json", "pictures.json", "predict.json", "serialize.json", "archive.json", ".state.part"}


LARGEST_PID = 2**22 - 1


def is_main_thread():
    """Tell whether this is no thread of those that flush a folder, file by file: the rename of the folder is what counts."""
    return threading.current_thread() is threading.main_thread()


class Killed(BaseException):
    """Stands for the end of the process."""


@contextlib.contextmanager
def frozen_disk(at=0):
    """Yield a list that grows with each write of this process; before write `at`, and ever after, the disk cannot be changed."""
    writes, process = [], os.getpid()

    def watch(function, counts):
        def call(*arguments, **options):
            if os.getpid() == process:   # workers write only what their parent renames
                writes.extend([function.__name__] * (counts and is_main_thread()))
                if at and len(writes) >= at:
                    raise Killed
            return function(*arguments, **options)
        return call

    with contextlib.ExitStack() as stack:
        for name in ("fsync", "replace", "unlink", "mkdir", "rmdir"):
            stack.enter_context(mock.patch.object(os, name, watch(getattr(os, name), int(name in ("fsync", "replace")))))
        yield writes


def count_writes(name, home, *flags):
    """Run a stage to its end and return how many writes it makes."""
    with frozen_disk() as writes:
        done(stage(name, home, *flags))
    return len(writes)


def stopped_at(number, name, home, *flags):
    """Run a stage that ends before its Nth write; return False if it has fewer."""
    with frozen_disk(number), contextlib.suppress(Killed):
        done(stage(name, home, *flags))
        return False
    for part in home.rglob(f".*.{os.getpid()}.*.part"):   # as if written by a process that has ended
        part.rename(part.with_name(part.name.replace(f".{os.getpid()}.", f".{LARGEST_PID}.")))
    return True


def killed_at(number, name, home, *flags):
    """Run a stage in a process that is killed before its Nth write; return False if it has fewer."""
    env = {"PYTHONPATH": str(KILLER), "KILL_AT": str(number), "KILL_COUNT": str(home / "count")}
    result = stage_process(name, home, *flags, env=env)
    (home / "count").unlink(missing_ok=True)
    assert result.returncode in (0, -signal.SIGKILL), result.stderr
    return result.returncode != 0


def count_process_writes(name, home, *flags):
    """Run a stage in a process and return how many writes it makes."""
    done(stage_process(name, home, *flags, env={"PYTHONPATH": str(KILLER), "KILL_COUNT": str(home / "count")}))
    number = len((home / "count").read_bytes())
    (home / "count").unlink()
    return number


def outcome(home):
    """Return a hash of every file that a run leaves, without clocks and signatures."""
    return {str(path.relative_to(home)): digest(path) for path in sorted(Path(home).rglob("*"))
            if path.is_file() and not holds_times(path)}


def holds_times(path):
    """Tell whether a file holds times, as the manifest of an array file does."""
    return (path.name in CLOCKED or path.name.startswith("state-")
            or (path.suffix == ".json" and path.with_suffix(".npy").exists()))


def digest(path):
    """Return a hash of a file's content, without clocks."""
    if path.name == "history.csv":
        lines = [line.split(",") for line in path.read_text().splitlines()]
        clock = lines[0].index("minutes")
        return [line[:clock] + line[clock + 1:] for line in lines]
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return {name: hashlib.sha256(archive[name].tobytes()).hexdigest() for name in archive.files if name != "facts"}
    return hashlib.sha256(path.read_bytes()).hexdigest()


def newest_state(run):
    """Return all arrays of a run's newest state, its step and its best RMSE."""
    path = max(run.glob("state-*.npz"))
    with np.load(path, allow_pickle=False) as archive:
        metadata = json.loads(archive["facts"].tobytes())
        arrays = {name: archive[name].tobytes() for name in archive.files if name != "facts"}
    return arrays, metadata["step"], metadata["best"]
