"""The rank correlation of two scores over the same runs, with its interval."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

MIN_RUNS = 4         # the interval needs one run more than three
NORMAL_95 = 1.959964
SPEARMAN_FACTOR = 1.06   # Fieller, Hartley and Pearson (1957): the variance of Fisher's z of a rank correlation is 1.06 / (n - 3)


class Correlation(NamedTuple):
    """Spearman's rank correlation and its 95% interval."""

    value: float
    low: float
    high: float


def correlate_ranks(first: ArrayLike, second: ArrayLike) -> Correlation | None:
    """Return the rank correlation with Fisher's interval; None for fewer than four runs, or where all have one score.

    Of few runs many are in the same order by chance, and then Fisher's interval has no width. So it is taken around a value
    that is nearer to 0 by half of the smallest step between two rank correlations of so many runs.
    """
    from scipy.stats import spearmanr

    one, other = np.asarray(first, float), np.asarray(second, float)
    count = len(one)
    if count < MIN_RUNS or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    value = float(spearmanr(one, other).statistic)
    half_step = 6 / (count * (count ** 2 - 1))
    z = math.atanh(math.copysign(max(abs(value) - half_step, 0), value))
    margin = NORMAL_95 * math.sqrt(SPEARMAN_FACTOR / (count - 3))
    return Correlation(value, min(math.tanh(z - margin), value), max(math.tanh(z + margin), value))
