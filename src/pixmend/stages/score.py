"""Score a run's holdout file beside the baselines; or any --submission against a --solution."""

from pixmend import models
from pixmend.config import Settings
from pixmend.scoring.run_score import score_files, score_masks, score_run
from pixmend.scoring.verdict import describe_masks, format_table


def main(settings: Settings) -> None:
    """Print the scores; those of a run are also written into its folder and the leaderboard."""
    if settings.submission or settings.solution:
        for name, rmse in score_files(settings).items():
            print(f"{name:8} " + ("no rows" if rmse is None else f"RMSE {rmse:.6f}, in 0..255 {255 * rmse:.3f}"))
    elif models.run_finds_masks(settings):
        print(f"Masks of the holdout images, found by {settings.run}: {describe_masks(score_masks(settings))}")
    else:
        print(format_table(settings, *score_run(settings)))
