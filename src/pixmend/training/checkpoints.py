"""Saved states: weights, optimizer, seeds and step as plain arrays with JSON, never code; whole files, two kept.

A state's file name ends in the first digits of its own sha256, so a damaged one is known and the one before is taken.
"""

import json
import os
from pathlib import Path

import numpy as np

from pixmend import files
from pixmend.errors import UserError
from pixmend.progress import say

KEPT = 2


def save_state(folder, step, groups, facts):
    """Write state-STEP-HASH.npz and drop all but the newest two."""
    part = Path(folder) / ".state.part"
    with open(part, "wb") as file:
        _write(file, groups, facts)
        file.flush()
        os.fsync(file.fileno())
    files.move_into_place(part, Path(folder) / f"state-{step:09}-{files.sha256(part)[:12]}.npz")
    for old in list_states(folder)[KEPT:]:
        old.unlink()


def list_states(folder):
    """The state files, newest first."""
    return sorted(Path(folder).glob("state-*.npz"), reverse=True)


def load_newest_state(folder, shapes):
    """(groups, facts) of the newest state that is undamaged, or None; a damaged one is named and dropped."""
    for path in list_states(folder):
        if files.sha256(path)[:12] == path.stem.rsplit("-", 1)[1]:
            return read_checkpoint(path, shapes)
        say(f"{path} is damaged and was dropped; the state before it is taken.")
        path.unlink()
    return None


def list_snapshots(folder):
    """The numbers of the snapshots that a run has kept, as text."""
    return sorted((path.stem.removeprefix("snapshot-") for path in Path(folder).glob("snapshot-*.npz")), key=int)


def get_weights_path(folder, snapshot=""):
    """Where a run keeps its best weights, or those of a snapshot by number."""
    return Path(folder) / (f"snapshot-{snapshot}.npz" if snapshot else "best.npz")


def save_weights(path, weights, facts):
    with files.whole_file(path) as file:
        _write(file, {"model": weights}, facts)


def _write(file, groups, facts):
    arrays = {f"{group}/{i:05}": array for group, values in groups.items() for i, array in enumerate(values)}
    np.savez(file, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)


def read_checkpoint(path, shapes):
    """Arrays by group and the facts; every shape is checked against the model of the settings before anything is used."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            facts = json.loads(archive["facts"].tobytes())
            groups = {group: [archive[f"{group}/{i:05}"] for i in range(len(wanted))] for group, wanted in shapes.items()}
            extra = len(archive.files) - 1 - sum(map(len, groups.values()))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `python -m pixmend train` with the same flags first.") from None
    except Exception as error:
        raise UserError(f"{path} is damaged or no checkpoint of this project ({type(error).__name__}); "
                        f"delete it and run the same command again.") from None
    found = {group: [array.shape for array in arrays] for group, arrays in groups.items()}
    if extra or found != {group: [tuple(s) for s in wanted] for group, wanted in shapes.items()}:
        raise UserError(f"{path} holds weights of other shapes than its settings.json describes; "
                        f"restore both from the same run, or train anew with --force.")
    return groups, facts
