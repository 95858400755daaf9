"""What the scores of a run say, in a few sentences: its RMSE, its gain on the starting point and on the best baseline."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pixmend import models, run_file
from pixmend.config import Settings
from pixmend.evaluation.bootstrap import (
    Change,
    bootstrap_interval,
    compare_rmse,
    compute_rmse,
    describe_few,
    describe_interval,
)
from pixmend.fills import describe_kind
from pixmend.networks import photos_fill
from pixmend.scoring.baselines import find_best_baseline, find_start
from pixmend.scoring.ensemble import describe_weights_by_hand
from pixmend.scoring.run_score import compute_label_rmse
from pixmend.training import checkpoints
from pixmend.training.history import History

PATIENCE = 4   # evaluations without better weights, of the advice to stop early


def describe_run(settings: Settings, scores: dict[str, Any], baselines: dict[str, list[float]]) -> list[str]:
    """Return the sentences on a run: its RMSE beside the best baseline, what training gained, and what to try next."""
    sums, counts, sources = scores["sums"], scores["numbers"], scores["sources"]
    interval = describe_interval(bootstrap_interval(sums, counts, sources))
    best = find_best_baseline(settings, baselines)
    comparison = describe_change(compare_rmse(sums, baselines[best], sources), "the best baseline")
    sentences = [f"Holdout RMSE {compute_rmse(sums, counts):.4f} ({interval}). "
                 f"Best baseline: {best}, {compute_rmse(baselines[best], counts):.4f}. {comparison}"]
    if scores.get("learned_holdout"):
        sentences.append(models.LEARNED_HOLDOUT)
    sentences += describe_weights_by_hand(run_file.read_trained(settings.run_folder) or {})
    if models.run_is_trained(settings):
        sentences += describe_training(settings, scores, baselines, best)
        sentences += compare_with_pretrained(settings, scores, baselines)
    photos = len(set(sources))
    return sentences if photos == 1 else [*sentences, *filter(None, [describe_few(photos)])]


def describe_training(settings: Settings, scores: dict[str, Any], baselines: dict[str, list[float]], best: str) -> list[str]:
    """Return what training gained on the starting point, and advice where it gained nothing."""
    step, start = find_kept_step(settings), find_start(settings)
    if step == 0:
        return [describe_no_gain(settings, baselines, best)]
    begins_at_fill = models.may_keep_first_weights(settings)   # else with weights of another run, whose RMSE no fill has
    if begins_at_fill and start not in baselines:
        return []
    sentences = []
    if begins_at_fill:
        comparison = describe_change(compare_rmse(scores["sums"], baselines[start], scores["sources"]), "it")
        rmse = compute_rmse(baselines[start], scores["numbers"])
        sentences.append(f"Compared with the starting point ({start} fill), {rmse:.4f}: {comparison}")
    if step:
        sentences.append(describe_best_step(settings, step))
    return sentences


def describe_no_gain(settings: Settings, baselines: dict[str, list[float]], best: str) -> str:
    """Return that the best weights are those with which the training began, and advice."""
    start = find_start(settings)
    if not models.may_keep_first_weights(settings):
        return f"Training found no better weights than those of {settings.init_from}, with which it began."
    if start == photos_fill.NAME:
        return (f"Training found no better weights than those of {start}, with which it began. To improve on them takes more "
                f"photos (--extra-pictures FOLDER), or more --steps in a new run.")
    from_start = f"the starting point ({start} fill)" if start in baselines else "the starting point"
    advice = ("Give more --steps, raise --lambda, or use --model window_unet, which learns fastest on a CPU."
              if settings.adversarial else "Give more --steps.")
    better = f" Start from the best baseline with --start {best}." if start in baselines and start != best else ""
    return (f"The network has not learned anything yet: the best weights are those of step 0, which give {from_start}. "
            f"{advice}{better}")


def describe_best_step(settings: Settings, step: int) -> str:
    """Return which weights are the best, and advice if training went on for as long again without better ones."""
    history = History(settings.trained_folder / "history.csv")
    last = int(history.get_last("step"))
    sentence = f"The best weights are those of step {step} of {last}."
    if last < 2 * step:
        return sentence
    since_best = history.count_since_best(models.may_keep_first_weights(settings))
    would_have_stopped = not settings.adversarial and since_best >= PATIENCE
    advice = f"; --early-stopping {PATIENCE} saves the time" if would_have_stopped else ""
    return (f"{sentence} Those after it are worse on the holdout: the network overfits the training images. "
            f"More photos (--extra-pictures FOLDER) help against that{advice}.")


def compare_with_pretrained(settings: Settings, scores: dict[str, Any], baselines: dict[str, list[float]]) -> list[str]:
    """Return whether the run is better than the network that comes with pixmend, where it did not begin with that."""
    name = photos_fill.NAME
    if name not in baselines or find_start(settings) == name:
        return []
    comparison = describe_change(compare_rmse(scores["sums"], baselines[name], scores["sources"]), "it")
    return [f"Compared with the pretrained fill {name}, {compute_rmse(baselines[name], scores['numbers']):.4f}: {comparison}"]


def find_kept_step(settings: Settings) -> int | None:
    """Return the step of the weights that predict; None for folds, snapshots and runs without weights."""
    path = checkpoints.get_weights_path(settings.trained_folder, settings.snapshot)
    if settings.snapshot or not path.exists():
        return None
    return checkpoints.read_metadata(path)["step"]


def describe_change(change: Change, other: str) -> str:
    """Return a sentence on the run's change of RMSE from another one, and its interval."""
    if not change.has_interval:
        return f"One photo is too few to tell whether this run differs from {other} (here {change.value:+.1%})."
    if not change.is_clear:
        return (f"There is no clear difference between this run and {other} "
                f"({change.value:+.1%}, 95% interval {change.low:+.1%} to {change.high:+.1%}).")
    low, high = sorted((abs(change.low), abs(change.high)))
    direction = "better" if change.value < 0 else "worse"
    return f"This run is {abs(change.value):.1%} (95% interval {low:.1%} to {high:.1%}) {direction}."


