"""Checkpoints: states, from which a run continues, and weights, with which it predicts.

Both are .npz files: arrays named GROUP/NUMBER (groups are model, optimizer and metrics; weights have the first alone), and
JSON metadata in `facts`. They hold no code, and they are written atomically. The name of a state ends in the first digits of its
own sha256, so a damaged one is recognized, and the state before it is used.
"""

import contextlib
import itertools
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from pixmend import files
from pixmend.errors import UserError
from pixmend.progress import print_message
from pixmend.setting_values import check_value, format_folder_command

STATES = 2   # how many of a run stay on the disk
HASH_DIGITS = 12   # in the name of a state
STATE_PART = ".state.part"   # a state that is being written; the run's lock keeps others from it
REMEDY = "Delete it and run the same command again."

Groups = dict[str, list[np.ndarray]]
Shapes = dict[str, list[tuple[int, ...]]]


class OtherShapes(UserError):
    """A checkpoint that is not damaged, but is one of another network."""


def get_shapes(groups: Mapping[str, Iterable[Any]]) -> Shapes:
    return {group: [tuple(variable.shape) for variable in variables] for group, variables in groups.items()}


def save_state(folder: Path, step: int, groups: Groups, metadata: Mapping[str, Any]) -> None:
    """Write state-STEP-HASH.npz and delete all but the newest two states."""
    part = folder / STATE_PART
    with files.name_file_on_full_disk(part), open(part, "wb") as file:
        _write(file, groups, metadata)
        file.flush()
        os.fsync(file.fileno())
    files.replace_durably(part, folder / f"state-{step:09}-{files.hash_file(part)[:HASH_DIGITS]}.npz")
    for old in list_states(folder)[STATES:]:
        old.unlink()


def list_states(folder: Path) -> list[Path]:
    """Return the files of a run's states, the newest one first; copies under other names are left alone."""
    return sorted(folder.glob(f"state-[0-9]*-{'[0-9a-f]' * HASH_DIGITS}.npz"), reverse=True)


def find_newest_step(folder: Path) -> int:
    """Return the step of a run's newest state, as its name says; 0 where there is none."""
    return max((int(path.stem.split("-")[1]) for path in list_states(folder)), default=0)


def has_state(folder: Path) -> bool:
    """Tell whether a run can continue from a state that is not damaged."""
    return any(map(is_undamaged, list_states(folder)))


def is_undamaged(state: Path) -> bool:
    return files.hash_file(state)[:HASH_DIGITS] == state.stem.rsplit("-", 1)[1]


def load_newest_state(folder: Path, shapes: Shapes) -> tuple[Groups, dict[str, Any]] | None:
    """Return arrays and metadata of the newest undamaged state, or None; damaged ones are reported and deleted."""
    for path in list_states(folder):
        if is_undamaged(path):
            groups, metadata = read_checkpoint(path, shapes)
            with files.explain_damage(path, REMEDY):
                check_value("minutes", metadata["minutes"], str(path))
                if metadata["best"] is not None and not 0 <= metadata["best"] < math.inf:
                    raise ValueError("best")
            return groups, metadata
        path.unlink()
        where = "continues from the state before it" if list_states(folder) else "begins again"
        print_message(f"{path} is damaged and was deleted; training {where}.")
    return None


def get_weights_path(folder: Path, snapshot: str = "") -> Path:
    return folder / (f"snapshot-{snapshot}.npz" if snapshot else "best.npz")


def find_weights(run_folder: Path, fold: str = "", snapshot: str = "") -> Path:
    """Return the weights file of a run, or of one of its folds; if it is missing, say how to get it."""
    folder, run = run_folder / fold, run_folder.name
    path = get_weights_path(folder, snapshot)
    if path.exists():
        return path
    if snapshot:
        existing = sorted((path.stem.removeprefix("snapshot-") for path in folder.glob("snapshot-*.npz")), key=int)
        raise UserError(f"Run {run!r} has no snapshot {snapshot} ({path}); it has: {', '.join(existing) or 'none'}. "
                        f"They are of the last half of a training that was not ended early. Train it with more of them: "
                        f"{format_folder_command('train', folder, '--snapshots', snapshot, '--force')}")
    raise UserError(f"Run {run!r} has no trained weights ({path}). Train it first: {format_folder_command('train', folder)}")


def save_weights(path: Path, weights: list[np.ndarray], metadata: Mapping[str, Any]) -> None:
    with files.atomic_write(path) as file:
        _write(file, {"model": weights}, metadata)


def _write(file: IO[bytes], groups: Groups, metadata: Mapping[str, Any]) -> None:
    arrays = {f"{group}/{i:05}": array for group, values in groups.items() for i, array in enumerate(values)}
    np.savez(file, allow_pickle=False, facts=np.frombuffer(json.dumps(metadata).encode(), np.uint8), **arrays)


def read_metadata(path: Path) -> dict[str, Any]:
    with open_checkpoint(path) as (_, metadata):
        return metadata


@contextlib.contextmanager
def open_checkpoint(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield the archive and its metadata, whose step is a possible one."""
    with files.explain_damage(path, REMEDY), np.load(path, allow_pickle=False) as archive:
        metadata = json.loads(archive["facts"].tobytes())
        if metadata["step"] != 0:
            check_value("steps", metadata["step"], str(path))
        yield archive, metadata


def read_checkpoint(path: Path, shapes: Shapes) -> tuple[Groups, dict[str, Any]]:
    """Return arrays by group, and metadata; all arrays must have the shapes of the variables that they are for."""
    names = {group: [f"{group}/{i:05}" for i in range(len(wanted))] for group, wanted in shapes.items()}
    with open_checkpoint(path) as (archive, metadata):
        has_all = {"facts", *itertools.chain(*names.values())} == {*archive.files}
        groups = {group: [archive[name] for name in names[group]] for group in names if has_all}
    if get_shapes(groups) != shapes:
        raise OtherShapes(f"{path} holds weights of other shapes than the settings beside it describe. "
                        f"Restore both files from the same run, or train the run anew with --force.")
    if not all(np.isfinite(array).all() for array in groups["model"]):
        raise UserError(f"{path} holds weights that are not finite numbers. {REMEDY}")
    return groups, metadata
