"""Holdout images for the page: where the run gained most and least on the harmonic fill, and typical ones for a README.

Images are float32 in 0..1, height x width x channels, unless a function says uint8.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from pixmend.data.dataset import Dataset, DatasetRow
from pixmend.data.encode import encode_jpeg

IMAGES_PER_GROUP = 3
TYPICAL_IMAGES = 3
GAP, MAX_WIDTH = 6, 900   # pixels
VIEWS = ("damaged", "harmonic", "predicted", "original", "error")
Score = Mapping[str, Any]   # score.json of a run


def compute_ratios(score: Score) -> np.ndarray:
    """Return each image's RMSE divided by the harmonic fill's: below 1 the run is better."""
    return np.sqrt(np.array(score["sums"]) / np.maximum(score["fills"]["harmonic"], 1e-9))


def group_images(score: Score) -> dict[str, list[int]]:
    """Return positions in the holdout by the title of their group; no image is in two groups while there are enough."""
    order = np.argsort(compute_ratios(score), kind="stable").tolist()
    count = min(IMAGES_PER_GROUP, -(-len(order) // 3))
    middle = (len(order) - count) // 2
    return {"Largest improvement on the harmonic fill": order[:count], "Median": order[middle:middle + count],
            "Smallest improvement, or worse than the harmonic fill": order[::-1][:count]}


def select_typical(score: Score) -> list[int]:
    """Return positions of the images nearest the median, of different classes while there are some."""
    ratios = compute_ratios(score)
    nearest = np.argsort(np.abs(ratios - np.median(ratios)), kind="stable").tolist()
    first_of_class: dict[str, int] = {}
    for position in nearest:
        first_of_class.setdefault(score["classes"][position], position)
    others = [position for position in nearest if position not in first_of_class.values()]
    return [*first_of_class.values(), *others][:TYPICAL_IMAGES]


def list_shown_ids(score: Score) -> set[str]:
    """Return the ids of all images that are shown anywhere."""
    positions = {position for group in [*group_images(score).values(), select_typical(score)] for position in group}
    return {score["ids"][position] for position in positions}


def make_views(dataset: Dataset, row: DatasetRow, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Return the five VIEWS of an image; in `error` grey is no error."""
    original, mask = dataset.read_original(row) / 255, dataset.read_counts(row) > 0
    return dict(zip(VIEWS, (dataset.read_damaged(row) / 255, dataset.read_input(row, "harmonic") / 255, predicted, original,
                            0.5 + (predicted - original) * mask[..., None]), strict=True))


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Return an image as uint8."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def describe_groups(dataset: Dataset, score: Score, predicted: Mapping[str, np.ndarray]) -> dict[str, list[dict[str, Any]]]:
    """Return the groups with everything that the page says about each image."""
    rows, ratios = {row.id: row for row in dataset.split("holdout")}, compute_ratios(score)

    def describe(position: int) -> dict[str, Any]:
        name = score["ids"][position]
        views = make_views(dataset, rows[name], predicted[name])
        encoded = {view: base64.b64encode(encode_jpeg(to_bytes(image), 90)).decode() for view, image in views.items()}
        images = {view: f"data:image/jpeg;base64,{text}" for view, text in encoded.items()}
        return {"id": name, "class": score["classes"][position], "ratio": ratios[position], "images": images,
                "rmse": np.sqrt(score["sums"][position] / score["numbers"][position])}

    return {title: [describe(position) for position in positions] for title, positions in group_images(score).items()}


def make_before_after(dataset: Dataset, score: Score, predicted: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return typical images as one uint8 image, a row each: damaged, harmonic fill, predicted, original."""
    rows, strips = {row.id: row for row in dataset.split("holdout")}, []
    for name in (score["ids"][position] for position in select_typical(score)):
        views = list(make_views(dataset, rows[name], predicted[name]).values())[:4]
        width = (MAX_WIDTH - GAP * (len(views) - 1)) // len(views)
        strips.append(join_images([resize_image(to_bytes(image), width) for image in views], axis=1))
    return join_images(strips, axis=0)


def join_images(images: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Return uint8 images one below the other (axis 0) or side by side (axis 1), with white gaps."""
    shape = list(images[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for image in images for part in (gap, image)][1:], axis)


def resize_image(image: np.ndarray, max_width: int) -> np.ndarray:
    """Enlarge an image by a whole factor, or shrink it, so that it is at most `max_width` wide."""
    height, width, channels = image.shape
    if width <= max_width:
        return image.repeat(max_width // width, 0).repeat(max_width // width, 1)
    size = (max_width, max(1, round(height * max_width / width)))
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], channels)