class TableRow(NamedTuple):
    """A run or a baseline in the table: the squared errors of each image, and the competition's metrics."""

    title: str
    sums: Sequence[float]
    metrics: Mapping[str, float]


def format_table(settings: Settings, scores: dict[str, Any], baselines: dict[str, Any], figures: dict[str, Any]) -> str:
    """Return what `score` prints: the run among the baselines, its RMSE by label, and the sentences on it."""
    holdout = "the holdout" if settings.folds == 1 else f"{settings.folds} folds, each predicted by the training without it"
    sources, masks = scores["sources"], " with the true masks" if settings.unknown_masks else ""
    over = "; 95% interval over photos" if len(set(sources)) > 1 else ""
    lines = [f"RMSE on {holdout} ({describe_images(sources)}, {sum(scores['numbers']):,} values{over})"]
    rows = [TableRow(settings.run, scores["sums"], scores["scores"])]
    rows += [TableRow(f"{name} ({describe_kind(name)}{masks})", sums, baselines["scores"][name])
             for name, sums in baselines["sums"].items() if name != settings.run]
    width = max(28, *(len(row.title) for row in rows))
    lines += [format_row(row, scores, figures["harmonic_rmse"], width) for row in sorted(rows, key=lambda row: sum(row.sums))]
    lines.append("  RMSE by label: " + "  ".join(f"{label} {rmse:.4f}" for label, rmse in compute_label_rmse(scores).items()))
    if settings.unknown_masks:
        lines.append(f"  masks of run {settings.mask_run!r}: {describe_masks(figures)}")
    if hidden := [f"{name} {figures[name]:.5f}" for name in ("public", "private") if name in figures]:
        lines.append(f"  RMSE on the hidden solution: {', '.join(hidden)}")
    return "\n".join([*lines, "", *describe_run(settings, scores, baselines["sums"])])


def format_row(row: TableRow, scores: dict[str, Any], harmonic_rmse: float, width: int) -> str:
    """Return a line of the table, with the metrics in the order in which the run has them."""
    rmse = compute_rmse(row.sums, scores["numbers"])
    parts = ["", f"{row.title:{width}} {rmse:.5f}"]
    if interval := bootstrap_interval(row.sums, scores["numbers"], scores["sources"]):
        parts.append("({:.4f} to {:.4f})".format(*interval))
    parts.append(f"{rmse / harmonic_rmse:.3f} times harmonic")
    return "  ".join([*parts, *(f"{metric} {row.metrics[metric]:.5g}" for metric in scores["scores"])])


def describe_images(sources: Sequence[str]) -> str:
    """Return how many images there are, and of how many photos if these are fewer."""
    photos = len(set(sources))
    of_photos = " of one photo" if photos == 1 else f" of {photos} photos"
    return f"{len(sources)} images" + (of_photos if photos < len(sources) else "")


def describe_masks(figures: dict[str, float]) -> str:
    return (f"intersection over union {figures['iou']:.4f} of all pixels together, {figures['iou_mean']:.4f} as the mean of "
            f"images; {figures['pixel_accuracy']:.2%} of all pixels are correct")
