"""All runs of a contest as the report lists them: their scores, how they differ from the defaults, and their histories."""

import math
from dataclasses import dataclass

import numpy as np

from pixmend import files, models, run_file
from pixmend.config import NOT_IN_A_NAME, SETTINGS, TRAIN_GROUPS, flag
from pixmend.data.dataset import FOLD
from pixmend.evaluation import leaderboard
from pixmend.training.history import History

RMSE = "holdout_rmse"
MOST_CURVES = 8
FEWEST_TO_RANK = 3
UNTOLD = NOT_IN_A_NAME | {"contest", "precision"}   # of precision, `auto` is stored as what it became on the machine


@dataclass(frozen=True)
class Run:
    """A row of leaderboard.csv with the run's stored settings, empty where its folder is gone."""

    name: str
    row: dict
    stored: dict

    def figure(self, column):
        return number(self.row.get(column))


def number(text):
    """The number in a cell of a table, or None where there is none."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def listed(settings):
    """All runs of the leaderboard, the best first, those without a holdout score last."""
    folder = settings.run_folder.parent
    rows = leaderboard.read_leaderboard(settings.submissions_folder / "leaderboard.csv")
    runs = [Run(row["run"], row, run_file.read_trained(folder / row["run"]) or {}) for row in rows]
    return sorted(runs, key=lambda run: (run.figure(RMSE) is None, run.figure(RMSE) or 0))


def differs(run, contest_defaults):
    """The run as it would be typed, word by word: its model and the flags that are not the defaults; of a mix, its members."""
    stored = run.stored
    if not stored:
        return []
    if "members" in stored:
        parts = sorted(zip(stored["weights"], stored["members"], strict=True), reverse=True)
        return [f"{weight:.2f} {member}" for weight, member in parts if weight >= 0.005]
    model = stored.get("model", "")
    usual = {name: knob.default for name, knob in SETTINGS.items()} | contest_defaults | models.default_settings(model)
    changed = [name for name in SETTINGS if name in stored and name not in UNTOLD and stored[name] != usual[name]]
    return [model, *(typed(name, stored[name]) for name in changed if not (learns_nothing(model) and of_training(name)))]


def learns_nothing(model):
    return models.is_model(model) and not models.is_trainable(model)


def of_training(name):
    return SETTINGS[name].group in TRAIN_GROUPS


def typed(name, value):
    if isinstance(value, bool):
        return flag(name) if value else flag(name).replace("--", "--no-", 1)
    return f"{flag(name)} {value:g}" if isinstance(value, float) else f"{flag(name)} {value}"


def histories(settings):
    """Columns of history.csv of this run, or of its folds, and of the best others, by the lowest RMSE that each has seen."""
    parent, this_run = settings.run_folder.parent, settings.trained_folder.name
    paths = sorted([*parent.glob("*/history.csv"), *parent.glob(f"*/{FOLD}*/history.csv")])
    found = {path.parent.relative_to(parent).as_posix(): columns(History(path).rows) for path in paths}
    found = {name: kept for name, kept in found.items() if {"step", "minutes"} < set(kept) and len(points(kept, "step", RMSE)[1])}
    order = sorted(found, key=lambda name: (name.split("/")[0] != this_run, points(found[name], "step", RMSE)[1].min()))
    return {name: found[name] for name in order[:MOST_CURVES]}


def columns(rows):
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([number(row[name]) for row in rows], float) for name in names}


def points(history, over, name):
    """Where both columns have a number; nothing where a run's losses have other names."""
    x, y = (history.get(column, np.full(len(history["step"]), np.nan)) for column in (over, name))
    told = np.isfinite(x) & np.isfinite(y)
    return x[told], y[told]


def quantities(kept):
    """What the histories tell of besides steps and minutes, the holdout's RMSE first."""
    names = dict.fromkeys(name for history in kept.values() for name in history)
    return [RMSE, *(name for name in names if name not in ("step", "minutes", RMSE))]


def over_lambda(runs):
    """Scored runs of each model that was trained with more than one LAMBDA, in groups that differ in LAMBDA alone."""
    scored = [run for run in runs if run.figure(RMSE) and "LAMBDA" in run.stored and not learns_nothing(run.stored["model"])]
    tried = {}
    for run in scored:
        tried.setdefault(run.stored["model"], set()).add(run.stored["LAMBDA"])
    groups = {}
    for run in scored:
        if len(tried[run.stored["model"]]) > 1:
            groups.setdefault(files.hash_value(run.stored | {"LAMBDA": None}), []).append(run)
    return [sorted(group, key=lambda run: run.stored["LAMBDA"]) for group in groups.values()]


def agreement(runs):
    """For public and private score, where enough runs have it beside the holdout's: those runs, and the rank correlation."""
    from scipy.stats import spearmanr

    found = {}
    for column in ("public", "private"):
        both = [run for run in runs if run.figure(RMSE) and run.figure(column)]
        pairs = np.array([(run.figure(RMSE), run.figure(column)) for run in both])
        if len(both) >= FEWEST_TO_RANK and (np.ptp(pairs, 0) > 0).all():
            found[column] = both, float(spearmanr(pairs).statistic)
    return found
