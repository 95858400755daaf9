"""Train a run: check what decides it, store that, prepare its data, build the network, and train it or one for each fold.

Keras is imported after the data is prepared: the worker processes that prepare it are forked, which is unsafe once the backend
has threads.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from pixmend import competitions, models, run_file
from pixmend.config import AUTO, SETTINGS, Settings, flag
from pixmend.data import dataset as datasets
from pixmend.data.dataset import Dataset
from pixmend.errors import FlagError, UserError
from pixmend.networks import photos_fill
from pixmend.networks.registry import get_network
from pixmend.progress import print_message
from pixmend.run_identity import BUDGET, weight_settings
from pixmend.setting_values import check_value, format_auto, format_folder_command, format_off, format_run_command, is_same_value
from pixmend.training import checkpoints, distributed, prepared_arrays, unknown_masks, window_batches
from pixmend.training.batches import ImageBatches
from pixmend.training.history import History
from pixmend.training.loggers import registry as loggers
from pixmend.training.window_batches import BatchSource, WindowBatches

if TYPE_CHECKING:
    import keras

    from pixmend.training.trainer import OnEvaluation, Trainer

DRAWN_DURING_TRAINING = ("fresh_masks", "jitter")
WHOLE_IMAGES_ONLY = (*DRAWN_DURING_TRAINING, "noise", "contrast_weighting")


def train_run(settings: Settings, on_evaluation: "OnEvaluation | None" = None) -> "Trainer":
    """Train a run in its folder, or with --folds one run for each fold in a folder of its own; return the last trainer."""
    settings = models.apply_model_defaults(settings)
    dataset = datasets.open_dataset(settings)
    check_settings(settings, dataset)
    first_weights = find_first_weights(settings, dataset)
    tell_default_budget(settings)
    masks = prepare_data(settings, dataset)
    settings = keep_found_settings(settings)
    distributed.start_backend(settings)
    from pixmend.training import setup, trainer

    settings = setup.resolve_precision(settings)
    distributed.check_same_settings(settings, weight_settings(settings) | {"dataset": datasets.hash_dataset(dataset)})
    if settings.process == 0 and not settings.force:
        check_continues(settings, dataset)
    model = setup.build_trainable(leave_out_encoder_weights(settings, dataset))
    trainer.compile_model(model, settings)
    for path in first_weights:   # only to be sure that they fit, before --force deletes anything
        setup.read_first_weights(model, path, settings)
    if settings.batch_size == 0:
        settings = replace(settings, batch_size=find_batch_size(model, settings, dataset, masks))
    if settings.process == 0:
        begin_run(settings, dataset)
    return train_folds(model, settings, dataset, masks, on_evaluation)


def tell_default_budget(settings: Settings) -> None:
    """Say how long a new run is trained, before its data is prepared, where no flag says it."""
    is_new = settings.force or not run_file.read_trained(settings.run_folder)
    if is_new and settings.process == 0 and not settings.given & {"steps", "minutes"}:
        print_message(f"train: {settings.model} for {settings.steps:,} steps, the default; --minutes 60 sets a time instead.")


def keep_found_settings(settings: Settings) -> Settings:
    """Return the settings with what `auto` became when the run began, also if it continues on another machine."""
    found = {} if settings.force else run_file.read_trained(settings.run_folder) or {}
    values = {name: getattr(settings, name) for name in ("batch_size", "precision")}
    kept = {name: found[name] for name, value in values.items() if format_auto(name, value) == AUTO and name in found}
    for name, value in kept.items():
        check_value(name, value, str(settings.run_folder / run_file.RUN_FILE))
    return replace(settings, **kept)


def find_batch_size(model: "keras.Model", settings: Settings, dataset: Dataset, masks: Sequence[np.ndarray] | None) -> int:
    """Return the largest batch size that fits into memory; with folds, of the first one."""
    from pixmend.training import batch_size

    _, view = next(dataset.views())
    return batch_size.find_largest_batch_size(
        model, settings, lambda tried: make_batches(tried, view, masks), len(view.split("train")))


def begin_run(settings: Settings, dataset: Dataset) -> None:
    """Write what decides a run, before its first step; with --force, delete what an earlier training has left."""
    if settings.force:
        delete_training(settings.run_folder)
    if models.begins_with_photos_weights(settings):
        instead = "another --start" if settings.start == photos_fill.NAME else "--init-from="
        print_message("train: this run begins with what photos learned from other photographs. If the rules of a competition "
                      f"forbid that, give {instead}")
        if any(models.has_learned_holdout(settings, view) for _, view in dataset.views()):
            print_message(f"train: the holdout shows some of these, so its RMSE is too good. Give {instead}")
    datasets.write_split(settings.run_folder, dataset)
    save_run_settings(replace(settings, force=False))   # with the run's file, a stopped training continues


def delete_training(folder: Path) -> None:
    """Delete weights, states and history; the settings last, since they keep other runs from continuing this one."""
    for path in [*folder.rglob("*.npz"), *folder.rglob("history.csv")]:
        path.unlink()
    run_file.forget_trained(folder)


def train_folds(model: "keras.Model", settings: Settings, dataset: Dataset, masks: Sequence[np.ndarray] | None,
                on_evaluation: "OnEvaluation | None") -> "Trainer":
    """Train a compiled model once, or with --folds once for each fold, from the same weights; return the last trainer."""
    from pixmend.training import setup, trainer

    untrained = deepcopy(setup.read_variables(model))
    for fold, view in dataset.views():
        if fold:
            print_message(f"train: {fold} of {settings.folds}, with a holdout of {len(view.split('holdout'))} images")
        setup.assign_variables(model, untrained)
        batches = make_batches(settings, view, masks)
        run = trainer.Trainer(model, settings, view, batches, settings.run_folder / fold, on_evaluation)
        if settings.init_from and run.step == 0:
            setup.load_first_weights(model, get_first_weights_path(settings, fold), settings)
        if run.is_finished():
            check_weights_exist(run.folder)
            print_message(f"train: {run.folder} is finished at step {run.step}. {run.describe_ending()}{run.describe_more()}"
                          "--force trains it anew.")
        else:
            run.fit()
            print_message(f"train: step {run.step}. {run.describe_ending()}{run.describe_result()} {run.folder}")
    return run


def check_weights_exist(folder: Path) -> None:
    """Refuse to call a training finished whose weights were deleted; its state does not have them."""
    if not (path := checkpoints.get_weights_path(folder, "")).exists():
        raise UserError(f"This training is finished, but its weights are missing ({path}). Train it anew: "
                        f"{format_folder_command('train', folder, '--force')}")


def check_run(settings: Settings) -> None:
    """Refuse a run that cannot be trained, before anything is locked or written."""
    if settings.snapshot:
        run = settings.trained_folder.name
        raise UserError(f"{settings.run} is a snapshot of run {run!r}, which is trained as a whole: "
                        f"{format_run_command('train', run, settings, '--snapshots', settings.snapshot)}")
    if not settings.force:
        models.check_no_mix(settings)
    loggers.check_packages(settings)
    if settings.unknown_masks and not models.finds_masks(settings.model):   # masks must be found before training, not after it
        unknown_masks.open_located_masks(settings, datasets.open_dataset(settings))


def check_settings(settings: Settings, dataset: Dataset) -> None:
    """Refuse settings that exclude each other, before data is prepared, which may take hours."""
    datasets.check_hole_colour(settings)
    if 0 < settings.jitter < settings.size:
        raise FlagError(f"--jitter {settings.jitter} is the side to which images are enlarged before they are cut to "
                        f"--size {settings.size}. Give a larger number, for example {settings.size * 286 // 256}.")
    if 0 < settings.window < 1:
        raise FlagError(f"--window {settings.window:g} would show less than the box that is to be predicted. "
                        f"Give 1 or more, or 0 for whole images.")
    for name in WHOLE_IMAGES_ONLY if settings.window else ():
        if getattr(settings, name):
            raise FlagError(f"{flag(name)} is for networks on whole images; windows get new masks by {flag('masks_per_image')}. "
                            f"Give {format_off(name)}, or --window 0.")
    for name in DRAWN_DURING_TRAINING if settings.masks_per_image else ():
        if getattr(settings, name):
            raise FlagError(f"{flag(name)} draws images during training, and {flag('masks_per_image')} before it; give "
                            f"{format_off(name)}, or {format_off('masks_per_image')}.")
    reads_square = get_network(settings.model).reads_square
    if reads_square and (side := datasets.measure_widest_mask(dataset)) > settings.work_size // 2 * 2:
        raise FlagError(f"--model {settings.model} reads a square of --work-size {settings.work_size} pixels around the missing "
                        f"ones, which are up to {side} pixels wide here. Give --work-size {side} or more.")


def prepare_data(settings: Settings, dataset: Dataset) -> Sequence[np.ndarray] | None:
    """Compute what training reads besides the dataset; return the images with newly drawn masks, if there are any."""
    prepared_arrays.fill_training_images(settings, dataset)
    if settings.window:
        window_batches.cut_training_windows(settings, dataset)
        return None
    return prepared_arrays.draw_training_masks(settings, dataset) if settings.masks_per_image else None


def make_batches(settings: Settings, dataset: Dataset, masks: Sequence[np.ndarray] | None) -> BatchSource:
    if settings.window:
        return WindowBatches(settings, dataset)
    return ImageBatches(settings, dataset, competitions.get_damage_competition(settings), masks)


def find_first_weights(settings: Settings, dataset: Dataset) -> list[Path]:
    """Return the weights with which folds begin that have no state yet, of a run that was not trained on this holdout."""
    folds = list_new_folds(settings, dataset) if settings.init_from else []
    if not folds:
        return []
    if settings.init_from != photos_fill.NAME:
        datasets.check_same_split(settings, dataset, get_first_run(settings).trained_folder.name)
    return [get_first_weights_path(settings, fold) for fold in folds]


def list_new_folds(settings: Settings, dataset: Dataset) -> list[str]:
    """Return the folds that begin with first weights, because they have no state from which they continue."""
    return [fold for fold, _ in dataset.views() if settings.force or not checkpoints.has_state(settings.run_folder / fold)]


def leave_out_encoder_weights(settings: Settings, dataset: Dataset) -> Settings:
    """Return the settings to build a network with: the encoder's weights may be gone where a state takes their place."""
    reads_weights = "encoder_weights" in get_network(settings.model).reads
    is_needed = not reads_weights or list_new_folds(settings, dataset)
    return settings if is_needed else replace(settings, encoder_weights="none")


