"""All runs of a competition as the page lists them: their scores, how they differ from the defaults, and their histories."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import competitions, files, models, run_file
from pixmend.config import SETTINGS, TRAIN_GROUPS, UNLIMITED_STEPS, Settings
from pixmend.data.dataset import FOLD
from pixmend.evaluation import leaderboard
from pixmend.experiments.search_space import format_flags
from pixmend.scoring.member_files import label_member
from pixmend.training.history import History

RMSE = "holdout_rmse"
MAX_CURVES = 8
MIN_WEIGHT = 0.005   # of a run in a mix; smaller ones are not listed
# `--precision auto` is stored as what it became on the machine.
NOT_SHOWN = {"competition", "model", "damage", "evaluate_every", "evaluation_images", "precision"}

Columns = dict[str, np.ndarray]   # of history.csv; NaN where a cell is empty


@dataclass(frozen=True)
class Run:
    """A row of leaderboard.csv with the run's stored settings, empty where its folder is gone."""

    name: str
    row: Mapping[str, str]
    stored: Mapping[str, Any]

    def get_number(self, column: str) -> float | None:
        return parse_number(self.row.get(column, ""))


def parse_number(text: str) -> float | None:
    """Return the number in a cell of a table, or None where there is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def list_runs(settings: Settings) -> list[Run]:
    """Return all runs of the leaderboard: first those on images of this size, of which the best first; without a score last."""
    folder = settings.run_folder.parent
    rows = leaderboard.read_leaderboard(settings.submissions_folder / "leaderboard.csv")
    runs = [Run(row["run"], row, run_file.read_trained(folder / row["run"]) or {}) for row in rows]
    return sorted(runs, key=lambda run: (not has_size(run, settings), run.get_number(RMSE) is None, run.get_number(RMSE) or 0))


def has_size(run: Run, settings: Settings) -> bool:
    """Tell whether a run is on images of this size; those of other sizes are other images, and are not ranked with it."""
    return run.get_number("size") in (None, settings.size)


def describe_settings(run: Run, settings: Settings) -> list[str]:
    """Return the run's model and the flags that are no defaults of the competition; of a mix, its members with their weights."""
    stored = run.stored
    if not stored:
        return []
    if "members" in stored:
        parts = sorted(zip(stored["weights"], stored["members"], strict=True), reverse=True)
        return [f"{weight:.2f} {label_member(member)}" for weight, member in parts if weight >= MIN_WEIGHT]
    model = stored.get("model", "")
    defaults = {name: spec.default for name, spec in SETTINGS.items()} | competitions.get_default_settings(settings)
    defaults |= models.default_settings(model, settings.competition)
    defaults |= {"steps": UNLIMITED_STEPS} if stored.get("steps") == UNLIMITED_STEPS else {}
    changed = [name for name in SETTINGS if name in stored and name not in NOT_SHOWN and stored[name] != defaults[name]]
    return [model, *(format_flags({name: stored[name]}) for name in changed
                     if not is_untrained(model) or SETTINGS[name].group not in TRAIN_GROUPS)]


def is_untrained(model: str) -> bool:
    """Tell whether a model is a fill or pretrained; a model that no longer exists counts as trained."""
    return models.is_model(model) and not models.is_trainable(model)


def read_histories(settings: Settings) -> dict[str, Columns]:
    """Return the history of this run (or of each of its folds) first, then those of the other runs with the lowest RMSE."""
    parent, this_run = settings.run_folder.parent, settings.trained_folder.name
    paths = sorted([*parent.glob("*/history.csv"), *parent.glob(f"*/{FOLD}*/history.csv")])
    found = {path.parent.relative_to(parent).as_posix(): read_columns(path.parent) for path in paths}
    lowest = {name: select_points(history, "step", RMSE)[1].min(initial=np.inf)
              for name, history in found.items() if {"step", "minutes"} < history.keys()}
    known = [name for name in lowest if np.isfinite(lowest[name])]
    order = sorted(known, key=lambda name: (name.split("/")[0] != this_run, lowest[name]))
    return {name: found[name] for name in order[:MAX_CURVES]}


def read_columns(run_folder: Path) -> Columns:
    """Return the history of a run by column."""
    rows = History(run_folder / "history.csv").rows
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([parse_number(row[name]) for row in rows], float) for name in names}


def select_points(history: Columns, over: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y where both columns have a number; none where the run has no such column."""
    x, y = (history.get(column, np.full(len(history["step"]), np.nan)) for column in (over, name))
    known = np.isfinite(x) & np.isfinite(y)
    return x[known], y[known]


def group_by_lambda(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the runs of each model that was trained with several LAMBDAs, in groups that differ in LAMBDA alone."""
    scored = [run for run in runs if run.get_number(RMSE) and "LAMBDA" in run.stored and not is_untrained(run.stored["model"])]
    tried = Counter(model for model, _ in {(run.stored["model"], run.stored["LAMBDA"]) for run in scored})
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in scored:
        if tried[run.stored["model"]] > 1:
            groups[files.hash_value({**run.stored, "LAMBDA": None})].append(run)
    return [sorted(group, key=lambda run: run.stored["LAMBDA"]) for group in groups.values()]
