"""The page itself: what the runs' files say, put into report.html with its style and its script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import competitions, models
from pixmend.config import Settings
from pixmend.data.dataset import Dataset
from pixmend.evaluation.bootstrap import Change, bootstrap_interval, compare_rmse, compute_rmse, describe_interval
from pixmend.experiments.study_table import format_metric_title
from pixmend.reporting import charts, error_section, experiment_section, gallery, run_section, submission_section
from pixmend.reporting.run_section import RMSE, Run, describe_settings
from pixmend.scoring.baselines import find_best_baseline, find_start
from pixmend.scoring.run_score import compute_label_rmse
from pixmend.scoring.verdict import describe_run

# Columns of the leaderboard: name in leaderboard.csv, title, decimal places, explanation.
COLUMNS: tuple[tuple[str, str, int, str], ...] = (
    ("holdout_rmse", "holdout RMSE", 5, "root of the mean squared error over the missing pixels of the holdout; lower is better"),
    ("low", "95% interval", 4, "how much the RMSE varies with the choice of holdout photos"),
    ("to_harmonic", "RMSE / harmonic", 3, "the RMSE divided by that of the harmonic fill; below 1 the run is better than it"),
    ("size", "size", 0, "side of the images in pixels; a run is ranked among those of its size"),
    ("pictures", "images", 0, "holdout images; with --folds all training images, each predicted by the fold without it"),
    ("iou", "mask IoU", 4, "intersection over union of the masks that were found and the true ones"),
    ("public", "public", 5, "score of the public part of the test images: Kaggle's, or that of a solution on this machine"),
    ("private", "private", 5, "the same of the private part, which Kaggle publishes after the end of the competition"),
    ("steps", "steps", 0, "training steps"),
    ("minutes", "minutes", 1, "minutes of training"),
)


def render_page(settings: Settings, runs: Sequence[Run], score: dict[str, Any], errors: error_section.ErrorMaps,
                predicted: Mapping[str, np.ndarray], dataset: Dataset, outdated: str = "") -> str:
    """Return the page; `outdated` says that the score is not of the run's files as they are now."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    position = [run.name for run in runs].index(settings.run)
    ranked = sum(run_section.has_size(run, settings) and run.get_number(RMSE) is not None for run in runs)
    counts, sums = score["numbers"], score["fills"]
    maps, boxes = errors.get_box_maps()
    return environment.get_template("report.html").render(
        competition=settings.competition, run=runs[position], position=position + 1, ranked=ranked, runs=runs, score=score,
        interval=describe_interval(bootstrap_interval(score["sums"], counts, score["sources"])),
        photos=len(set(score["sources"])),
        verdict=describe_run(settings, score, sums), outdated=outdated,
        comparisons=compare_with_baselines(settings, score),
        described={run.name: describe_settings(run, settings) for run in runs},
        baselines=sorted(((name, compute_rmse(sums[name], counts)) for name in sums), key=lambda row: row[1]),
        experiments=experiment_section.describe_experiments(settings),
        groups=gallery.describe_groups(dataset, score, predicted), views=gallery.VIEWS, is_small=min(settings.shape[:2]) < 128,
        by_distance=charts.plot_by_distance(errors), box_maps=charts.plot_box_maps(maps) if maps else "", boxes=boxes,
        by_class=charts.plot_classes(compute_label_rmse(score), compute_label_rmse({**score, "sums": sums["harmonic"]})),
        **submission_section.describe_submissions(settings, runs), **make_columns(settings, runs),
        **plot_training(settings, runs))


def make_columns(settings: Settings, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the columns of the table, those of the competition's own metrics, and the ends of all intervals together."""
    extra = competitions.get_extra_metrics(settings)
    metrics = tuple((name, format_metric_title(name), 4, metric.what) for name, metric in extra.items())
    has_masks = any(run.get_number("iou") is not None for run in runs)
    has_sizes = len({run.get_number("size") for run in runs}) > 1
    hidden = {name for name, is_shown in (("iou", has_masks), ("size", has_sizes)) if not is_shown}
    selected = tuple(column for column in COLUMNS[3:] if column[0] not in hidden)
    ends = [value for run in runs for end in ("low", "high") if (value := run.get_number(end)) is not None]
    span = (min(ends), max(ends)) if len(set(ends)) > 1 else None
    return {"columns": COLUMNS[:3] + metrics + selected, "metric_columns": metrics, "span": span}


def compare_with_baselines(settings: Settings, score: Mapping[str, Any]) -> list[tuple[str, str, float, Change]]:
    """Return title, name and RMSE of the best baseline and of the start of a trained run, and the run's change of RMSE."""
    sums, best = score["fills"], find_best_baseline(settings, score["fills"])
    names = {"Compared with the best baseline": best}
    start = find_start(settings)
    if models.run_is_trained(settings) and start in sums and start != best:
        names["Compared with its start"] = start
    return [(title, name, compute_rmse(sums[name], score["numbers"]), compare_rmse(score["sums"], sums[name], score["sources"]))
            for title, name in names.items()]


def plot_training(settings: Settings, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the curves of all losses over steps and over minutes, a line a run, and the RMSE over LAMBDA."""
    histories, groups = run_section.read_histories(settings), run_section.group_by_lambda(runs)
    losses = dict.fromkeys(name for history in histories.values() for name in history if name not in ("step", "minutes", RMSE))
    curves = []
    for name in [RMSE, *losses] if histories else []:
        plots = {}
        for over in ("step", "minutes"):
            lines = [run_section.select_points(history, over, name) for history in histories.values()]
            plots[over] = charts.plot_curves(f"{name}-{over}", lines, over, is_rmse=name == RMSE)
        curves.append((name.replace("_rmse", " RMSE"), plots))
    return {"curves": curves, "swatches": list(zip(histories, charts.COLOURS, charts.DASHES, strict=False)),
            "over_lambda": charts.plot_over_lambda(groups, settings.run) if groups else ""}
