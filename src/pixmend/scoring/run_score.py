"""Score a run from its holdout file as the grader would, and write the result beside the run and into the leaderboard."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import competitions, files, models, run_file
from pixmend.config import Settings, flag
from pixmend.data import dataset as datasets
from pixmend.data.paste import paste_values
from pixmend.errors import FlagError, UserError, replace_in_messages
from pixmend.evaluation import leaderboard, metrics
from pixmend.evaluation.bootstrap import bootstrap_interval, compute_rmse
from pixmend.progress import track
from pixmend.scoring.baselines import score_baselines, score_image
from pixmend.setting_values import format_folder_command, format_run_command
from pixmend.submissions import predictions
from pixmend.submissions.csv_reader import WRITE_AGAIN
from pixmend.training import run_submissions, unknown_masks
from pixmend.training.history import History

PLACES = 5
SCORE_FILE, FILE_HASH = "score.json", "holdout_sha256"   # the hash is of the file that was scored
SCORE_FIELDS = {"ids": [str], "classes": [str], "sums": [float], "numbers": [int], "scores": dict, "fills": {str: [float]}}
MASK_SCORE_FIELDS = {"ids": [str], "overlaps": [[int]]}


def score_run(settings: Settings) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the scores of a run, those of the baselines, and the figures of the leaderboard; all are written to disk."""
    dataset, predicted = datasets.open_dataset(settings), unknown_masks.open_dataset_for_prediction(settings)
    path = competitions.get_submission_path(settings, "holdout")
    digest = files.hash_file(path) if path.exists() else ""
    scores, baselines = score_holdout(settings, dataset, predicted), score_baselines(settings, dataset)
    scores["learned_holdout"] = models.depends_on_photos_weights(settings) and models.has_learned_holdout(settings, dataset)
    figures = summarize(scores, baselines["sums"]) | score_solution(settings)
    if files.hash_file(path) != digest:
        raise UserError(f"{path} was written again while it was scored. Run the same command again.")
    stored = scores | {"fills": baselines["sums"], "fills_scores": baselines["scores"], FILE_HASH: digest}
    files.write_json(settings.run_folder / SCORE_FILE, stored)
    if settings.unknown_masks:
        figures |= compare_masks(dataset, predicted)[1]
    board, file = settings.submissions_folder / "leaderboard.csv", competitions.get_submission_path(settings)
    update_leaderboard(settings, **leaderboard.blank_old_scores(board, settings.run, file) | figures)
    return scores, baselines, figures


def read_score(folder: Path, fields: Mapping[str, Any] = SCORE_FIELDS) -> dict[str, Any] | None:
    """Return the stored scores of a run; None if it has none. Older ones name no sources: each image is one of its own."""
    stored = files.read_object(folder / SCORE_FILE, fields)
    if stored is None:
        return None
    score = {"sources": stored["ids"]} | stored
    lists = [score[name] for name in (*fields, "sources") if isinstance(score[name], list)]
    if not files.has_type(score["sources"], [str]) or any(len(values) != len(score["ids"]) for values in lists):
        raise UserError(f"{folder / SCORE_FILE} is damaged: its lists do not fit together. Score the run again: "
                        f"{format_folder_command('score', folder)}")
    return score


def score_holdout(settings: Settings, dataset: Any, predicted: Any) -> dict[str, Any]:
    """Return squared errors and counts of each holdout image, read from the file on disk, and the competition's metrics."""
    path = competitions.get_submission_path(settings, "holdout")
    if not path.exists():
        raise UserError(f"Run {settings.run!r} has no holdout file ({path}). Write it first: "
                        f"{format_run_command('serialize', settings.run, settings)}")
    if (source := settings.run_folder / "holdout.npz").exists():
        predictions.check_same_dataset(source, predicted)
    run_submissions.check_written(settings, "holdout")
    check_written_form(settings, path)
    format_, extra = competitions.get_submission_format(settings, "holdout"), competitions.get_extra_metrics(settings)
    rows = dataset.split("holdout")
    records = competitions.order_records(settings, dataset, "holdout", competitions.read_records(settings))
    written, around = format_.read(path, records, settings), read_known_pixels(settings, dataset, predicted)
    scored = []
    for row, values, image in zip(track(rows, "score the holdout"), written, around, strict=True):
        counts = dataset.read_counts(row)
        known = format_.to_submission_values(image, settings)
        original = format_.to_submission_values(dataset.read_original(row) / np.float32(255), settings)
        scored.append(score_image(original, paste_values(known, counts > 0, values), counts, extra))
    sums, counts, parts = zip(*scored, strict=True)
    return {"ids": [row.id for row in rows], "classes": [row.label for row in rows], "sources": [row.source for row in rows],
            "sums": sums, "numbers": counts,
            "scores": {name: metric.over([image[name] for image in parts]) for name, metric in extra.items()}}


