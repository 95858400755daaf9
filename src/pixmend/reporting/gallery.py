"""Holdout images for the page: where the run gained most and least on the harmonic fill, and typical ones for a README.

Predicted images are float32 in 0..1, all others uint8; height x width x channels.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pixmend.data import photos
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
    nearest = np.argsort(np.abs(ratios - np.median(ratios)), kind="stable")
    first_of_class = np.sort(np.unique(np.array(score["classes"])[nearest], return_index=True)[1])
    return [*nearest[first_of_class].tolist(), *np.delete(nearest, first_of_class).tolist()][:TYPICAL_IMAGES]


def list_shown_ids(score: Score) -> set[str]:
    """Return the ids of all images that are shown anywhere."""
    positions = {position for group in [*group_images(score).values(), select_typical(score)] for position in group}
    return {score["ids"][position] for position in positions}


def make_views(dataset: Dataset, row: DatasetRow, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Return the five VIEWS of an image; in `error` grey is no error."""
    original, mask = dataset.read_original(row) / 255, dataset.read_counts(row)[..., None] > 0
    damaged, harmonic = dataset.read_damaged(row) / 255, dataset.read_input(row, "harmonic") / 255
    images = (damaged, harmonic, predicted, original, 0.5 + (predicted - original) * mask)
    return {view: np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8) for view, image in zip(VIEWS, images, strict=True)}


def describe_groups(dataset: Dataset, score: Score, predicted: Mapping[str, np.ndarray]) -> dict[str, list[dict[str, Any]]]:
    """Return the groups with everything that the page says about each image."""
    rows, ratios = {row.id: row for row in dataset.split("holdout")}, compute_ratios(score)

    def describe(position: int) -> dict[str, Any]:
        name = score["ids"][position]
        views = make_views(dataset, rows[name], predicted[name])
        images = {view: f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(image, 90)).decode()}"
                  for view, image in views.items()}
        return {"id": name, "class": score["classes"][position], "ratio": ratios[position], "images": images,
                "rmse": np.sqrt(score["sums"][position] / score["numbers"][position])}

    return {title: [describe(position) for position in positions] for title, positions in group_images(score).items()}


def make_before_after(dataset: Dataset, score: Score, predicted: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return typical images as one image, a row each: damaged, harmonic fill, predicted, original."""
    rows, strips = {row.id: row for row in dataset.split("holdout")}, []
    width = (MAX_WIDTH - GAP * 3) // 4
    for name in (score["ids"][position] for position in select_typical(score)):
        views = list(make_views(dataset, rows[name], predicted[name]).values())[:4]
        strips.append(join_images([resize_image(image, width) for image in views], axis=1))
    return join_images(strips, axis=0)


def join_images(images: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Return images one below the other (axis 0) or side by side (axis 1), with white gaps."""
    gap = np.full_like(np.take(images[0], [0] * GAP, axis), 255)
    return np.concatenate([part for image in images for part in (gap, image)][1:], axis)


def resize_image(image: np.ndarray, max_width: int) -> np.ndarray:
    """Enlarge an image by a whole factor, or shrink it, so that it is at most `max_width` wide."""
    height, width = image.shape[:2]
    if width <= max_width:
        return image.repeat(max_width // width, 0).repeat(max_width // width, 1)
    return photos.resize_image(np.ascontiguousarray(image), (max(1, round(height * max_width / width)), max_width))
