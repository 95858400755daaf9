"""Intervals of RMSE and of differences between rows of a study, over images and seeds, and the sentences that follow.

Squared errors are float arrays, seeds x images: one line for each seed of a row, one line for a baseline. The RMSE of a row is
the mean over its seeds. A draw takes images and seeds with replacement, the same for all rows, so that differences are paired.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from pixmend.evaluation.bootstrap import DRAWS, compute_interval, draw_images

Difference = tuple[float, float, float]   # value, lower and upper end of its interval


class Draws:
    """The same draws of images and seeds for every row; `counts` are the values of each image."""

    def __init__(self, counts: ArrayLike) -> None:
        self.counts = np.asarray(counts, float)
        self.images = draw_images(len(self.counts))

    def compute_rmse(self, squares: np.ndarray) -> float:
        """Return the mean over seeds of the RMSE over all values of all images."""
        return float(np.mean(np.sqrt(squares.sum(1) / self.counts.sum())))

    def draw_rmse(self, squares: np.ndarray) -> np.ndarray:
        """Return the RMSE of a row in each draw."""
        by_seed = np.concatenate([np.sqrt(some @ squares.T / (some @ self.counts)[:, None]) for some in self.images])
        seeds = len(squares)
        return (by_seed * np.random.default_rng(1).multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS)).sum(1) / seeds

    def compute_interval(self, squares: np.ndarray) -> tuple[float, float]:
        return compute_interval(self.draw_rmse(squares))

    def compute_difference(self, squares: np.ndarray, others: np.ndarray) -> Difference:
        """Return by how much the RMSE of others is above that of a row, and its interval."""
        value = self.compute_rmse(others) - self.compute_rmse(squares)
        return value, *compute_interval(self.draw_rmse(others) - self.draw_rmse(squares))


def write_conclusion(rows: Mapping[str, np.ndarray], baselines: Mapping[str, np.ndarray], counts: ArrayLike,
                     absent: Mapping[str, str] | None = None) -> str:
    """Return which row is best, by how much, and whether it is better than the best baseline; `absent` names missing rows."""
    missing = [f"{name} is not compared: {why}." for name, why in (absent or {}).items()]
    if not rows:
        sentences = ["No row was finished, so there is no conclusion."]
    elif np.size(counts) < 2:
        sentences = ["One image is too few for a conclusion."]
    else:
        draws = Draws(counts)
        best, *others = sorted(rows, key=lambda name: draws.compute_rmse(rows[name]))
        sentences = [compare_rows(draws, rows, best, others), compare_with_baseline(draws, rows[best], baselines, best)]
    return " ".join([*sentences, *missing])


def compare_rows(draws: Draws, rows: Mapping[str, np.ndarray], best: str, others: list[str]) -> str:
    """Return a sentence on the best row and the others."""
    value = f"RMSE {draws.compute_rmse(rows[best]):.5f}"
    if not others:
        return f"{best} is the only row, {value}."
    differences = {name: draws.compute_difference(rows[best], rows[name]) for name in others}
    tied = [name for name, (_, low, _) in differences.items() if low <= 0]
    if not tied:
        return f"The best row is {best}, {value}. The next, {others[0]}, is {format_difference(differences[others[0]])} worse."
    worse = [name for name in others if name not in tied]
    return (f"{best} has the lowest RMSE, {value}, but no difference can be seen from {join_names(tied)}: {tied[0]} is "
            f"{format_difference(differences[tied[0]])} worse." + (f" Clearly worse: {join_names(worse)}." if worse else ""))


def compare_with_baseline(draws: Draws, squares: np.ndarray, baselines: Mapping[str, np.ndarray], best: str) -> str:
    """Return a sentence on the best row and the best baseline."""
    name = min(baselines, key=lambda name: draws.compute_rmse(baselines[name]))
    value, low, high = draws.compute_difference(squares, baselines[name])
    if low > 0:
        return f"It is better than the best baseline, {name}, by {format_difference((value, low, high))}."
    if high < 0:
        return f"It is worse than the best baseline, {name}, by {format_difference((-value, -high, -low))}."
    return (f"No difference from the best baseline, {name}, can be seen: the baseline's RMSE minus that of {best} is "
            f"{format_difference((value, low, high))}.")


def format_difference(difference: Difference) -> str:
    value, low, high = (round(part, 5) + 0.0 for part in difference)   # no minus sign before a zero
    return f"{value:.5f} ({low:.5f} to {high:.5f})"


def join_names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
