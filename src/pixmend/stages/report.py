"""Write the report page of all runs of a competition, and print where it is and what to do next."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pixmend import competitions, files, models, setting_values
from pixmend.config import SETTINGS, Settings
from pixmend.data import dataset
from pixmend.data.encode import encode_png
from pixmend.errors import UserError
from pixmend.reporting import error_section, gallery, page, run_section
from pixmend.reporting.run_section import Run
from pixmend.scoring import run_score
from pixmend.scoring.outdated import explain_outdated_score
from pixmend.submissions import predictions
from pixmend.training import unknown_masks

PIPELINE = "./run_pipeline.sh"
DATA_GROUPS = ("common", "download", "augment")
NOT_REPEATED = {"competition", "run", "force", "quiet", "unknown_masks"}


def main(settings: Settings) -> None:
    """Write submissions/<competition>/report.html and before-after.png. Runs that find masks have a row on the page only."""
    score, runs = read_score(settings)
    if models.run_finds_masks(settings):
        iou = next(run for run in runs if run.name == settings.run).get_number("iou")
        print(f"Run {settings.run!r} finds masks with an intersection over union of {iou:.4f} on the holdout.")
        print(f"masks       {settings.submissions_folder / settings.run}-masks")
        print(f"next        {format_command(settings, '--unknown-masks', '--mask-run', settings.run)}")
        return
    ready, predicted = read_predictions(settings, score)
    errors, shown = error_section.measure_errors(ready, predicted, gallery.list_shown_ids(score))
    path, outdated = settings.submissions_folder / "report.html", explain_outdated_score(settings, score)
    before_after = path.with_name("before-after.png")
    files.write_text(path, page.render_page(settings, runs, score, errors, shown, ready, outdated))
    with files.atomic_write(before_after) as file:
        file.write(encode_png(gallery.make_before_after(ready, score, shown)))
    submission = competitions.get_submission_path(settings)
    remarks = [f"outdated    {outdated}"] if outdated else []
    print("\n".join([f"submission  {submission}", f"report      {path}", f"picture     {before_after}", *remarks,
                     *suggest_commands(settings)]))


def read_score(settings: Settings) -> tuple[dict[str, Any], list[Run]]:
    """Return the run's score and all runs of the leaderboard, this one with its score among them."""
    runs, finds_masks = run_section.list_runs(settings), models.run_finds_masks(settings)
    score = run_score.read_score(settings.run_folder, run_score.MASK_SCORE_FIELDS if finds_masks else run_score.SCORE_FIELDS)
    column = "iou" if finds_masks else run_section.RMSE
    is_listed = any(run.name == settings.run and run.get_number(column) is not None for run in runs)
    if score is None or not is_listed:
        place = settings.run_folder if score is None else settings.submissions_folder / "leaderboard.csv"
        raise UserError(f"Run {settings.run!r} has no score in {place}. Score it first: "
                        f"{setting_values.format_run_command('score', settings.run, settings)}")
    return score, runs


def read_predictions(settings: Settings, score: Mapping[str, Any]) -> tuple[dataset.Dataset, Iterator[np.ndarray]]:
    """Return the dataset, if the score is of its holdout, and the run's predictions of it, with the masks that it was given."""
    ready = dataset.open_dataset(settings)
    if score["ids"] != [row.id for row in ready.split("holdout")]:
        raise UserError(f"The score of run {settings.run!r} is of another holdout ({settings.run_folder / 'score.json'}). "
                        f"Score it again: {setting_values.format_run_command('score', settings.run, settings)}")
    path, given = settings.run_folder / "holdout.npz", unknown_masks.open_dataset_for_prediction(settings)
    predictions.check_same_dataset(path, given)
    return ready, predictions.read_images(path, given, ready.split("holdout"))


def suggest_commands(settings: Settings) -> list[str]:
    """Return what to do next, a line each."""
    if settings.competition == "photo_reconstruction":
        return [f"next        {setting_values.format_run_command('submit', settings.run, settings)}"]
    if competitions.get_competition(settings.competition).accepts_photos:
        return [] if settings.photos else [f"your photos {format_command(settings, '--photos', 'FOLDER')}"]
    real = replace(settings, competition="photo_reconstruction", given=settings.given & {"home"})
    command = format_command(real, "--minutes", "60")
    return ["next        the real competition (docs/competition.md: a Kaggle token, accepted rules)",
            f"  {command}", f"  {command} --submit"]


def format_command(settings: Settings, *flags: str) -> str:
    """Return a pipeline's command for this home and competition, with the flags that decided its data."""
    names = [name for name, spec in SETTINGS.items() if spec.group in DATA_GROUPS and name not in NOT_REPEATED]
    command = setting_values.format_command([PIPELINE, "--competition", settings.competition], settings, names)
    return f"{command} {shlex.join(flags)}".strip()
