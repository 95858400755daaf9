"""Measures of predictions against whole pictures, and how sure they are: everything in 0..1, lower is better."""

import numpy as np


def squared_errors(whole, painted, counts):
    """Sum of squared errors and number of values, as a grader counts: a pixel in two boxes counts twice."""
    error = np.square(whole.astype(np.float64) - painted).sum(-1)
    return float((error * counts).sum()), int(counts.sum(dtype=np.int64)) * whole.shape[-1]


def rmse(sums, numbers):
    """Root of the mean over all values of several pictures."""
    return float(np.sqrt(np.sum(sums) / np.sum(numbers)))


def interval(sums, numbers, *, draws=2000, seed=0, share=0.95):
    """A bootstrap interval of the RMSE over pictures."""
    sums, numbers = np.asarray(sums), np.asarray(numbers)
    picks = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    values = np.sqrt(sums[picks].sum(1) / numbers[picks].sum(1))
    return tuple(float(v) for v in np.quantile(values, [(1 - share) / 2, (1 + share) / 2]))
