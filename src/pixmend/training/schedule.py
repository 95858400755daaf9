"""Learning rate and snapshots over the budget of a run, which is given in steps, in minutes or in both."""

import math

from pixmend.config import TrainingSettings

ROUNDING = 1e-9


def compute_budget_share(settings: TrainingSettings, step: int, minutes: float) -> float:
    """Return the share of the budget that is used: that of steps or that of minutes, whichever is larger, at most 1."""
    return min(1, max(step / settings.steps, minutes / settings.minutes if settings.minutes else 0))


def get_learning_rate(settings: TrainingSettings, step: int, minutes: float) -> float:
    """Return the learning rate of a step: it rises during the warm-up, then stays, or falls to zero along half a cosine."""
    rate = settings.learning_rate * min(1, (step + 1) / (settings.warmup_steps + 1))
    if settings.schedule == "constant":
        return rate
    return rate * 0.5 * (1 + math.cos(math.pi * compute_budget_share(settings, step, minutes)))


def count_due_snapshots(settings: TrainingSettings, step: int, minutes: float) -> int:
    """Return how many snapshots are due: they are spread evenly over the last half of the budget, the last one at its end."""
    return int(settings.snapshots * max(0, 2 * compute_budget_share(settings, step, minutes) - 1) + ROUNDING)
