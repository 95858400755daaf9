"""Mend the holdout and the test pictures with the run's best weights, or find their masks; only missing pixels are predicted.

With --folds every training picture is predicted by the run that never saw it, and the test pictures by the mean of all runs.
RUN@2 is predicted with the second snapshot of RUN, and from then on a run like any other. With --unknown-masks what is missing is
what the run --mask-run found.
"""

from functools import cache, partial
from itertools import repeat

import numpy as np

from pixmend import competitions, files, models, workers
from pixmend.config import of_the_run
from pixmend.data import dataset
from pixmend.data.paste import paste, paste_values
from pixmend.errors import UserError
from pixmend.progress import Bar, say
from pixmend.stages.ensemble import mixed
from pixmend.submissions import predictions
from pixmend.training import unknown_masks

CHUNK = 16


def main(settings):
    folder = settings.run_folder
    with files.only_one(folder):
        if models.run_finds_masks(settings):
            ready = unknown_masks.UnknownMaskDataset(dataset.open_for(settings))
        else:
            ready = unknown_masks.open_dataset_for_prediction(settings)
        if models.is_trainable(settings.model) or settings.snapshot:
            up_to_date = with_networks(settings, ready, folder)
        elif models.is_fill(settings.model):
            up_to_date = write(settings, ready, folder, settings.model, partial(with_fill, settings))
        else:
            up_to_date = write(settings, ready, folder, of_the_run(settings), partial(with_pretrained, settings))
    say(f"predict: {folder}/holdout.npz and test.npz" + " are up to date." * up_to_date)


def write(settings, ready, folder, weights, painted):
    """The two files of predictions, unless they are there and made from these weights: whether they were."""
    made_from = {"set": ready.made_from, "mode": settings.predict_mode, "tta": settings.tta, "weights": weights}
    earlier = made_from | {"set": ready.made_from | {"augment": settings.augment}}   # an older receipt speaks of variants, too
    made = [folder / "holdout.npz", folder / "test.npz"]
    if not settings.force and any(files.receipt_holds(folder / "predict.json", told) for told in (made_from, earlier)):
        return True
    for split, path in zip(("holdout", "test"), made, strict=True):
        rows = ready.split(split)
        holes = ((row.id, ready.hole(row) > 0) for row in rows)
        pictures = painted(ready, rows, split)
        if models.run_finds_masks(settings):
            pictures = map(decided, pictures)
        predictions.write_predictions(path, pictures, holes, made_from)
    files.write_receipt(folder / "predict.json", made_from, made)
    return False


def decided(mask):
    """A mask says yes or no of each pixel, whatever its network's doubts."""
    return np.rint(mask).astype(np.uint8)


def with_fill(settings, ready, rows, split):
    job = partial(fill_chunk, settings)
    for chunk in workers.over_chunks(job, rows, size=CHUNK, label=f"fill the {split} pictures"):
        yield from chunk


def with_pretrained(settings, ready, rows, split):
    pictures = models.get_pipeline(settings.model).predict(ready, rows, split, settings)
    for row, picture in zip(rows, pictures, strict=True):
        known, mask = ready.damaged(row) / np.float32(255), ready.hole(row) > 0
        yield paste(known, mask, competitions.damage_competition(settings).apply_constraint(picture, known, mask))


def fill_chunk(settings, rows):
    """A fill over some rows, in a process of its own."""
    ready, fill = unknown_masks.open_prediction_dataset_cached(settings), models.get_fill(settings.model)
    mended = []
    for row in rows:
        known, mask = ready.damaged(row) / np.float32(255), ready.hole(row) > 0
        mended.append(paste(known, mask, fill(known, mask)))
    return mended


def with_networks(settings, ready, folder):
    """The run's network; with --folds that of each fold, then all of them together. Whether all was up to date."""
    dataset.refuse_other_split(settings, ready, settings.trained_folder.name)
    weights = {fold: weights_of(settings, fold) for fold, _ in ready.views()}
    stamps = {fold: files.stamp(path) for fold, path in weights.items()}
    if settings.snapshot:
        files.write_json(folder / "settings.json", files.read_json(settings.trained_folder / "settings.json"))
    network = cache(partial(built, settings))
    were = [write(settings, view, folder / fold, stamps[fold], partial(with_network, network, weights[fold]))
            for fold, view in ready.views()]
    return write(settings, ready, folder, stamps, partial(of_all_folds, folder)) if ready.folds else were[0]


def weights_of(settings, fold):
    """The file of a run's weights, or of a fold's run."""
    from pixmend.training import checkpoints

    folder = settings.trained_folder / fold
    path = checkpoints.get_weights_path(folder, settings.snapshot)
    if not path.exists():
        kept = ", ".join(checkpoints.list_snapshots(folder)) or "none"
        more = f"of {settings.trained_folder.name} are kept: {kept}; train it with --snapshots" if settings.snapshot else ""
        raise UserError(f"{path} is missing; {more or 'run `python -m pixmend train` with the same flags first'}.")
    return path


def built(settings):
    """The network and the settings that it was trained with."""
    from pixmend import backend

    backend.start()
    from pixmend.training import setup

    settings = setup.load_settings(settings)
    return setup.build_network(settings), settings


def with_network(network, path, ready, rows, split):
    model, settings = network()
    from pixmend.training import checkpoints, filled_images
    from pixmend.training.inference import predict_images

    weights, facts = checkpoints.read_checkpoint(path, {"model": [tuple(v.shape) for v in model.variables]})
    for variable, value in zip(model.variables, weights["model"], strict=True):
        variable.assign(value)
    if not settings.unknown_masks:   # else the holes are as they were found, and filled one by one
        filled_images.fill_training_images(settings, ready)
    with Bar(f"predict the {split} pictures", len(rows)) as bar:
        for picture in predict_images(model, ready, rows, settings, settings.tta):
            bar.advance(1, f"{bar.rate():.1f} pictures/s  step {facts['step']}")
            yield picture


def of_all_folds(folder, ready, rows, split):
    """Of the holdout each picture as its own fold's run predicted it, of the test pictures the mean of all runs."""
    paths = {fold: folder / fold / f"{split}.npz" for fold in ready.folds}
    if split == "test":
        yield from mixed(ready, rows, paths.values(), repeat(np.full(len(paths), 1 / len(paths))))
        return
    values = {fold: predictions.read_values(path) for fold, path in paths.items()}
    for row in rows:
        yield paste_values(ready.damaged(row) / np.float32(255), ready.hole(row) > 0, next(values[row.split]))
