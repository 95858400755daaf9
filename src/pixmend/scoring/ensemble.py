"""Mix the predictions of several runs, and of files of others, with weights from the holdout and an honest estimate of the gain.

The weights are not negative and sum to 1. Then the squared error of the mix follows from the products of the members' errors: one
small matrix (members x members) for each source photo, which is all that is kept of the holdout. Test images are mixed with the
weights of the whole holdout, and each holdout image with weights that were chosen without its source.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pixmend import files, models, run_file
from pixmend.config import Settings, flag
from pixmend.data import dataset as datasets
from pixmend.errors import UserError
from pixmend.networks import photos_fill
from pixmend.scoring import member_files
from pixmend.scoring.member_files import MemberFile
from pixmend.setting_values import MEMBER_FILE, format_off, split_members
from pixmend.submissions import predictions
from pixmend.training import unknown_masks

FOLDS = 10


class Member(NamedTuple):
    """What is mixed: the folder of its predictions, and its weight if that is given by hand; else the holdout decides it."""

    name: str
    folder: Path
    weight: float | None = None


class MixWeights(NamedTuple):
    """The weights of all members for test images, those of the measured ones for each source of the holdout, and the scores."""

    of_test: np.ndarray
    of_source: dict[str, np.ndarray]
    scores: dict[str, Any]


def mix_run(settings: Settings) -> dict[str, Any]:
    """Write the mixed predictions of the members as a run of its own, unless they are up to date; return weights and scores."""
    prepared = datasets.read_prepared_settings(settings.augment_folder)
    settings = replace(settings, **{name: value for name, value in prepared.items() if name not in settings.given})
    dataset, folder = unknown_masks.open_dataset_for_prediction(settings), settings.run_folder
    runs, others = list_members(settings, dataset)
    check_mixed_run(settings)
    keys: dict[str, Any] = {run: [files.file_signature(path) for path in list_files(settings, run)] for run in runs}
    keys |= {other.name: member_files.build_cache_key(settings, other) for other in others}
    cache_key = {"set": dataset.cache_key, "members": keys, "seed": settings.seed}
    with files.try_lock(folder):
        if settings.force or not files.manifest_matches(folder / "ensemble.json", cache_key):
            with member_files.unpack_files(settings, dataset, others, runs[0]) as (folders, conversions):
                members = [Member(run, folder.with_name(run)) for run in runs]
                members += [Member(other.name, place, other.weight) for other, place in zip(others, folders, strict=True)]
                record = member_files.describe_files(others, keys, conversions)
                write_mix(settings, dataset, members, cache_key, record)
        return (run_file.read_trained(folder) or {}) | {"learned_holdout": list_learned(settings, dataset, runs)}


def list_learned(settings: Settings, dataset: Any, runs: Sequence[str]) -> list[str]:
    """Return the members that have learned from photographs of the holdout, by what `photos` has learned."""
    has_learned = models.has_learned_holdout(settings, dataset)
    return [run for run in runs if has_learned and models.depends_on_photos_weights(replace(settings, run=run))]


def list_files(settings: Settings, run: str) -> list[Path]:
    folder = settings.run_folder.with_name(run)
    return [folder / "holdout.npz", folder / "test.npz"]


def list_members(settings: Settings, dataset: Any) -> tuple[list[str], list[MemberFile]]:
    """Return the members that are runs, and those that are files of others, after a check of each."""
    members = split_members(settings.members)
    runs = [name for name in members if not MEMBER_FILE.fullmatch(name)]
    if len(members) < 2:
        raise UserError("An ensemble needs two runs or more: pixmend ensemble --members a,b --run mixed")
    if not runs:
        raise UserError("An ensemble needs a run of your own, with which files of others are compared: "
                        f"pixmend ensemble --members RUN,{settings.members} --run mixed")
    for run in runs:
        check_member(settings, dataset, run)
    others = [member_files.find_member_file(name) for name in members if name not in runs]
    check_files(settings, others)
    return runs, others


def check_files(settings: Settings, others: Sequence[MemberFile]) -> None:
    """Raise an error for files where they cannot be mixed, or whose weights by hand leave nothing for the other members."""
    if others and settings.unknown_masks:
        raise UserError(f"{others[0].name} has values of the missing pixels only, and with --unknown-masks runs predict all that "
                        "they take for missing. Leave it out.")
    if (total := sum(other.weight or 0 for other in others)) >= 1:
        raise UserError(f"The weights by hand in --members sum to {total:g}, which leaves nothing for the other members. "
                        "Give smaller ones.")


def check_member(settings: Settings, dataset: Any, run: str) -> None:
    """Raise an error for a run that did not predict this dataset, or was trained on its holdout; its weight would be too high."""
    if models.run_finds_masks(replace(settings, run=run)):
        raise UserError(f"Run {run!r} finds masks and predicts no images. Leave it out.")
    trained = run_file.read_trained(settings.run_folder.with_name(run)) or {}
    if trained.get("unknown_masks", settings.unknown_masks) != settings.unknown_masks:
        given = flag("unknown_masks") if trained["unknown_masks"] else format_off("unknown_masks")
        raise UserError(f"Run {run!r} was trained with {given}. Give the ensemble {given}, too, or leave the run out.")
    for path in list_files(settings, run):
        predictions.check_same_dataset(path, dataset)
    if trained.get("model") == "ensemble":
        raise UserError(f"Run {run!r} is an ensemble itself, with weights from this holdout. Name its members: "
                        f"{','.join(trained['members'])}")
    datasets.check_same_split(settings, dataset, run)


def check_mixed_run(settings: Settings) -> None:
    """Raise an error if the folder of the mix belongs to another kind of run."""
    trained = run_file.read_trained(settings.run_folder) or {"model": "ensemble"}
    model = trained["model"] if "run" in settings.given else settings.model
    if model != "ensemble" or settings.snapshot:
        owner = f"a snapshot of {settings.trained_folder.name}" if settings.snapshot else f"a run of {model}"
        raise UserError(f"{settings.run_folder} is for {owner}. Give the ensemble a name of its own with --run.")


def write_mix(settings: Settings, dataset: Any, members: Sequence[Member], cache_key: dict[str, Any],
              record: Mapping[str, Any]) -> None:
    """Choose the weights, then write the mixed predictions, what they are made of, and the manifest."""
    measured = [member for member in members if member.weight is None]
    by_hand = [member for member in members if member.weight is not None]
    ordered, folder = [*measured, *by_hand], settings.run_folder
    holdout = [member.folder / "holdout.npz" for member in measured]
    weights = choose_weights(dataset, holdout, [member.weight or 0 for member in by_hand], settings.seed)
    holdout_weights = (weights.of_source[row.source] for row in dataset.split("holdout"))
    write_mixed_images(folder / "holdout.npz", dataset, holdout, holdout_weights, cache_key)
    test = [member.folder / "test.npz" for member in ordered]
    write_mixed_images(folder / "test.npz", dataset, test, repeat(weights.of_test), cache_key)
    run_file.forget_trained(folder)
    run_file.save_run(settings)
    run_file.save_trained(folder, {
        "model": "ensemble", "competition": settings.competition, "members": [member.name for member in ordered],
        "weights": weights.of_test.tolist(), **record, **weights.scores})
    files.write_manifest(folder / "ensemble.json", cache_key, [*list_files(settings, settings.run), folder / run_file.RUN_FILE])


def write_mixed_images(path: Path, dataset: Any, members: Sequence[Path], weights: Iterable[np.ndarray],
                       cache_key: dict[str, Any]) -> None:
    """Write the mean of the members' predictions of the split that the files are named after, with the weights of each image."""
    rows = dataset.split(path.stem)
    images = predictions.average_predictions(dataset, rows, members, weights)
    masks = ((row.id, dataset.read_counts(row) > 0) for row in rows)
    predictions.write_predictions(path, images, masks, cache_key)


