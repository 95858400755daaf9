"""Bootstrap intervals over images, of the RMSE and of the change of RMSE between two methods on the same images.

`sums` and `counts` hold for each image the sum of squared errors and the number of values.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

DRAWS, AT_ONCE, SHARE = 2000, 50, 0.95   # AT_ONCE draws fit into memory where images are many


class Change(NamedTuple):
    """The relative change of RMSE, negative if it is lower, and its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Tell whether the interval does not contain 0."""
        return self.low > 0 or self.high < 0


def compute_rmse(sums: ArrayLike, counts: ArrayLike) -> float:
    """Return the root of the mean over all values of all images."""
    return float(np.sqrt(np.sum(sums) / np.sum(counts)))


def draw_images(count: int) -> np.ndarray:
    """Return how often each image occurs in each draw, (draws, images); the same numbers at every call."""
    rng, shares = np.random.default_rng(0), np.full(count, 1 / count)
    return np.concatenate([rng.multinomial(count, shares, AT_ONCE).astype(np.uint16) for _ in range(0, DRAWS, AT_ONCE)])


def compare_rmse(sums: ArrayLike, others: ArrayLike, counts: ArrayLike) -> Change:
    """Return by which share the RMSE of `sums` is above that of `others`, paired by image."""
    sums, others = np.asarray(sums, float), np.asarray(others, float)
    value = np.sqrt(sums.sum() / others.sum()) - 1 if others.sum() else 0.0
    draws = draw_images(len(sums))
    drawn = np.sqrt((draws @ sums) / np.maximum(draws @ others, 1e-30)) - 1
    low, high = np.quantile(drawn, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return Change(float(value), float(low), float(high))