def get_first_weights_path(settings: Settings, fold: str) -> Path:
    if settings.init_from == photos_fill.NAME:
        return photos_fill.WEIGHTS
    first = get_first_run(settings)
    return checkpoints.find_weights(first.trained_folder, fold, first.snapshot)


def get_first_run(settings: Settings) -> Settings:
    """Return the run whose weights are the first ones."""
    first = replace(settings, run=settings.init_from)
    if first.trained_folder == settings.trained_folder:
        raise FlagError(f"--init-from {settings.init_from} is this run itself. Give the new run a name of its own with --run.")
    if not models.run_is_trained(first):
        model = models.get_run_model(first)
        kind = "a mix" if model == "ensemble" else f"a run of {model}"
        raise FlagError(f"--init-from {settings.init_from} is {kind}, which is not trained, so it has no weights. Name a trained "
                        f"run of --model {settings.model}.")
    return first


def list_changeable_settings(settings: Settings) -> set[str]:
    """Return the settings with which a run may continue changed: its budget, unless the learning rate depends on it."""
    return BUDGET if settings.schedule == "constant" else {"early_stopping"}


def check_continues(settings: Settings, dataset: Dataset) -> None:
    """Refuse to continue a trained run with other settings, or on other images."""
    if run_file.read_trained(settings.run_folder):
        check_same_settings(settings)
        check_not_longer(settings, [settings.run_folder / fold for fold, _ in dataset.views()])
        datasets.check_same_images(dataset, settings.run_folder)
        datasets.check_same_extra_pictures(dataset, settings.run_folder)


