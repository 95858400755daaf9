"""Score the run's holdout file from disk as the grader would, beside the fills; or any --submission against a --solution."""

import datetime
import subprocess
from functools import partial
from pathlib import Path

import numpy as np

from pixmend import competitions, files, models, workers
from pixmend.config import flag
from pixmend.data import dataset
from pixmend.data.paste import paste_predictions, paste_values
from pixmend.errors import FlagError, UserError
from pixmend.evaluation import leaderboard, metrics
from pixmend.progress import ProgressBar
from pixmend.stages.serialize import entries_by_id, entries_of
from pixmend.submissions import predictions
from pixmend.training import unknown_masks
from pixmend.training.history import History

CHUNK = 16
PLACES = 5
GIVEN = "given"   # a name beside the fills'
NOT_SENT = {"public": "", "private": "", "kaggle": ""}
AS_WRITTEN = {"order": "channel_order", "scale": "value_scale"}   # in the receipt of serialize, and as settings


def main(settings):
    if settings.submission or settings.solution:
        return score_files(settings)
    if models.run_finds_masks(settings):
        return score_masks(settings, dataset.open_dataset(settings))
    return print(table(settings, *scored(settings)))


def scored(settings):
    """The run's score, kept beside it, the fills' on the same pictures, and its figures, kept in the leaderboard."""
    ready, told = dataset.open_dataset(settings), unknown_masks.open_dataset_for_prediction(settings)
    scores = competitions.get_extra_metrics(settings)
    ours = score_holdout(settings, scores, ready, told)
    floor = score_fills(settings, scores, ready)
    files.write_json(settings.run_folder / "score.json", ours | {"fills": floor["sums"], "fills_scores": floor["scores"]})
    figures = summary(ours, floor["sums"])
    figures |= hidden_solution(settings)
    if settings.unknown_masks:
        figures |= figures_of_masks(overlaps(ready, told), ready)
    board, file = settings.submissions_folder / "leaderboard.csv", competitions.get_submission_path(settings)
    outdated = NOT_SENT if file.exists() and leaderboard.has_scores_of_another_file(board, settings.run, file) else {}
    leaderboard.update_run(board, settings.run, **outdated | figures, **circumstances(settings))
    return ours, floor, figures


def score_files(settings):
    """Two files that need not be of this project, in the form of the contest's submissions and its solution."""
    if not (settings.submission and settings.solution):
        raise FlagError("--submission and --solution go together: a file of id,value and one of id,value,Usage.")
    for name, value in competitions.get_competition(settings.competition).submission.score(settings.submission, settings.solution).items():
        print(f"{name:8} " + ("no rows" if value is None else f"RMSE {value:.6f}, in 0..255 {255 * value:.3f}"))


def score_masks(settings, ready):
    """How well a run's masks agree with the true ones, on the holdout; it has painted nothing that could be scored."""
    shared = overlaps(ready, unknown_masks.LocatedMaskDataset(ready, settings.run_folder))
    figures = figures_of_masks(shared, ready)
    files.write_json(settings.run_folder / "score.json", {"ids": [row.id for row in ready.split("holdout")], "overlaps": shared})
    leaderboard.update_run(settings.submissions_folder / "leaderboard.csv", settings.run, **figures, **circumstances(settings))
    print(f"Masks of {len(shared)} holdout pictures, found by {settings.run}:\n{told_of_masks(figures)}")


def overlaps(ready, told):
    """Pixels of each holdout picture's masks, the true and the found, that lie in both and in either."""
    return [metrics.count_overlap(ready.hole(row) > 0, told.mask(row)) for row in ready.split("holdout")]


def figures_of_masks(shared, ready):
    """Intersection over union of all pictures together and as their mean, and the share of pixels that are told rightly."""
    wrong = sum(either - both for both, either in shared) / (len(shared) * ready.counts[0].size)
    return {"iou": round(metrics.compute_pooled_iou(shared), PLACES), "iou_mean": round(metrics.compute_mean_iou(shared), PLACES),
            "pixel_accuracy": round(1 - wrong, PLACES)}


def told_of_masks(figures):
    return (f"  intersection over union {figures['iou']:.4f} of all pixels together, {figures['iou_mean']:.4f} as the mean of "
            f"pictures; {figures['pixel_accuracy']:.2%} of all pixels are told rightly")


