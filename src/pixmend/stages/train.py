"""Train the network, going on exactly where a stopped run stood; best weights by holdout RMSE are kept."""

import contextlib
from dataclasses import replace

from pixmend import competitions, files, models
from pixmend.config import as_stored, flag, of_the_run, usual_rate, with_defaults
from pixmend.data import dataset
from pixmend.errors import FlagError, UserError
from pixmend.progress import say
from pixmend.training import checkpoints, unknown_masks

MAY_GROW = {"steps", "minutes"}


def main(settings):
    from pixmend.training import distributed

    folder, settings = settings.run_folder, distributed.resolve_processes(with_own_defaults(settings))
    if settings.snapshot:
        raise UserError(f"{settings.run} is a snapshot of {settings.trained_folder.name}; train that run, with --snapshots "
                        f"{settings.snapshot} or more.")
    refuse_without_masks(settings)
    if distributed.is_launcher(settings):
        return distributed.run_in_child(settings)
    with files.only_one(folder) if settings.process == 0 else contextlib.nullcontext():
        if not models.is_trainable(settings.model):
            files.write_json(folder / "settings.json", of_the_run(settings) | {"competition": settings.competition})
            kind = "a fill" if models.is_fill(settings.model) else "pretrained"
            say(f"train: {settings.model} is {kind} and has nothing to learn.")
            return
        with distributed.exit_if_process_lost(settings):
            train(settings, folder)


def refuse_without_masks(settings):
    """A painter whose masks are hidden is told now, and not after its training, that nobody has found any."""
    if settings.unknown_masks and not models.finds_masks(settings.model):
        unknown_masks.open_located_masks(settings, dataset.open_for(settings))


def train(settings, folder, looked=None):
    """The run, or with --folds the run of each fold in a folder of its own; until `looked(step, rmse)` says it is enough."""
    from pixmend.training import distributed

    settings, ready = with_own_defaults(settings), dataset.open_for(settings)
    refuse(settings, ready)
    first, drawn = first_weights(settings, ready), made_beforehand(settings, ready)
    distributed.start_backend(settings)
    from pixmend.training import setup, trainer

    settings = setup.resolve_precision(settings)
    distributed.check_same_settings(settings, of_the_run(settings) | {"pictures": files.fingerprint(ready.made_from)})
    settings = with_the_runs_batch_size(settings, folder)
    if settings.process == 0:
        if settings.force:
            forget(folder)
        continue_or_refuse(settings, ready, folder)
    model = setup.build_trainable(settings)
    trainer.compile_model(model, settings)
    settings = with_a_batch_size(settings, model, ready, drawn)
    if settings.process == 0:
        dataset.write_split(folder, ready)
        setup.save_settings(folder, settings)
    untrained = setup.copy_variables(model)
    for fold, view in ready.views():
        if fold:
            say(f"train: {fold} of {settings.folds}, {len(view.split('holdout'))} pictures kept apart")
        setup.assign_variables(model, untrained)
        if settings.init_from:
            setup.load_first_weights(model, first[fold], settings)
        training = train_one(trainer.Trainer(model, settings, view, batches(settings, view, drawn), folder / fold, looked))
    return training


def with_own_defaults(settings):
    """The model's and the optimizer's."""
    return with_defaults(settings, models.default_settings(settings.model) | usual_rate(settings))


def refuse(settings, ready):
    """Flags that exclude each other, before anything is filled for hours."""
    from pixmend.training import drawn_masks, window_batches

    if 0 < settings.jitter < settings.size:
        raise FlagError(f"--jitter {settings.jitter} enlarges pictures before they are cut to --size {settings.size}; "
                        f"give a larger number, as {settings.size * 286 // 256}.")
    if settings.window:
        window_batches.check_settings(settings)
    elif settings.masks_per_image:
        drawn_masks.check_settings(settings)
    if models.reads_square(settings.model) and (side := dataset.widest_hole(ready)) > settings.work_size // 2 * 2:
        raise FlagError(f"--model {settings.model} sees a square of --work-size {settings.work_size} pixels around what is "
                        f"missing, which is up to {side} pixels wide here; give --work-size {side} or more.")


def made_beforehand(settings, ready):
    """What a training reads besides the prepared set, by other processes, begun before the backend has threads of its own.

    What comes back are the pictures that were damaged anew, where any were.
    """
    from pixmend.training import drawn_masks, filled_images, window_batches

    filled_images.fill_training_images(settings, ready)
    if settings.window:
        window_batches.cut_training_windows(settings, ready)
    elif settings.masks_per_image:
        return drawn_masks.draw_training_masks(settings, ready)
    return None


def batches(settings, view, drawn):
    from pixmend.training.batches import Batches
    from pixmend.training.window_batches import WindowBatches

    return WindowBatches(settings, view) if settings.window else Batches(settings, view, competitions.damage_competition(settings), drawn)


def first_weights(settings, ready):
    """For each fold the file of the run to begin with, which must not have seen what is held out here."""
    if not settings.init_from:
        return {}
    other = replace(settings, run=settings.init_from)
    paths = {fold: checkpoints.get_weights_path(other.trained_folder / fold, other.snapshot) for fold, _ in ready.views()}
    for path in paths.values():
        if not path.exists():
            raise UserError(f"{path} is missing; --init-from {settings.init_from} wants a finished run of the same network.")
    dataset.refuse_other_split(settings, ready, other.trained_folder.name)
    return paths


def with_the_runs_batch_size(settings, folder):
    """Of a run that was begun with --batch-size auto, the one that was found then."""
    stored = {} if settings.force else files.read_json(folder / "settings.json") or {}
    return settings if settings.batch_size else replace(settings, batch_size=stored.get("batch_size", 0))


def with_a_batch_size(settings, model, ready, drawn):
    """The largest that fits, where auto was asked for."""
    if settings.batch_size:
        return settings
    from pixmend.training import batch_size

    _, view = next(ready.views())
    found = batch_size.find_largest_batch_size(model, settings, lambda tried: batches(tried, view, drawn), len(view.split("train")))
    return replace(settings, batch_size=found)


def train_one(training):
    folder = training.folder
    if training.finished():
        say(f"train: {folder} has all its {training.step} steps; --force trains anew.")
        return training
    training.fit()
    say(f"train: step {training.step}, best holdout RMSE {training.best:.5f} on {len(training.looked_at)} pictures; {folder}")
    return training


def forget(folder):
    """Drop what was learnt and painted, in every fold; the settings last, which keep others from going on with the rest."""
    for path in [*folder.rglob("*.npz"), *folder.rglob("history.csv"), *folder.glob("settings.json")]:
        path.unlink()


def continue_or_refuse(settings, ready, folder):
    """A run goes on under its own settings and with its own pictures only.

    A larger budget is welcome while the learning rate does not depend on it.
    """
    stored = files.read_json(folder / "settings.json")
    if stored is None:
        return
    stored = as_stored(stored)
    wanted = of_the_run(settings) | {"competition": settings.competition}
    changed = [name for name in sorted(wanted) if stored.get(name) != wanted[name]]
    if settings.schedule == "constant":
        changed = [name for name in changed if name not in MAY_GROW]
    if changed:
        told = ", ".join(f"{flag(name)} {stored.get(name)} (now {wanted[name]})" for name in changed)
        raise UserError(f"{folder} was trained with {told}; choose another --run, or --force to train it anew.")
    dataset.refuse_other_pictures(ready, folder)
