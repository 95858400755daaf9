"""Mix the predictions of several --members into a new --run, with weights from the holdout and an honest gain.

Members' weights sum to 1, none is below 0. Under that sum the mix's squared error follows from the products of the members'
errors alone: a small matrix a source picture, which is all that is kept of the holdout. The test pictures are mixed under the
weights of the whole holdout; each holdout picture under weights that it had no part in, so that its score is an honest one.
"""

from collections import Counter
from dataclasses import replace
from itertools import repeat

import numpy as np

from pixmend import files, models, run_file
from pixmend.data import dataset
from pixmend.errors import UserError
from pixmend.submissions import averaging, predictions
from pixmend.training import unknown_masks

FOLDS = 10


def main(settings):
    ready, folder = unknown_masks.open_dataset_for_prediction(settings), settings.run_folder
    members = members_of(settings, ready)
    refuse_a_run_of_its_own(settings)
    made_from = {"set": ready.made_from, "members": {run: [files.file_signature(path) for path in npz(settings, run)] for run in members}}
    with files.try_lock(folder):
        if settings.force or not files.manifest_matches(folder / "ensemble.json", made_from):
            mix(settings, ready, members, made_from)
        print(table(settings, run_file.read_trained(folder)))


def npz(settings, run):
    folder = settings.run_folder.with_name(run)
    return [folder / "holdout.npz", folder / "test.npz"]


def members_of(settings, ready):
    """The names of the members, each looked at: all must have predicted this very set, and not have seen its holdout."""
    members = list(dict.fromkeys(name.strip() for name in settings.members.split(",") if name.strip()))
    if len(members) < 2:
        raise UserError("ensemble mixes two runs or more; name them, as in `--members a,b --run mixed`.")
    for run in members:
        check_predictions(settings, ready, run)
        check_training(settings, ready, run)
    return members


def check_predictions(settings, ready, run):
    if models.run_finds_masks(replace(settings, run=run)):
        raise UserError(f"{run} finds masks and paints no pictures; leave it out.")
    for path in npz(settings, run):
        if not path.exists():
            raise UserError(f"{path} is missing; run `python -m pixmend predict --run {run}` with that run's flags first.")
        if predictions.read_metadata(path)["set"] != ready.made_from:
            raise UserError(f"{path} was made from another prepared set or holdout than {settings.augment_folder} now holds; "
                            f"run `python -m pixmend predict --run {run}` with that run's flags again, or leave {run} out.")


def check_training(settings, ready, run):
    """Weights fitted on pictures that a member was trained on would favour that member."""
    stored = run_file.read_trained(settings.run_folder.with_name(run)) or {}
    if stored.get("model") == "ensemble":
        raise UserError(f"{run} is a mix itself, weighed on this holdout; name its members: {','.join(stored['members'])}.")
    dataset.check_same_split(settings, ready, run)


def refuse_a_run_of_its_own(settings):
    stored = run_file.read_trained(settings.run_folder) or {"model": "ensemble"}
    model = stored["model"] if "run" in settings.given else settings.model
    if model != "ensemble" or settings.snapshot:
        whose = f"a snapshot of {settings.trained_folder.name}" if settings.snapshot else f"a run of {model}"
        raise UserError(f"{settings.run_folder} is for {whose}; give the mix a name of its own with --run.")


def mix(settings, ready, members, made_from):
    """Find the weights, write the mixed predictions, then what they are made of, then the receipt."""
    holdout, test = zip(*(npz(settings, run) for run in members), strict=True)
    sources, grams, numbers = error_products(ready, ready.split("holdout"), holdout)
    weights, without, folder = best_weights(grams.sum(0)), weights_without(grams, settings.seed), settings.run_folder
    of_source = dict(zip(sources, without, strict=True))
    of_rows = {"holdout": (of_source[row.source] for row in ready.split("holdout")), "test": repeat(weights)}
    for split, paths in (("holdout", holdout), ("test", test)):
        rows = ready.split(split)
        holes = ((row.id, ready.hole(row) > 0) for row in rows)
        predictions.write_predictions(folder / f"{split}.npz", averaging.average_predictions(ready, rows, paths, of_rows[split]), holes, made_from)
    run_file.save_run(settings)
    run_file.save_trained(folder, {
        "model": "ensemble", "competition": settings.competition, "members": members, "weights": weights.tolist(),
        **figures(grams, numbers, weights, without)})
    made = [folder / name for name in ("holdout.npz", "test.npz", run_file.RUN_FILE)]
    files.write_manifest(folder / "ensemble.json", made_from, made)


