"""Intervals of RMSE and of differences between rows of a study, over photos and seeds, and the sentences that follow.

Squared errors are float arrays, seeds x images: one line for each seed of a row, one line for a baseline. The RMSE of a row is
the mean over its seeds. A draw takes photos with replacement, the same for all rows, so that differences are paired. Seeds are
few, and draws of so few would vary too little: the variance between them widens the interval by Student's t.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from pixmend.evaluation.bootstrap import SHARE, compute_interval, draw_photos, number_sources

Difference = tuple[float, float, float]   # value, lower and upper end of its interval
ONE_SEED = "With one seed it is not known how much of a difference is chance."


class Draws:
    """The same draws for every row; `counts` are the values of each image, `sources` name the photo that it is of."""

    def __init__(self, counts: ArrayLike, sources: Sequence[str] | None = None) -> None:
        self.counts = np.asarray(counts, float)
        self.photos = len(set(sources)) if sources else len(self.counts)
        draws = draw_photos(self.photos)
        self.images = [some[:, number_sources(sources)] for some in draws] if sources else draws   # how often each is drawn

    def compute_rmse(self, squares: np.ndarray) -> float:
        """Return the mean over seeds of the RMSE over all values of all images."""
        return float(np.mean(self.compute_rmse_by_seed(squares)))

    def compute_rmse_by_seed(self, squares: np.ndarray) -> np.ndarray:
        return np.sqrt(squares.sum(1) / self.counts.sum())

    def draw_rmse(self, squares: np.ndarray) -> np.ndarray:
        """Return the RMSE of a row in each draw."""
        by_seed = [np.sqrt(some @ squares.T / (some @ self.counts)[:, None]) for some in self.images]
        return np.concatenate(by_seed).mean(1)

    def compute_interval(self, squares: np.ndarray) -> tuple[float, float]:
        by_seed = self.compute_rmse_by_seed(squares)
        return add_seeds(self.compute_rmse(squares), compute_interval(self.draw_rmse(squares), self.photos), by_seed)

    def compute_difference(self, squares: np.ndarray, others: np.ndarray) -> Difference:
        """Return by how much the RMSE of others is above that of a row, and its interval."""
        value = self.compute_rmse(others) - self.compute_rmse(squares)
        over_photos = compute_interval(self.draw_rmse(others) - self.draw_rmse(squares), self.photos)
        return value, *add_seeds(value, over_photos, self.compute_differences_by_seed(squares, others))

    def compute_differences_by_seed(self, squares: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the difference for each seed that both have; a row or baseline of one line is the same for all seeds."""
        ours, theirs = self.compute_rmse_by_seed(squares), self.compute_rmse_by_seed(others)
        if len(ours) > 1 and len(theirs) > 1:
            shared = min(len(ours), len(theirs))
            ours, theirs = ours[:shared], theirs[:shared]
        return theirs - ours


def add_seeds(value: float, over_photos: tuple[float, float], by_seed: np.ndarray) -> tuple[float, float]:
    """Return an interval over photos, widened by the variance between seeds; one seed shows none."""
    from scipy.special import stdtrit

    (low, high), count = over_photos, len(by_seed)
    half = stdtrit(count - 1, (1 + SHARE) / 2) * by_seed.std(ddof=1) / np.sqrt(count) if count > 1 else 0
    return float(value - np.hypot(value - low, half)), float(value + np.hypot(high - value, half))


def write_conclusion(rows: Mapping[str, np.ndarray], baselines: Mapping[str, np.ndarray], draws: Draws,
                     absent: Mapping[str, str] | None = None) -> str:
    """Return which row is best, by how much, and whether it is better than the best baseline; `absent` names missing rows."""
    missing = [f"{name} is not compared: {why}." for name, why in (absent or {}).items()]
    if not rows and not absent:
        sentences = ["No network was compared; the table has the fills."]
    elif not rows:
        sentences = ["No row was finished, so there is no conclusion."]
    elif draws.photos < 2:
        sentences = ["One photo is too few for a conclusion."]
    else:
        best, *others = sorted(rows, key=lambda name: draws.compute_rmse(rows[name]))
        sentences = [compare_rows(draws, rows, best, others), compare_with_baseline(draws, rows[best], baselines, best)]
        sentences += [ONE_SEED] if max(map(len, rows.values())) == 1 else []
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