def choose_weights(dataset: Any, holdout: Sequence[Path], by_hand: Sequence[float], seed: int) -> MixWeights:
    """Return the weights with the lowest error on the holdout; those by hand follow, and the others share what these leave."""
    sources, products, count = sum_error_products(dataset, dataset.split("holdout"), holdout)
    total = products.sum(0)
    weights, fold_weights = find_weights(total), find_fold_weights(products, seed)
    # The score: each image is mixed with weights from other sources.
    cross_validated = np.einsum("si,sij,sj", fold_weights, products, fold_weights)
    scores = {"sources": len(products), "member_rmse": np.sqrt(total.diagonal() / count).tolist(),
              "rmse": float(np.sqrt(weights @ total @ weights / count)),
              "cross_validated_rmse": float(np.sqrt(cross_validated / count))}
    return MixWeights(np.append(weights * (1 - sum(by_hand)), by_hand), dict(zip(sources, fold_weights, strict=True)), scores)


def sum_error_products(dataset: Any, rows: Sequence[Any], paths: Sequence[Path]) -> tuple[list[str], np.ndarray, int]:
    """Return the sources, the products of the members' errors for each, and the number of all values, as the grader counts."""
    products: dict[str, np.ndarray] = {}
    count = 0
    for row, values in predictions.read_together(rows, paths, "weigh the members"):
        pixel_counts = dataset.read_counts(row)
        mask = pixel_counts > 0
        errors = values.astype(np.float64) - dataset.read_original(row)[mask] / np.float32(255)
        product = np.tensordot(errors * pixel_counts[mask][:, None], errors, ((1, 2), (1, 2)))
        products[row.source] = products.get(row.source, 0) + product
        count += int(pixel_counts.sum(dtype=np.int64)) * errors.shape[-1]
    return list(products), np.stack(list(products.values())), count