def error_products(ready, rows, paths):
    """The sources, of each the products of the members' errors, summed as a grader counts, and how many values they are of."""
    grams, numbers = Counter(), Counter()
    for row, values in averaging.read_together(rows, paths, "weigh the members"):
        counts = ready.hole(row)
        mask = counts > 0
        errors = values.astype(np.float64) - ready.whole(row)[mask] / np.float32(255)
        counted = errors * counts[mask][:, None]
        grams[row.source] += np.tensordot(counted, errors, ((1, 2), (1, 2)))
        numbers[row.source] += int(counts.sum(dtype=np.int64)) * errors.shape[-1]
    return list(grams), np.stack(list(grams.values())), np.array(list(numbers.values()))


def best_weights(gram):
    """The weights under which the mix's squared error is least: sum 1, none below 0, exact.

    Least squares without negative weights, with the sum's distance from 1 as one more square, has these weights up to a
    factor: a mix of squared error q is best at the sum 1 / (1 + q), which costs q / (1 + q), the less the smaller q is.
    """
    from scipy.optimize import nnls

    values, vectors = np.linalg.eigh(gram / (gram.trace() or 1))
    roots = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    found, _ = nnls(np.vstack([roots, np.ones(len(gram))]), np.append(np.zeros(len(gram)), 1))
    return found / found.sum()


def figures(grams, numbers, weights, without):
    """RMSE on the holdout: of each member, of the mix where it was weighed, and of mixes weighed without the pictures."""
    total, number = grams.sum(0), numbers.sum()
    return {"sources": len(grams), "member_rmse": np.sqrt(total.diagonal() / number).tolist(),
            "rmse": float(np.sqrt(weights @ total @ weights / number)),
            "cross_validated_rmse": float(np.sqrt(np.einsum("si,sij,sj", without, grams, without) / number))}


def weights_without(grams, seed):
    """For each source weights from the folds it is not in."""
    if len(grams) < 2:
        raise UserError("The holdout is of one source picture, so a mix's gain cannot be checked; "
                        "run `python -m pixmend augment` with a larger --holdout.")
    fold = np.random.default_rng(seed).permutation(len(grams)) % min(FOLDS, len(grams))
    return np.stack([best_weights(grams[fold != k].sum(0)) for k in range(fold.max() + 1)])[fold]


def table(settings, made):
    """What is printed: every member's weight and RMSE, the mix both ways, and whether it is worth it."""
    lines = [f"RMSE on the holdout ({made['sources']} sources)   weight"]
    by_rmse = sorted(zip(made["member_rmse"], made["members"], made["weights"], strict=True))
    lines += [f"  {run:28} {rmse:.5f}  {weight:.4f}" for rmse, run, weight in by_rmse]
    lines += [f"  {settings.run:28} {made['rmse']:.5f}  on the pictures that its weights were chosen on",
              f"  {settings.run:28} {made['cross_validated_rmse']:.5f}  each picture under weights from others: its score"]
    best, run, _ = by_rmse[0]
    gain = 1 - made["cross_validated_rmse"] / best
    lines.append(f"  best single member: {run} {best:.5f}; the mix's cross-validated gain on it is {gain:+.2%}")
    if gain <= 0:
        lines.append(f"  The mix gains nothing on pictures that it was not weighed on; submit {run} alone, or add other members.")
    return "\n".join([*lines, f"ensemble: {settings.run_folder}/holdout.npz and test.npz"])
