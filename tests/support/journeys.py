"""Several stages one after another, and a run's row of the leaderboard."""

from pixmend.evaluation import leaderboard
from support.stages import SMALL, done, stage


def journeys(*each):
    """Return what each (stages, home, flags) prints."""
    return ["".join(done(stage(name, home, *SMALL, *flags)) for name in stages) for stages, home, flags in each]


def row(home, place, run):
    return next(row for row in leaderboard.read_leaderboard(home / f"submissions/{place}/leaderboard.csv") if row["run"] == run)
