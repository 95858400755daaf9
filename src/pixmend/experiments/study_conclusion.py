"""How sure a study is: intervals of RMSE and of differences over draws of pictures and seeds, and the sentence that follows.

Squared errors are seeds x pictures: a row's for each seed, a fill's one line. The RMSE of a row is the mean over its seeds.
A draw takes pictures and seeds anew, the same for all rows, so that differences are of the same pictures and seeds.
"""

import numpy as np

DRAWS, AT_ONCE = 2000, 50
SHARE = 0.95
FEWEST = 2   # pictures; one tells nothing of others


class Draws:
    """The same draws for every row: how often each picture, and each seed, comes."""

    def __init__(self, numbers):
        self.numbers = np.asarray(numbers, float)
        count = len(self.numbers)
        rng, shares = np.random.default_rng(0), np.full(count, 1 / count)
        # In pieces and short numbers, since pictures may be many; none comes 65536 times.
        self.pictures = [rng.multinomial(count, shares, AT_ONCE).astype(np.uint16) for _ in range(0, DRAWS, AT_ONCE)]

    def rmse(self, squares):
        of_seeds = np.concatenate([np.sqrt(some @ squares.T / (some @ self.numbers)[:, None]) for some in self.pictures])
        count = len(squares)
        return (of_seeds * np.random.default_rng(1).multinomial(count, np.full(count, 1 / count), DRAWS)).sum(1) / count

    def interval(self, squares):
        return compute_interval(self.rmse(squares))

    def difference(self, squares, others):
        """By how much others are above, and the interval of that."""
        return [compute_seed_rmse(others, self.numbers) - compute_seed_rmse(squares, self.numbers), *compute_interval(self.rmse(others) - self.rmse(squares))]


def compute_interval(values):
    return [float(value) for value in np.quantile(values, [(1 - SHARE) / 2, (1 + SHARE) / 2])]


def compute_seed_rmse(squares, numbers):
    """The mean over seeds of the root of the mean over all values of all pictures."""
    return float(np.mean(np.sqrt(squares.sum(1) / np.sum(numbers))))


def write_conclusion(rows, fills, numbers, absent=None):
    """Which row is best, by how much, and whether it beats the best fill; `absent` says of other rows why they are."""
    left = [f"{name} takes no part: {why}." for name, why in (absent or {}).items()]
    if not rows:
        return " ".join(["No row came to its end, so nothing can be said.", *left])
    if len(numbers) < FEWEST:
        return " ".join(["One picture is too few to say anything.", *left])
    draws = Draws(numbers)
    best, *others = sorted(rows, key=lambda name: compute_seed_rmse(rows[name], numbers))
    return " ".join([compare_rows(draws, rows, best, others), compare_with_baseline(draws, rows[best], fills, best), *left])


def compare_rows(draws, rows, best, others):
    """The best row and the others."""
    value = f"RMSE {compute_seed_rmse(rows[best], draws.numbers):.5f}"
    if not others:
        return f"{best} stands alone, with {value}."
    behind = {name: draws.difference(rows[best], rows[name]) for name in others}
    level = [name for name, (_, low, _) in behind.items() if low <= 0]
    if not level:
        return f"The best row is {best}, {value}; the next, {others[0]}, is {format_difference(behind[others[0]])} above it."
    worse = [name for name in others if name not in level]
    return (f"The lowest figure is that of {best}, {value}, but no difference can be seen to {join_names(level)}: {level[0]} is "
            f"{format_difference(behind[level[0]])} above it." + (f" Worse: {join_names(worse)}." if worse else ""))


def compare_with_baseline(draws, squares, fills, best):
    """The best row and the best fill."""
    if not fills:
        return ""
    fill = min(fills, key=lambda name: compute_seed_rmse(fills[name], draws.numbers))
    more, low, high = draws.difference(squares, fills[fill])
    if low > 0:
        return f"It beats the best fill, {fill}, which is {format_difference([more, low, high])} above it."
    if high < 0:
        return f"It does not beat the best fill, {fill}, which is {format_difference([-more, -high, -low])} below it."
    return f"To the best fill, {fill}, no difference can be seen: its RMSE less that of {best} is {format_difference([more, low, high])}."


def format_difference(difference):
    """A difference with its interval."""
    value, low, high = (round(each, 5) + 0.0 for each in difference)   # without a sign before a zero
    return f"{value:.5f} ({low:.5f} to {high:.5f})"


def join_names(names):
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