def score_holdout(settings, scores, ready, told):
    """Squared errors and number of values of each picture as the file on disk tells it, and the contest's scores.

    The file tells of missing pixels alone. Of the others, those that a run was not told to be known are as it painted them.
    """
    path, form = competitions.get_submission_path(settings, "holdout"), competitions.get_submission_format(settings, "holdout")
    rows = ready.split("holdout")
    if not path.exists():
        raise UserError(f"{path} is missing; run `python -m pixmend serialize` with the same flags first.")
    refuse_other_form(settings, path)
    values_told = form.read(path, entries_of(settings, ready, "holdout", entries_by_id(settings)), settings)
    judged = []
    with ProgressBar("score the holdout", len(rows)) as bar:
        for row, values, around in zip(rows, values_told, surroundings(settings, ready, told), strict=True):
            counts = ready.hole(row)
            known, whole = (form.to_submission_values(picture, settings) for picture in (around, ready.whole(row) / np.float32(255)))
            judged.append(judge(whole, paste_values(known, counts > 0, values), counts, scores))
            bar.advance(1, f"{bar.rate():.0f} pictures/s")
    sums, numbers, parts = zip(*judged, strict=True)
    return {"ids": [row.id for row in rows], "classes": [row.kind for row in rows], "sums": sums, "numbers": numbers,
            "scores": {name: score.over([of_picture[name] for of_picture in parts]) for name, score in scores.items()}}


def refuse_other_form(settings, path):
    """A file in another channel order or scale than these settings' would be scored as a bad one."""
    written = (files.read_json(settings.run_folder / "serialize.json") or {}).get("made_from", {})
    for told, name in AS_WRITTEN.items():
        now = getattr(settings, name)
        if (was := written.get(told, now)) != now:
            raise UserError(f"{path} was written with {flag(name)} {was}, not {now}; give {flag(name)} {was}, or run "
                            f"`python -m pixmend serialize` with {flag(name)} {now} first.")


def surroundings(settings, ready, told):
    """The pictures around their holes: as they came, or where masks are hidden, as the run has painted them."""
    rows, path = ready.split("holdout"), settings.run_folder / "holdout.npz"
    if not settings.unknown_masks:
        return (ready.damaged(row) / np.float32(255) for row in rows)
    predictions.check_same_dataset(path, told)
    return predictions.read_images(path, told, rows)


def judge(whole, mended, counts, scores):
    """Squared errors, their number, and what the contest's scores make of a picture."""
    parts = {name: score.parts(whole, mended, counts) for name, score in scores.items()}
    return *metrics.sum_squared_errors(whole, mended, counts), parts


def score_fills(settings, scores, ready):
    """Every fill on the same pictures: squared errors and scores; kept, since they depend on the holdout alone."""
    names = floor_of(settings)
    path, made_from = settings.augment_folder / "fills.json", [ready.made_from, names, list(scores)]
    kept = files.read_json(path)
    if kept and kept["made_from"] == made_from and not settings.force:
        return kept
    job = partial(fill_chunk, settings, names)
    chunks = workers.run_in_chunks(job, ready.split("holdout"), size=CHUNK, label="score the fills")
    each = [judged for chunk in chunks for judged in chunk]
    floor = {"made_from": made_from, "sums": {name: [picture[name][0] for picture in each] for name in names},
             "scores": {name: {own: score.over([picture[name][2][own] for picture in each]) for own, score in scores.items()}
                        for name in names}}
    files.write_json(path, floor)
    return floor


def floor_of(settings):
    """The fills; and the picture as given, where that shows something in its holes."""
    return [*models.list_fills(), *([GIVEN] if competitions.get_damage_competition(settings).has_constraint else [])]


def fill_chunk(settings, names, rows):
    ready, scores = dataset.open_dataset_cached(settings.augment_folder), competitions.get_extra_metrics(settings)
    fills = {name: as_given if name == GIVEN else models.get_fill(name) for name in names}
    return [one_picture(ready, row, fills, scores) for row in rows]


def as_given(picture, mask):
    return picture


def one_picture(ready, row, fills, scores):
    known, counts, whole = ready.damaged(row) / np.float32(255), ready.hole(row), ready.whole(row) / np.float32(255)
    return {name: judge(whole, paste_predictions(known, counts > 0, fill(known, counts > 0)), counts, scores) for name, fill in fills.items()}


