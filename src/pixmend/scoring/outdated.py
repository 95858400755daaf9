"""Whether a stored score is of the run's files as they are now: its holdout file, the predictions in it, and the weights."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pixmend import competitions, files, models, run_file
from pixmend.config import Settings
from pixmend.data.dataset import list_fold_folders
from pixmend.errors import UserError
from pixmend.scoring.run_score import FILE_HASH, MASK_SCORE_FIELDS, SCORE_FIELDS, read_score
from pixmend.setting_values import MEMBER_FILE
from pixmend.training import checkpoints


def read_current_score(settings: Settings) -> dict[str, Any] | None:
    """Return the stored scores of a run, or of its masks; None if it has none. Those of other files than now are an error."""
    score = read_score(settings.run_folder, MASK_SCORE_FIELDS if models.run_finds_masks(settings) else SCORE_FIELDS)
    if score and (outdated := explain_outdated_score(settings, score)):
        raise UserError(outdated)
    return score


def explain_outdated_score(settings: Settings, score: Mapping[str, Any]) -> str:
    """Return what to do if a score is of other files than those of now; empty if it is of these, or too old to tell."""
    if FILE_HASH not in score:
        return ""
    path = competitions.get_submission_path(settings, "holdout")
    written_from = files.read_made_from(settings.run_folder / "serialize.json").get("holdout")
    if not path.exists() or files.hash_file(path) != score[FILE_HASH]:
        changed = f"{path} was written again"
    elif written_from != files.optional_signature(settings.run_folder / "holdout.npz"):
        changed = f"its predictions ({settings.run_folder / 'holdout.npz'}) are not those in {path.name}"
    elif not are_predictions_current(settings):
        changed = "its predictions are of other weights than those of now"
    else:
        return ""
    return (f"The score of run {settings.run!r} is of other files than those of now: {changed}. Predict, serialize and score it "
            f"again, each with --run {settings.run}.")


def are_predictions_current(settings: Settings) -> bool:
    """Tell whether a run was predicted with its weights, and a mix made from its members, as they are now."""
    folder, trained = settings.run_folder, run_file.read_trained(settings.trained_folder) or {}
    if "members" in trained:
        mixed = files.read_made_from(folder / "ensemble.json").get("members", {})
        members = [replace(settings, run=name) for name in trained["members"] if not MEMBER_FILE.fullmatch(name)]
        return all(mixed.get(member.run) == sign_predictions(member) and are_predictions_current(member) for member in members)
    model, weights = trained.get("model", ""), files.read_made_from(folder / "predict.json").get("weights")
    if models.is_fill(model):
        return bool(weights == models.identify_fill(model))
    return not models.is_trainable(model) or bool(weights == sign_weights(settings, trained.get("folds", 1)))


def sign_weights(settings: Settings, folds: int) -> Any:
    """Return the signature of a run's weights, or of each fold's, as its predictions have them."""
    signatures = {fold: files.optional_signature(checkpoints.get_weights_path(settings.trained_folder / fold, settings.snapshot))
                  for fold in list_fold_folders(folds)}
    return signatures.get("", signatures)


def sign_predictions(settings: Settings) -> list[list[int] | None]:
    return [files.optional_signature(settings.run_folder / f"{split}.npz") for split in ("holdout", "test")]
