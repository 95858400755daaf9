"""Send the run's CSV to Kaggle, never the same file twice, and record its score in leaderboard.csv."""

from pixmend.config import Settings
from pixmend.kaggle.submit import submit_run


def main(settings: Settings) -> None:
    """Submit submissions/<competition>/<run>.csv; with --if-asked, only if the run was configured with --submit."""
    if settings.submit or not settings.if_asked:
        submit_run(settings)