def summary(ours, floor):
    """The figures of a row of leaderboard.csv."""
    sums, numbers = ours["sums"], ours["numbers"]
    low, high = metrics.bootstrap_interval(sums, numbers)
    value, harmonic = metrics.compute_rmse(sums, numbers), metrics.compute_rmse(floor["harmonic"], numbers)
    return {"holdout_rmse": round(value, PLACES), "low": round(low, PLACES), "high": round(high, PLACES),
            "pictures": len(sums), "harmonic_rmse": round(harmonic, PLACES), "to_harmonic": round(value / harmonic, 4),
            **{name: round(score, PLACES) for name, score in ours["scores"].items()}}


def hidden_solution(settings):
    """Public and private score, where the contest's solution lies here as the demo's does; it knows of no other damage."""
    solution = competitions.get_solution_path(settings)
    if settings.damage or not solution.exists():
        return {}
    found = competitions.get_competition(settings.competition).submission.score(competitions.get_submission_path(settings), solution)
    return {name: round(found[name], PLACES) for name in ("public", "private") if found[name] is not None}


def circumstances(settings):
    """What a reader of the table asks next: how long it took, all folds together, when, and from which commit."""
    folder = settings.trained_folder
    histories = [History(path) for path in [*folder.glob("history.csv"), *folder.glob(f"{dataset.FOLD}*/history.csv")]]
    steps, minutes = (sum(history.get_last(name) for history in histories) for name in ("step", "minutes"))
    return {"steps": f"{steps:.0f}", "minutes": f"{minutes:.1f}", "date": datetime.date.today().isoformat(), "commit": commit()}


def commit():
    """This checkout's commit, for the record; empty outside git, and where there is no git."""
    try:
        asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return asked.stdout.strip()


def table(settings, ours, floor, figures):
    """What is printed: the run, the fills, the classes, and a plain word where nothing was gained."""
    held = "the holdout" if settings.folds == 1 else f"{settings.folds} folds, each predicted by the run that never saw it"
    lines = [f"RMSE on {held} ({len(ours['ids'])} pictures, {sum(ours['numbers']):,} values; 95% interval over pictures)"]
    others = {name: (sums, floor["scores"][name]) for name, sums in floor["sums"].items() if name != settings.run}
    fill = "fill, told the masks" if settings.unknown_masks else "fill"
    runs = {settings.run: (ours["sums"], ours["scores"])} | {f"{name} ({fill})": scored for name, scored in others.items()}
    wide = max(28, *map(len, runs))
    for name, (sums, scores) in sorted(runs.items(), key=lambda item: sum(item[1][0])):
        low, high = metrics.bootstrap_interval(sums, ours["numbers"])
        value = metrics.compute_rmse(sums, ours["numbers"])
        lines.append(f"  {name:{wide}} {value:.5f}  ({low:.4f} to {high:.4f})  {value / figures['harmonic_rmse']:.3f} of harmonic"
                     + "".join(f"  {own} {score:.5g}" for own, score in scores.items()))
    lines.append("  by class: " + "  ".join(f"{kind} {value:.4f}" for kind, value in by_class(ours).items()))
    if settings.unknown_masks:
        lines.append(f"  masks found by {settings.mask_run}:\n{told_of_masks(figures)}")
    hidden = [f"{name} {figures[name]:.5f}" for name in ("public", "private") if name in figures]
    if hidden:
        lines.append(f"  on the contest's hidden solution: {', '.join(hidden)}")
    if figures["to_harmonic"] > 1 and not settings.unknown_masks:
        lines.append("  This run is above the harmonic fill, which learns nothing: train longer (--steps), weigh the "
                     "picture more (--lambda), or use --start harmonic.")
    if GIVEN in floor["sums"] and sum(ours["sums"]) > sum(floor["sums"][GIVEN]):
        lines.append("  This run is further from the truth than the picture as given: train longer (--steps), or use "
                     "--start tile_smooth.")
    return "\n".join(lines)


def by_class(ours):
    kinds, sums, numbers = np.array(ours["classes"]), np.array(ours["sums"]), np.array(ours["numbers"])
    return {kind: metrics.compute_rmse(sums[kinds == kind], numbers[kinds == kind]) for kind in sorted(set(kinds))}
