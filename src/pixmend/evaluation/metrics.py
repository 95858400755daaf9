"""Metrics of predictions against original images, with bootstrap intervals; the metrics of the competitions are built on them.

Images are height x width x channels with values in 0..1; names with 255 give the errors of values in 0..255. Counts are
height x width. Lower is better, except for the cosine similarity and the intersection over union.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

GREYS = 255
AT_ONCE = 50   # draws; all at once would not fit into memory with many images
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


def sum_squared_errors(original: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> tuple[float, int]:
    """Return sum of squared errors and number of values of the missing pixels; a pixel in two boxes counts twice."""
    error = np.square(original.astype(np.float64) - predicted).sum(-1)
    return float((error * counts).sum()), int(counts.sum(dtype=np.int64)) * original.shape[-1]


def sum_squared_errors_255(original: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> tuple[float, int]:
    total, number = sum_squared_errors(original, predicted, counts)
    return total * GREYS**2, number


def sum_all_squared_errors_255(original: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> tuple[float, int]:
    return sum_squared_errors_255(original, predicted, np.ones_like(counts))


def sum_all_squared_errors(original: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> tuple[float, int]:
    return sum_squared_errors(original, predicted, np.ones_like(counts))


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


def compute_rmse(sums: Sequence[float] | np.ndarray, numbers: Sequence[int] | np.ndarray) -> float:
    """Return the root of the mean squared error over all values of several images."""
    return float(np.sqrt(np.sum(sums) / np.sum(numbers)))


def bootstrap_interval(sums: Sequence[float] | np.ndarray, numbers: Sequence[int] | np.ndarray, *, draws: int = 2000, seed: int = 0,
                       share: float = 0.95) -> tuple[float, float]:
    """Return a bootstrap interval of the RMSE over images."""
    sums, numbers, rng = np.asarray(sums), np.asarray(numbers), np.random.default_rng(seed)
    values = np.concatenate([draw_rmse(rng, sums, numbers, min(AT_ONCE, draws - done)) for done in range(0, draws, AT_ONCE)])
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def draw_rmse(rng: np.random.Generator, sums: np.ndarray, numbers: np.ndarray, draws: int) -> np.ndarray:
    """Return the RMSE of each of `draws` random samples of the images, with replacement."""
    picks = rng.integers(0, len(sums), (draws, len(sums)))
    return np.sqrt(sums[picks].sum(1) / numbers[picks].sum(1))