def check_not_longer(settings: Settings, folders: Sequence[Path]) -> None:
    """Refuse a smaller budget than a run was trained for: its file would name it, and others would be compared with it."""
    step, minutes = max(map(checkpoints.find_newest_step, folders)), max(map(find_minutes, folders))
    before = (run_file.read_trained(settings.run_folder) or {}).get("minutes") or minutes
    if step > settings.steps:
        refuse_budget(settings, "steps", step)
    if 0 < settings.minutes < min(minutes, before):   # a budget of minutes ends with a step, so a little later
        refuse_budget(settings, "minutes", math.ceil(10 * minutes) / 10)


def refuse_budget(settings: Settings, name: str, used: float) -> NoReturn:
    raise UserError(f"Run {settings.run!r} ({settings.run_folder}) was trained for {used:,} {name}, more than --{name} "
                    f"{getattr(settings, name):,}. Choose another --run, give --{name} {used} or more, or train it anew with "
                    f"--force.")


def find_minutes(folder: Path) -> float:
    """Return the minutes of training until the last evaluation; 0 where there is none."""
    history = History(folder / "history.csv")
    return history.get_last("minutes") if history.rows else 0


def check_same_kind(settings: Settings) -> None:
    """Refuse to make a trained network's run one of a model that is not trained."""
    model = (run_file.read_trained(settings.trained_folder) or {}).get("model", settings.model)
    if models.is_trainable(model) and not models.is_trainable(settings.model) and not settings.force:
        raise UserError(f"Run {settings.trained_folder.name!r} ({settings.trained_folder}) has a trained {model}. Choose another "
                        f"--run for --model {settings.model}, or replace it with --force.")