def check_written_form(settings: Settings, path: Path) -> None:
    """Raise an error if the file was written with another channel order or value scale than these settings."""
    for name, written in run_file.read_written_form(settings).items():
        wanted = getattr(settings, name)
        if written != wanted:
            raise UserError(f"{path} was written with {flag(name)} {written}, not {wanted}. Give {flag(name)} {written}, or "
                            f"write it again: {format_run_command('serialize', settings.run, settings, flag(name), str(wanted))}")


def read_known_pixels(settings: Settings, dataset: Any, predicted: Any) -> Iterator[np.ndarray]:
    """Return the images around the missing pixels: as given, or with unknown masks as the run predicted them."""
    rows, path = dataset.split("holdout"), settings.run_folder / "holdout.npz"
    if not settings.unknown_masks:
        return (dataset.read_damaged(row) / np.float32(255) for row in rows)
    predictions.check_same_dataset(path, predicted)
    return predictions.read_images(path, predicted, rows)


def summarize(scores: dict[str, Any], baselines: dict[str, list[float]]) -> dict[str, Any]:
    """Return the figures of a row of the leaderboard."""
    sums, counts = scores["sums"], scores["numbers"]
    interval = bootstrap_interval(sums, counts, scores["sources"])
    low, high = [round(end, PLACES) for end in interval] if interval else ("", "")
    rmse, harmonic = compute_rmse(sums, counts), compute_rmse(baselines["harmonic"], counts)
    return {"holdout_rmse": round(rmse, PLACES), "low": low, "high": high, "pictures": len(sums),
            "harmonic_rmse": round(harmonic, PLACES), "to_harmonic": round(rmse / harmonic, 4),
            **{name: round(value, PLACES) for name, value in scores["scores"].items()}}


def score_solution(settings: Settings) -> dict[str, float]:
    """Return public and private RMSE if the competition's solution is on this machine."""
    solution = competitions.get_solution_path(settings)
    if settings.damage or not solution.exists():
        return {}
    format_ = competitions.get_competition(settings.competition).submission
    found = format_.score(competitions.get_submission_path(settings), solution)
    return {name: round(rmse, PLACES) for name in ("public", "private") if (rmse := found[name]) is not None}


def update_leaderboard(settings: Settings, **figures: Any) -> None:
    """Write figures, image size, steps and minutes of training (of all folds together), date and commit of a run."""
    folder = settings.trained_folder
    histories = [History(path) for path in [*folder.glob("history.csv"), *folder.glob(f"{datasets.FOLD}*/history.csv")]]
    steps, minutes = (sum(history.get_last(name) for history in histories) for name in ("step", "minutes"))
    checkout = run_file.describe_checkout()
    leaderboard.update_run(settings.submissions_folder / "leaderboard.csv", settings.run, **figures, size=settings.size,
                           steps=f"{steps:.0f}", minutes=f"{minutes:.1f}", date=checkout["date"],
                           commit=run_file.format_commit(checkout))


def score_masks(settings: Settings) -> dict[str, float]:
    """Return how well the masks of a run agree with the true masks of the holdout; the result is written to disk."""
    dataset = datasets.open_dataset(settings)
    overlaps, figures = compare_masks(dataset, unknown_masks.LocatedMaskDataset(dataset, settings.run_folder))
    ids = [row.id for row in dataset.split("holdout")]
    files.write_json(settings.run_folder / SCORE_FILE, {"ids": ids, "overlaps": overlaps})
    update_leaderboard(settings, **figures)
    return figures


def compare_masks(dataset: Any, found: Any) -> tuple[list[tuple[int, int]], dict[str, float]]:
    """Return intersection and union of the true and the found mask of each holdout image, in pixels, and their figures."""
    overlaps = [metrics.count_overlap(dataset.read_counts(row) > 0, found.mask(row)) for row in dataset.split("holdout")]
    wrong = sum(union - intersection for intersection, union in overlaps) / (len(overlaps) * dataset.counts[0].size)
    iou, iou_mean = metrics.compute_pooled_iou(overlaps), metrics.compute_mean_iou(overlaps)
    figures = {"iou": iou, "iou_mean": iou_mean, "pixel_accuracy": 1 - wrong}
    return overlaps, {name: round(value, PLACES) for name, value in figures.items()}


def score_files(settings: Settings) -> dict[str, float | None]:
    """Return the scores of any submission against any solution in the competition's format."""
    if not (settings.submission and settings.solution):
        raise FlagError("--submission and --solution go together: a file of id,value and one of id,value,Usage.")
    format_ = competitions.get_competition(settings.competition).submission
    advice = f"correct it, or name with --competition the one whose format it has; this one is {settings.competition}"
    with replace_in_messages({WRITE_AGAIN: advice}):
        return format_.score(Path(settings.submission), Path(settings.solution))


def compute_label_rmse(scores: dict[str, Any]) -> dict[str, float]:
    labels, sums, counts = np.array(scores["classes"]), np.array(scores["sums"]), np.array(scores["numbers"])
    return {label: compute_rmse(sums[labels == label], counts[labels == label]) for label in sorted(set(labels.tolist()))}
