"""Write the report page of all runs of a competition, and print what the run gained and what to do next."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pixmend import competitions, files, models
from pixmend.config import SETTINGS, Settings
from pixmend.data import dataset
from pixmend.data.encode import encode_png
from pixmend.errors import UserError
from pixmend.experiments import search_space
from pixmend.reporting import error_section, gallery, page, run_section
from pixmend.reporting.run_section import Run
from pixmend.scoring.verdict import describe_run
from pixmend.submissions import predictions
from pixmend.training import unknown_masks

PIPELINE = "./run_pipeline.sh"
DATA_GROUPS = ("common", "download", "augment")
NOT_REPEATED = ("competition", "run", "force", "quiet", "unknown_masks")


def main(settings: Settings) -> None:
    """Write submissions/<competition>/report.html and before-after.png. Runs that find masks have a row on the page only."""
    score, runs = read_score(settings)
    if models.run_finds_masks(settings):
        return print(summarize_masks(settings, runs))
    ready = open_scored_dataset(settings, score)
    errors, predicted = error_section.measure_errors(ready, read_predictions(settings, ready), gallery.list_shown_ids(score))
    path = settings.submissions_folder / "report.html"
    files.write_text(path, page.render_page(settings, runs, score, errors, predicted, ready))
    with files.atomic_write(path.with_name("before-after.png")) as file:
        file.write(encode_png(gallery.make_before_after(ready, score, predicted)))
    return print("\n".join(["", *describe_run(settings, score, score["fills"]), f"submission  {competitions.get_submission_path(settings)}",
                            f"report      {path}", *suggest_commands(settings)]))


def read_score(settings: Settings) -> tuple[dict[str, Any], list[Run]]:
    """Return the run's score and all runs of the leaderboard, this one among them."""
    path, runs = settings.run_folder / "score.json", run_section.list_runs(settings)
    score = files.read_json(path)
    if score is None or settings.run not in [run.name for run in runs]:
        raise UserError(f"Run {settings.run!r} has no score ({path}). Score it first: pixmend score --run {settings.run}")
    return score, runs


def open_scored_dataset(settings: Settings, score: Mapping[str, Any]) -> dataset.Dataset:
    """Open the dataset if the score is of its holdout."""
    ready = dataset.open_dataset(settings)
    if score["ids"] != [row.id for row in ready.split("holdout")]:
        raise UserError(f"The score of run {settings.run!r} is of another holdout ({settings.run_folder / 'score.json'}). "
                        f"Score it again: pixmend score --run {settings.run}")
    return ready


def read_predictions(settings: Settings, ready: dataset.Dataset) -> Iterator[np.ndarray]:
    """Yield the run's predictions of the holdout, with the masks that it was given."""
    path, given = settings.run_folder / "holdout.npz", unknown_masks.open_dataset_for_prediction(settings)
    predictions.check_same_dataset(path, given)
    return predictions.read_images(path, given, ready.split("holdout"))


def summarize_masks(settings: Settings, runs: Sequence[Run]) -> str:
    """Return the summary of a run that finds masks."""
    run = next(run for run in runs if run.name == settings.run)
    flags = ("--unknown-masks", "--mask-run", settings.run)
    return "\n".join(["", f"Run {settings.run!r} finds masks with an intersection over union of {run.get_number('iou'):.4f} on the holdout.",
                      f"masks       {settings.submissions_folder / settings.run}-masks",
                      f"next        {format_command(settings, *flags)}"])


def suggest_commands(settings: Settings) -> list[str]:
    """Return what to do next, a line each."""
    if settings.competition == "photo_reconstruction":
        home = ["--home", settings.home] if "home" in settings.given else []
        return [f"next        {shlex.join(['pixmend', 'submit', '--run', settings.run, *home])}"]
    if competitions.get_competition(settings.competition).accepts_photos:
        return [] if settings.photos else [f"your photos {format_command(settings, '--photos', 'FOLDER')}"]
    real = replace(settings, competition="photo_reconstruction", given=settings.given & {"home"})
    command = format_command(real, "--lambda", "1000", "--steps", "170000")
    return ["next        the real competition (docs/competition.md: a Kaggle token, accepted rules)", f"  {command}", f"  {command} --submit"]


def format_command(settings: Settings, *flags: str) -> str:
    """Return a pipeline's command for this home and competition, with the flags that decided its data."""
    names = [name for name, spec in SETTINGS.items() if spec.group in DATA_GROUPS and name not in NOT_REPEATED]
    command = search_space.format_command([PIPELINE, "--competition", settings.competition], settings, names)
    return f"{command} {shlex.join(flags)}".strip()
