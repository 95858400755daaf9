"""The predictions of a run: the restored holdout and test images, or their masks, in holdout.npz and test.npz.

With --folds every training image is predicted by the run that did not see it, and the test images by the mean of all runs.
RUN@2 is predicted with the second snapshot of RUN, and is a run like any other from then on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pixmend import backend, competitions, files, models, run_file, workers
from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.data.dataset import Dataset, DatasetRow
from pixmend.data.paste import paste_predictions, paste_values
from pixmend.networks.registry import PIPELINES
from pixmend.progress import ProgressBar
from pixmend.run_identity import weight_identity
from pixmend.submissions import predictions
from pixmend.training import checkpoints, prepared_arrays, unknown_masks
from pixmend.training.run import load_run_settings

if TYPE_CHECKING:
    import keras

CHUNK = 16   # images

Predict = Callable[[Dataset, Sequence[DatasetRow], str], Iterator[np.ndarray]]   # dataset, rows, split


def predict_run(settings: Settings) -> bool:
    """Write the predictions of a run; return whether they were up to date."""
    models.check_no_mix(settings)
    folder = settings.run_folder
    if models.run_finds_masks(settings):
        dataset: Dataset = unknown_masks.UnknownMaskDataset(datasets.open_dataset(settings))
    else:
        dataset = unknown_masks.open_dataset_for_prediction(settings)
    if models.is_trainable(settings.model) or settings.snapshot:
        return predict_with_networks(settings, dataset)
    if models.is_fill(settings.model):
        fill = models.identify_fill(settings.model)
        return write_predictions(settings, dataset, folder, fill, partial(predict_with_fill, settings))
    return write_predictions(settings, dataset, folder, weight_identity(settings), partial(predict_with_pipeline, settings))


def write_predictions(settings: Settings, dataset: Dataset, folder: Path, weights: Any, predict: Predict) -> bool:
    """Write both files, unless they were written with these weights; return whether they were."""
    cache_key = {"set": dataset.cache_key, "mode": settings.predict_mode, "tta": settings.tta, "weights": weights}
    paths = {split: folder / f"{split}.npz" for split in ("holdout", "test")}
    if not settings.force and files.manifest_matches(folder / "predict.json", cache_key):
        return True
    (folder / "predict.json").unlink(missing_ok=True)   # until both files are of these weights
    began, count = time.monotonic(), 0
    for split, path in paths.items():
        rows = dataset.split(split)
        count += len(rows)
        images = predict(dataset, rows, split)
        if models.run_finds_masks(settings):
            images = (np.rint(mask).astype(np.uint8) for mask in images)
        predictions.write_predictions(path, images, ((row.id, dataset.read_counts(row) > 0) for row in rows), cache_key)
    seconds = round(time.monotonic() - began, 1)
    files.write_manifest(folder / "predict.json", cache_key, list(paths.values()), seconds=seconds, images=count)
    return False


def predict_with_fill(settings: Settings, dataset: Dataset, rows: Sequence[DatasetRow], split: str) -> Iterator[np.ndarray]:
    chunks = workers.run_in_chunks(partial(fill_chunk, settings), rows, size=CHUNK, label=f"fill the {split} images")
    return chain.from_iterable(chunks)


def fill_chunk(settings: Settings, rows: Sequence[DatasetRow]) -> list[np.ndarray]:
    """Fill some images, in a worker process."""
    dataset, fill = unknown_masks.open_prediction_dataset_cached(settings), models.get_fill(settings.model)
    images = []
    for row in rows:
        damaged, mask = dataset.read_damaged(row) / np.float32(255), dataset.read_counts(row) > 0
        images.append(paste_predictions(damaged, mask, fill(damaged, mask)))
    return images


def predict_with_pipeline(settings: Settings, dataset: Dataset, rows: Sequence[DatasetRow], split: str) -> Iterator[np.ndarray]:
    competition = competitions.get_damage_competition(settings)
    images = PIPELINES[settings.model].load().predict_images(dataset, rows, split, settings)
    for row, image in zip(rows, images, strict=True):
        damaged, mask = dataset.read_damaged(row) / np.float32(255), dataset.read_counts(row) > 0
        yield paste_predictions(damaged, mask, competition.apply_constraint(image, damaged, mask))


def predict_with_networks(settings: Settings, dataset: Dataset) -> bool:
    """Write the predictions of the run's network, or of each fold's and of all together; return whether all were up to date."""
    folder, trained = settings.run_folder, settings.trained_folder
    datasets.check_same_split(settings, dataset, trained.name)
    weights = {fold: checkpoints.find_weights(trained, fold, settings.snapshot) for fold, _ in dataset.views()}
    signatures = {fold: files.file_signature(path) for fold, path in weights.items()}
    if settings.snapshot:
        run_file.save_trained(folder, run_file.read_trained(trained) or {})
    get_network = cache(partial(build_run_network, settings))   # built only if predictions are not up to date
    for fold, view in dataset.views():
        predict = partial(predict_with_network, get_network, weights[fold])
        up_to_date = write_predictions(settings, view, folder / fold, signatures[fold], predict)
    if dataset.folds:
        return write_predictions(settings, dataset, folder, signatures, partial(combine_folds, folder))
    return up_to_date


def build_run_network(settings: Settings) -> "tuple[keras.Model, Settings]":
    """Return the network of a run and the settings with which it was trained."""
    backend.start_keras()
    from pixmend.training import setup

    settings = load_run_settings(settings)
    return setup.build_network(settings), settings


def predict_with_network(get_network: "Callable[[], tuple[keras.Model, Settings]]", weights: Path, dataset: Dataset,
                         rows: Sequence[DatasetRow], split: str) -> Iterator[np.ndarray]:
    """Yield the image that a network with these weights makes of each row."""
    network, settings = get_network()
    from pixmend.training import setup
    from pixmend.training.inference import predict_images

    step = setup.load_weights(network, weights)["step"]
    if not settings.unknown_masks:   # with found masks, images are filled one by one
        prepared_arrays.fill_training_images(settings, dataset)
    with ProgressBar(f"predict the {split} images", len(rows)) as bar:
        for image in predict_images(network, dataset, rows, settings, settings.tta):
            bar.advance(1, f"{bar.rate():.1f} images/s  step {step}")
            yield image


def combine_folds(folder: Path, dataset: Dataset, rows: Sequence[DatasetRow], split: str) -> Iterator[np.ndarray]:
    """Yield each holdout image as its own fold's run predicted it, and each test image as the mean of all runs."""
    paths = {fold: folder / fold / f"{split}.npz" for fold in dataset.folds}
    if split == "test":
        yield from predictions.average_predictions(dataset, rows, paths.values(), repeat(np.full(len(paths), 1 / len(paths))))
        return
    values = {fold: predictions.read_values(path) for fold, path in paths.items()}
    for row in rows:
        yield paste_values(dataset.read_damaged(row) / np.float32(255), dataset.read_counts(row) > 0, next(values[row.split]))