def find_weights(product: np.ndarray) -> np.ndarray:
    """Return the weights with the least squared error of the mix: sum 1, none negative, exact.

    Non-negative least squares with the distance of the sum from 1 as one more square has these weights up to a factor: a mix of
    squared error q is best at the sum 1 / (1 + q), which costs q / (1 + q), the less the smaller q is.
    """
    from scipy.optimize import nnls

    values, vectors = np.linalg.eigh(product / (product.trace() or 1))
    roots = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    found, _ = nnls(np.vstack([roots, np.ones(len(product))]), np.append(np.zeros(len(product)), 1))
    return found / found.sum()


def find_fold_weights(products: np.ndarray, seed: int) -> np.ndarray:
    """Return for each source the weights from the folds that it is not in."""
    if len(products) < 2:
        raise UserError("The holdout is of one source photo, so the gain of an ensemble cannot be checked. "
                        "Prepare the dataset with a larger holdout: pixmend augment --holdout 0.2")
    fold = np.random.default_rng(seed).permutation(len(products)) % min(FOLDS, len(products))
    return np.stack([find_weights(products[fold != number].sum(0)) for number in range(fold.max() + 1)])[fold]


def format_table(settings: Settings, mix: dict[str, Any]) -> str:
    """Return what `ensemble` prints: weight and RMSE of each member, the RMSE of the mix, and whether it is worth it."""
    lines = [f"RMSE on the holdout ({mix['sources']} sources)   weight"]
    weights = [(member_files.label_member(name), weight) for name, weight in zip(mix["members"], mix["weights"], strict=True)]
    count = len(mix["member_rmse"])   # of the members with a measured weight; those with a weight by hand come after them
    members = sorted((rmse, run, weight) for rmse, (run, weight) in zip(mix["member_rmse"], weights[:count], strict=True))
    lines += [f"  {run:28} {rmse:.5f}  {weight:.4f}" for rmse, run, weight in members]
    lines += [f"  {run:28} unknown  {weight:.4f}  by hand" for run, weight in weights[count:]]
    lines += [f"  {settings.run:28} {mix['rmse']:.5f}  on the images that its weights were chosen on",
              f"  {settings.run:28} {mix['cross_validated_rmse']:.5f}  each image with weights from the others: its score"]
    best, run, _ = members[0]
    gain = 1 - mix["cross_validated_rmse"] / best
    lines.append(f"  Best single member: {run}, {best:.5f}. Cross-validated gain of the ensemble: {gain:+.2%}.")
    if gain <= 0 and len(members) > 1 and not mix["learned_holdout"]:
        lines.append(f"  The ensemble gains nothing on images that its weights were not chosen on. Submit {run} alone, or add "
                     f"other members.")
    if learned := mix["learned_holdout"]:
        lines.append(f"  {photos_fill.NAME} has learned from photographs of this holdout, so the weight of {', '.join(learned)} "
                     f"is too high: the RMSE of other images is higher. Leave out what begins with it.")
    lines += [f"  {sentence}" for sentence in describe_weights_by_hand(mix)]
    return "\n".join([*lines, f"ensemble: {settings.run_folder}/holdout.npz and test.npz"])


def describe_weights_by_hand(mix: Mapping[str, Any]) -> list[str]:
    """Return a warning if weights of a mix are not measured; nothing for other runs."""
    by_hand = mix.get("members", [])[len(mix.get("member_rmse", [])):]
    if not by_hand:
        return []
    names = " and ".join(member_files.label_member(name) for name in by_hand)
    return [f"The score does not include {names}: without predictions of the holdout, a weight by hand cannot be measured. "
            "Whether the test file gained by it, only a submission shows."]
