"""Bootstrap intervals of the RMSE, and of the change of RMSE between two methods on the same images.

`sums` and `counts` hold for each image the sum of squared errors and the number of values; `sources` names the photo that each
image is of. Images of one photo are alike, so they are drawn together. Without `sources`, each image is of a photo of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

DRAWS, AT_ONCE, SHARE = 2000, 50, 0.95   # AT_ONCE draws fit into memory where images are many
LEAST = 0.0005   # a smaller change is shown as 0.0%
FEW = 5          # with fewer photos, an interval of two equal methods often does not contain 0, however wide it is made

Interval = tuple[float, float]


class Change(NamedTuple):
    """The relative change of RMSE, negative if it is lower, and its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def has_interval(self) -> bool:
        return bool(np.isfinite(self.low))

    @property
    def is_clear(self) -> bool:
        """Tell whether the interval does not contain 0, and the change is not 0.0% as it is shown."""
        return (self.low > 0 or self.high < 0) and abs(self.value) >= LEAST


def compute_rmse(sums: ArrayLike, counts: ArrayLike) -> float:
    """Return the root of the mean over all values of all images."""
    return float(np.sqrt(np.sum(sums) / np.sum(counts)))


def compute_interval(values: np.ndarray, photos: int) -> Interval:
    """Return the interval that follows from the values in draws of so many photos."""
    tail = compute_tail(photos)
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def compute_tail(photos: int) -> float:
    """Return which share of the draws lies below an interval, and above it: the expanded percentile of Hesterberg (2015).

    Draws of few photos vary too little. With (1 - SHARE) / 2 for any number, intervals of five photos would be too narrow.
    """
    from scipy.special import ndtr, stdtrit

    return float(ndtr(-np.sqrt(photos / (photos - 1)) * stdtrit(photos - 1, (1 + SHARE) / 2)))


def number_sources(sources: Sequence[str]) -> np.ndarray:
    """Return for each image the number of its source, in the order in which the sources occur."""
    numbers = {source: number for number, source in enumerate(dict.fromkeys(sources))}
    return np.array([numbers[source] for source in sources])


def add_by_source(values: ArrayLike, sources: Sequence[str] | None) -> np.ndarray:
    """Return the sum of the values of each source's images."""
    values = np.asarray(values, float)
    return values if sources is None else np.bincount(number_sources(sources), values)


def bootstrap_interval(sums: ArrayLike, counts: ArrayLike, sources: Sequence[str] | None = None) -> Interval | None:
    """Return the interval of the RMSE over samples of the photos, drawn with replacement; None for one photo."""
    sums, counts, rng = add_by_source(sums, sources), add_by_source(counts, sources), np.random.default_rng(0)
    if len(sums) < 2:
        return None
    rmse = []
    for _ in range(0, DRAWS, AT_ONCE):
        picks = rng.integers(0, len(sums), (AT_ONCE, len(sums)))
        rmse.append(np.sqrt(sums[picks].sum(1) / counts[picks].sum(1)))
    return compute_interval(np.concatenate(rmse), len(sums))


def describe_interval(interval: Interval | None, places: int = 4) -> str:
    """Return an interval in words, or why there is none."""
    if interval is None:
        return "one photo is too few for an interval"
    low, high = interval
    return f"95% interval {low:.{places}f} to {high:.{places}f}"


def describe_few(photos: int) -> str:
    """Return what is to be known of intervals over so many photos; empty where they are enough."""
    if photos == 1:
        return "One photo is too few for an interval."
    return f"An interval over {photos} photos only is mostly too narrow." if photos < FEW else ""


def draw_photos(count: int) -> list[np.ndarray]:
    """Return how often each photo occurs in each draw, AT_ONCE x photos each; the same numbers at every call."""
    rng, shares = np.random.default_rng(0), np.full(count, 1 / count)
    return [rng.multinomial(count, shares, AT_ONCE).astype(np.uint16) for _ in range(0, DRAWS, AT_ONCE)]


def compare_rmse(sums: ArrayLike, others: ArrayLike, sources: Sequence[str] | None = None) -> Change:
    """Return by which share the RMSE of `sums` is above that of `others`, paired by image; both have the same counts.

    One photo says nothing about others, so its interval has no ends.
    """
    sums, others = add_by_source(sums, sources), add_by_source(others, sources)
    value = np.sqrt(sums.sum() / others.sum()) - 1 if others.sum() else 0.0
    if len(sums) < 2:
        return Change(float(value), -np.inf, np.inf)
    ratios = np.concatenate([(draws @ sums) / np.maximum(draws @ others, 1e-30) for draws in draw_photos(len(sums))])
    return Change(float(value), *compute_interval(np.sqrt(ratios) - 1, len(sums)))
