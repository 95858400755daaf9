"""Kill a stage at a chosen write, and compare what two runs have left on the disk."""

import hashlib
import json
import signal
from pathlib import Path

import numpy as np

from support.stages import done, stage_process

KILLER = Path(__file__).parent / "killer"
# What may differ between two runs: clocks, and stamps of other files' times.
CLOCKED = {".lock", "index.json", "pictures.json", "predict.json", "serialize.json", "archive.json", ".state.part"}


def outcome(home):
    """A hash of every file that a run leaves, the clock's columns and stamps left out."""
    return {str(path.relative_to(home)): digest(path) for path in sorted(Path(home).rglob("*"))
            if path.is_file() and path.name not in CLOCKED and not path.name.startswith("state-")}


def digest(path):
    if path.name == "history.csv":
        lines = [line.split(",") for line in path.read_text().splitlines()]
        clock = lines[0].index("minutes")
        return [line[:clock] + line[clock + 1:] for line in lines]
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return {name: hashlib.sha256(archive[name].tobytes()).hexdigest() for name in archive.files if name != "facts"}
    return hashlib.sha256(path.read_bytes()).hexdigest()


def newest_state(run):
    """All arrays of the newest state, and where it stands."""
    path = max(run.glob("state-*.npz"))
    with np.load(path, allow_pickle=False) as archive:
        facts = json.loads(archive["facts"].tobytes())
        arrays = {name: archive[name].tobytes() for name in archive.files if name != "facts"}
    return arrays, facts["step"], facts["best"]


def killed_at(number, name, home, *flags):
    """Run a stage that dies before its Nth sync or rename; False where it has fewer."""
    env = {"PYTHONPATH": str(KILLER), "KILL_AT": str(number), "KILL_COUNT": str(home / "count")}
    result = stage_process(name, home, *flags, env=env)
    (home / "count").unlink(missing_ok=True)
    assert result.returncode in (0, -signal.SIGKILL), result.stderr
    return result.returncode != 0


def writes(name, home, *flags):
    """How many syncs and renames the undisturbed stage makes."""
    done(stage_process(name, home, *flags, env={"PYTHONPATH": str(KILLER), "KILL_COUNT": str(home / "count")}))
    number = len((home / "count").read_bytes())
    (home / "count").unlink()
    return number
