"""The page itself: what the runs' files say, put into report.html with its style and its script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import competitions, models
from pixmend.config import Settings
from pixmend.data.dataset import Dataset
from pixmend.evaluation.bootstrap import Change, compare_rmse, compute_rmse
from pixmend.evaluation.metrics import bootstrap_interval
from pixmend.reporting import charts, error_section, gallery, run_section, study_section, sweep_section
from pixmend.reporting.run_section import Run
from pixmend.scoring.baselines import GIVEN
from pixmend.scoring.run_score import rmse_by_label
from pixmend.scoring.verdict import describe_run

# Columns of the leaderboard: name in leaderboard.csv, title, decimal places, explanation.
Column = tuple[str, str, int, str]
COLUMNS: tuple[Column, ...] = (
    ("holdout_rmse", "holdout RMSE", 5, "root of the mean squared error over the missing pixels of the holdout; lower is better"),
    ("low", "95% interval", 4, "how much the RMSE varies with the choice of holdout images"),
    ("to_harmonic", "RMSE / harmonic", 3, "the RMSE divided by that of the harmonic fill; below 1 the run is better than that fill"),
    ("pictures", "images", 0, "holdout images; with --folds all training images, each predicted by the run that was not trained on it"),
    ("iou", "mask IoU", 4, "intersection over union of the masks that were found and the true ones"),
    ("public", "public", 5, "public score at Kaggle"),
    ("private", "private", 5, "private score at Kaggle, published after the end of the competition"),
    ("steps", "steps", 0, "training steps"),
    ("minutes", "minutes", 1, "minutes of training"),
)


def render_page(settings: Settings, runs: Sequence[Run], score: dict[str, Any], errors: error_section.ErrorMaps,
                predicted: Mapping[str, np.ndarray], dataset: Dataset) -> str:
    """Return the page's HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    position = [run.name for run in runs].index(settings.run)
    metric_columns = make_metric_columns(settings)
    defaults = competitions.get_default_settings(settings)
    maps, boxes = errors.get_box_maps()
    return environment.get_template("report.html").render(
        competition=settings.competition, run=runs[position], position=position + 1, runs=runs, span=get_interval_span(runs),
        interval=bootstrap_interval(score["sums"], score["numbers"]), verdict=describe_run(settings, score, score["fills"]),
        comparisons=compare_with_baselines(settings, score),
        columns=select_columns(runs, metric_columns), metric_columns=metric_columns, score=score, baselines=list_baselines(score),
        described={run.name: run_section.describe_settings(run, defaults) for run in runs},
        sweeps=sweep_section.describe_sweeps(settings), studies=study_section.describe_studies(settings),
        groups=gallery.describe_groups(dataset, score, predicted), views=gallery.VIEWS, is_small=min(settings.shape[:2]) < 128,
        by_distance=charts.plot_by_distance(errors), box_maps=charts.plot_box_maps(maps) if maps else "", boxes=boxes,
        by_class=charts.plot_classes(rmse_by_label(score), rmse_by_label({**score, "sums": score["fills"]["harmonic"]})),
        **plot_training(settings, runs), **plot_agreement(runs, settings.run))


def select_columns(runs: Sequence[Run], metric_columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Return the columns of the table; that of masks only if a run has found some."""
    selected = tuple(column for column in COLUMNS if column[0] != "iou" or any(run.get_number("iou") is not None for run in runs))
    return selected[:3] + metric_columns + selected[3:]


def make_metric_columns(settings: Settings) -> tuple[Column, ...]:
    """Return the columns of the competition's own metrics."""
    extra = competitions.get_extra_metrics(settings)
    return tuple((name, name.replace("_255", " in 0..255"), 4, metric.what) for name, metric in extra.items())


def get_interval_span(runs: Sequence[Run]) -> tuple[float, float] | None:
    """Return the lowest and the highest end of all intervals; None where there is no interval."""
    ends = [run.get_number(end) for run in runs for end in ("low", "high")]
    known = [end for end in ends if end is not None]
    return (min(known), max(known)) if known and max(known) > min(known) else None


def list_baselines(score: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the name and the RMSE of each baseline on the same images, the best first."""
    rows = [(name, compute_rmse(sums, score["numbers"])) for name, sums in score["fills"].items()]
    return sorted(rows, key=lambda row: row[1])


def compare_with_baselines(settings: Settings, score: Mapping[str, Any]) -> list[tuple[str, str, float, Change]]:
    """Return title, baseline, its RMSE and the run's change of RMSE: for the best baseline, and for the start of a trained run."""
    baselines, counts = score["fills"], score["numbers"]
    best = min((name for name in baselines if name not in (settings.model, GIVEN)), key=lambda name: sum(baselines[name]))
    names = {"Compared with the best baseline": best}
    if models.is_trainable(settings.model) and settings.start in baselines and settings.start != best:
        names["Compared with its start"] = settings.start
    return [(title, name, compute_rmse(baselines[name], counts), compare_rmse(score["sums"], baselines[name], counts))
            for title, name in names.items()]


def plot_training(settings: Settings, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the curves of all losses over steps and over minutes, a line a run, and the RMSE over LAMBDA."""
    histories = run_section.read_histories(settings)

    def plot(name: str, over: str) -> str:
        lines = [run_section.select_points(history, over, name) for history in histories.values()]
        return charts.plot_curves(f"{name}-{over}", lines, over, is_rmse=name == run_section.RMSE)

    names = run_section.list_quantities(histories) if histories else []
    groups = run_section.group_by_lambda(runs)
    return {"curves": [(name.replace("_rmse", " RMSE"), {over: plot(name, over) for over in ("step", "minutes")}) for name in names],
            "swatches": list(zip(histories, charts.COLOURS, charts.DASHES, strict=False)),
            "over_lambda": charts.plot_over_lambda(groups, settings.run) if groups else ""}


def plot_agreement(runs: Sequence[Run], this_run: str) -> dict[str, Any]:
    """Return the scores at Kaggle over the holdout RMSE, and their rank correlation."""
    found = run_section.correlate_scores(runs)
    return {"agreement": charts.plot_agreement(found, this_run) if found else "", "min_runs": run_section.MIN_RUNS_TO_RANK,
            "ranks": [(column, len(both), rank) for column, (both, rank) in found.items()]}
