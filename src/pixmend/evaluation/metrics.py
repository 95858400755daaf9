"""Measures of predictions against whole pictures, and how sure they are; contests' own scores among them.

Values are in 0..1 unless a name says 255; lower is better, but for the cosine similarity.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

GREYS = 255
AT_ONCE = 50   # draws; all at once would not fit into memory where pictures are many
LEAST = 1e-8   # added under the logarithm of the Poisson likelihood, as PyTorch does


@dataclass(frozen=True)
class Metric:
    """A contest's own score: the sum over the number that each picture's (whole, mended, counts) gives, or its root."""

    parts: Callable
    what: str
    root: bool = False

    def over(self, parts):
        total, number = np.sum(parts, axis=0)
        return float(np.sqrt(total / number) if self.root else total / number)


def sum_squared_errors(whole, painted, counts):
    """Sum of squared errors and number of values, as a grader counts: a pixel in two boxes counts twice."""
    error = np.square(whole.astype(np.float64) - painted).sum(-1)
    return float((error * counts).sum()), int(counts.sum(dtype=np.int64)) * whole.shape[-1]


def sum_squared_errors_255(whole, painted, counts):
    total, number = sum_squared_errors(whole, painted, counts)
    return total * GREYS**2, number


def sum_all_squared_errors_255(whole, painted, counts):
    return sum_squared_errors_255(whole, painted, np.ones_like(counts))


def sum_all_squared_errors(whole, painted, counts):
    return sum_squared_errors(whole, painted, np.ones_like(counts))


def sum_all_absolute_errors(whole, painted, counts):
    return float(np.abs(whole.astype(np.float64) - painted).sum()), whole.size


def compute_cosine_similarity(whole, painted, counts):
    """Of a picture's values as one vector; 1 is a perfect picture, and two black ones are alike."""
    one, other = whole.astype(np.float64).ravel(), painted.astype(np.float64).ravel()
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / length) if length else float(not one.any() and not other.any()), 1


def sum_poisson(whole, painted, counts):
    """Negative log likelihood of the whole picture where the painted one is the mean of a Poisson law, without its constant."""
    painted = painted.astype(np.float64)
    return float((painted - whole * np.log(painted + LEAST)).sum()), whole.size


def count_overlap(true, found):
    """Pixels of two masks that lie in both, and in either: intersection and union."""
    return int((true & found).sum()), int((true | found).sum())


def compute_pooled_iou(overlaps):
    """Intersection over union of all pictures' pixels together; two empty masks agree."""
    both, either = np.sum(overlaps, axis=0)
    return float(both / either) if either else 1.0


def compute_mean_iou(overlaps):
    """The mean of each picture's own."""
    return float(np.mean([compute_pooled_iou([overlap]) for overlap in overlaps]))


def compute_rmse(sums, numbers):
    """Root of the mean over all values of several pictures."""
    return float(np.sqrt(np.sum(sums) / np.sum(numbers)))


def bootstrap_interval(sums, numbers, *, draws=2000, seed=0, share=0.95):
    """A bootstrap interval of the RMSE over pictures."""
    sums, numbers, rng = np.asarray(sums), np.asarray(numbers), np.random.default_rng(seed)
    values = np.concatenate([draw_rmse(rng, sums, numbers, min(AT_ONCE, draws - done)) for done in range(0, draws, AT_ONCE)])
    return tuple(float(v) for v in np.quantile(values, [(1 - share) / 2, (1 + share) / 2]))


def draw_rmse(rng, sums, numbers, draws):
    """The RMSE of so many draws of pictures."""
    picks = rng.integers(0, len(sums), (draws, len(sums)))
    return np.sqrt(sums[picks].sum(1) / numbers[picks].sum(1))
