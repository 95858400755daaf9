"""Metrics of predictions against original images; the metrics of the competitions are built on them.

Images are height x width x channels with values in 0..1; names with 255 give the errors of values in 0..255. Counts are
height x width. Lower is better, except for the cosine similarity and the intersection over union.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

LEAST = 1e-8   # added under the logarithm of the Poisson likelihood, as PyTorch does


@dataclass(frozen=True)
class Metric:
    """A competition's metric: `parts` gives (sum, number) of each image; the metric is sum / number of all, or its root."""

    parts: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[float, int]]
    what: str
    root: bool = False

    def over(self, parts: Sequence[tuple[float, int]]) -> float:
        total, number = np.sum(parts, axis=0)
        return float(np.sqrt(total / number) if self.root else total / number)


def sum_squared_errors(original: np.ndarray, predicted: np.ndarray, counts: np.ndarray, scale: int = 1) -> tuple[float, int]:
    """Return sum of squared errors and number of values of the missing pixels; a pixel in two boxes counts twice."""
    error = np.square(original.astype(np.float64) - predicted).sum(-1)
    return float((error * counts).sum()) * scale**2, int(counts.sum(dtype=np.int64)) * original.shape[-1]


def sum_all_squared_errors(original: np.ndarray, predicted: np.ndarray, counts: np.ndarray, scale: int = 1) -> tuple[float, int]:
    return sum_squared_errors(original, predicted, np.ones_like(counts), scale=scale)


sum_squared_errors_255 = partial(sum_squared_errors, scale=255)
sum_all_squared_errors_255 = partial(sum_all_squared_errors, scale=255)


def sum_all_absolute_errors(original: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> tuple[float, int]:
    return float(np.abs(original.astype(np.float64) - predicted).sum()), original.size


def compute_cosine_similarity(original: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> tuple[float, int]:
    """Return the cosine similarity of two images as vectors, and 1; two black images have similarity 1."""
    one, other = original.astype(np.float64).ravel(), predicted.astype(np.float64).ravel()
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / length) if length else float(not one.any() and not other.any()), 1


def sum_poisson(original: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> tuple[float, int]:
    """Return the negative log likelihood of the original under a Poisson law with the predicted mean, without its constant."""
    predicted = predicted.astype(np.float64)
    return float((predicted - original * np.log(predicted + LEAST)).sum()), original.size


def count_overlap(true: np.ndarray, found: np.ndarray) -> tuple[int, int]:
    """Return intersection and union of two masks, in pixels."""
    return int((true & found).sum()), int((true | found).sum())


def compute_pooled_iou(overlaps: Sequence[tuple[int, int]]) -> float:
    """Return the intersection over union of the pixels of all images together; 1 if all masks are empty."""
    both, either = np.sum(overlaps, axis=0)
    return float(both / either) if either else 1.0


def compute_mean_iou(overlaps: Iterable[tuple[int, int]]) -> float:
    """Return the mean of the intersection over union of each image."""
    return float(np.mean([compute_pooled_iou([overlap]) for overlap in overlaps]))
