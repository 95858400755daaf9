"""Predict images with a network; an image's prediction does not depend on the other images of its batch.

Predictions are float32 in 0..1, (height, width, channels).
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

import keras
import numpy as np

from pixmend import competitions
from pixmend.config import Settings
from pixmend.data.augmentation import apply_transform, invert_transform
from pixmend.data.damage import Box
from pixmend.data.dataset import DatasetRow
from pixmend.data.paste import paste_predictions
from pixmend.data.windows import add_changes, cut_network_input
from pixmend.training.batches import bytes_to_floats
from pixmend.workers import split_into_chunks

BATCH_SIZE = 8


class View(NamedTuple):
    """What the network sees at once: an image, or the window around one of its boxes, under a transform."""

    row: DatasetRow
    box: Box | None   # None for a whole image
    transform: int


class ImageSource(Protocol):
    """What images are read from: a dataset, or one picture. Images are uint8, height x width x channels."""

    def read_damaged(self, row: DatasetRow) -> np.ndarray: ...

    def read_counts(self, row: DatasetRow) -> np.ndarray: ...

    def read_input(self, row: DatasetRow, start: str) -> np.ndarray: ...


def predict_images(model: keras.Model, dataset: ImageSource, rows: Sequence[DatasetRow], settings: Settings,
                   transforms: int = 1) -> Iterator[np.ndarray]:
    """Yield the restored image of each row: known pixels unchanged, missing ones the mean over so many transforms."""
    competition = competitions.get_damage_competition(settings)
    boxes = {row: competition.find_boxes(bytes_to_floats(dataset.read_damaged(row)), dataset.read_counts(row))
             for row in (rows if settings.window else ())}
    views = [View(row, box, transform) for row in rows for box in boxes.get(row, [None]) for transform in range(transforms)]
    predict = predict_in_training_mode if settings.predict_mode == "training" else predict_in_inference_mode
    means = average_transforms(views, predict(model, dataset, views, settings), transforms)
    for row in rows:
        if row in boxes:
            means_of_windows = islice(means, len(boxes[row]))
            image = merge_windows(dataset, row, boxes[row], means_of_windows, settings)
        else:
            image = next(means)
        damaged, mask = bytes_to_floats(dataset.read_damaged(row)), dataset.read_counts(row) > 0
        yield paste_predictions(damaged, mask, competition.apply_constraint(image, damaged, mask))


def average_transforms(views: Iterable[View], predictions: Iterable[np.ndarray], transforms: int) -> Iterator[np.ndarray]:
    """Yield the mean of the predictions of each image or window, whose transforms follow one another, turned back."""
    upright = (invert_transform(prediction, view.transform) for view, prediction in zip(views, predictions, strict=True))
    for predictions_of_one in split_into_chunks(upright, transforms):
        yield np.asarray(np.mean(predictions_of_one, axis=0, dtype=np.float64))


def make_inputs(dataset: ImageSource, views: Iterable[View], settings: Settings) -> list[np.ndarray]:
    """Return the inputs and the masks of some views, as a network takes them."""
    transformed = [[apply_transform(array, view.transform) for array in read_view(dataset, view.row, view.box, settings)]
                   for view in views]
    inputs, mask = map(np.stack, zip(*transformed, strict=True))
    return [inputs, mask[..., None].astype(np.float32)]


def read_view(dataset: ImageSource, row: DatasetRow, box: Box | None, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return input and mask of an image, or of the window around one of its boxes."""
    inputs, mask = bytes_to_floats(dataset.read_input(row, settings.start)), dataset.read_counts(row) > 0
    return cut_network_input(inputs, mask, box, settings.window, settings.work_size) if box else (inputs, mask)


def merge_windows(
        dataset: ImageSource, row: DatasetRow, boxes: list[Box], predictions: Iterable[np.ndarray],
        settings: Settings) -> np.ndarray:
    """Return the filled image plus what the network changed in each box."""
    image = bytes_to_floats(dataset.read_input(row, settings.start))
    changes = (prediction - read_view(dataset, row, box, settings)[0] for box, prediction in zip(boxes, predictions, strict=True))
    return add_changes(image, boxes, changes, settings.window)


def predict_in_inference_mode(
        model: keras.Model, dataset: ImageSource, views: list[View], settings: Settings) -> Iterator[np.ndarray]:
    """Yield the prediction of each view; batches always have the same size, so that an image's bits never vary."""
    for batch in split_into_chunks(views, BATCH_SIZE):
        padded = batch + batch[:1] * (BATCH_SIZE - len(batch))
        yield from np.asarray(model.predict_on_batch(make_inputs(dataset, padded, settings)))[:len(batch)]


def predict_in_training_mode(
        model: keras.Model, dataset: ImageSource, views: list[View], settings: Settings) -> Iterator[np.ndarray]:
    """Yield the prediction of each view with batch norm and dropout as in training, one view at a time.

    Dropout is seeded by the image's id. What the network remembers of a prediction, its averages and seeds, is put back:
    predictions of the holdout must not change a training that continues.
    """
    before = [(variable, np.asarray(variable).copy()) for variable in model.non_trainable_variables]
    try:
        for view in views:
            for variable in model.non_trainable_variables:
                if variable.path.endswith("seed_generator_state"):
                    variable.assign(np.array([zlib.crc32(view.row.id.encode()), 0], dtype="uint32"))
            yield np.asarray(model(make_inputs(dataset, [view], settings), training=True))[0]
    finally:
        for variable, value in before:
            variable.assign(value)