def check_same_settings(settings: Settings) -> None:
    """Refuse to continue a run with other settings than it was trained with; those left to the program are not compared."""
    folder = settings.trained_folder
    if not (stored := run_file.read_trained(folder)):
        return
    before, wanted = run_file.add_missing_settings(stored), weight_settings(settings) | {"competition": settings.competition}
    compared = [name for name in sorted(wanted.keys() - list_changeable_settings(settings))
                if format_auto(name, wanted[name]) != AUTO]
    if changed := [name for name in compared if is_other_value(name, before.get(name), wanted[name])]:
        listed = ", ".join(f"{flag(name)} {before.get(name)} (now {wanted[name] or 'none'})" for name in changed)
        raise UserError(f"Run {folder.name!r} ({folder}) was trained with {listed}. Choose another --run, train it anew with "
                        f"--force, or continue it with its own settings: {format_run_command('train', folder.name, settings)}")


def is_other_value(name: str, before: Any, now: Any) -> bool:
    """Tell whether a run cannot continue with a setting; of extra pictures the files are compared, wherever their folder is."""
    return bool(before) != bool(now) if name == "extra_pictures" else not is_same_value(name, before, now)


def save_run_settings(settings: Settings) -> None:
    run_file.save_run(settings)
    run_file.save_trained(settings.run_folder, weight_settings(settings) | {"competition": settings.competition})


def load_run_settings(settings: Settings) -> Settings:
    """Return these settings with a run's stored ones in place of those that decide its weights."""
    models.check_no_mix(settings)
    folder = settings.trained_folder
    path, stored = folder / run_file.RUN_FILE, run_file.read_trained(folder)
    if stored is None:
        raise UserError(f"Run {folder.name!r} has no stored settings ({path}). Train it first: "
                        f"{format_run_command('train', folder.name, settings)}")
    unknown = [name for name in stored if name not in SETTINGS]
    if unknown or not models.is_model(stored.get("model", "")):
        raise UserError(f"{path} has settings that this version does not know ({', '.join(unknown) or 'model'}). "
                        f"Train the run anew with --force, or use another --run.")
    try:
        for name, value in stored.items():
            check_value(name, value, str(path))
    except FlagError as error:
        raise UserError(f"{error} Train the run anew with --force, or use another --run.") from None
    # The run's own weights take the place of the encoder's pretrained ones.
    return replace(settings, **run_file.add_missing_settings(stored) | {"encoder_weights": "none"})
