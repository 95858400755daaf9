"""Write a run's predictions as submission files, for Kaggle and for the holdout's score, or its masks as images."""

from pixmend import files, models
from pixmend.config import Settings
from pixmend.training.run_submissions import write_masks, write_submissions


def main(settings: Settings) -> None:
    """Write submissions/<competition>/<run>.csv, checked against the sample submission, and <run>.holdout.csv."""
    with files.try_lock(settings.run_folder):
        write = write_masks if models.run_finds_masks(settings) else write_submissions
        write(settings)
