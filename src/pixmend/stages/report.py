"""One HTML page of all runs that opens offline, and the summary that a pipeline ends with."""

import shlex
from dataclasses import replace

from pixmend import competitions, files, models
from pixmend.config import SETTINGS
from pixmend.data import dataset
from pixmend.data.encode import encode_png
from pixmend.errors import UserError
from pixmend.evaluation import metrics
from pixmend.experiments import search_space as spaces
from pixmend.reporting import gallery, page, run_section, status_section
from pixmend.scoring.run_score import rmse_by_label
from pixmend.submissions import predictions
from pixmend.training import unknown_masks

PIPELINE, SUBMIT = ("./run_pipeline.sh",), ("python", "-m", "pixmend", "submit")
OF_THE_SET = ("common", "download", "augment")
NOT_REPEATED = ("competition", "run", "force", "quiet", "unknown_masks")   # said anew, or of this call alone


def main(settings):
    path = settings.submissions_folder / "report.html"
    score, listed = scored(settings)
    if models.run_finds_masks(settings):
        return print(after_masks(settings, listed))
    ready = opened(settings, score)
    found, mended = status_section.study(ready, mended_pictures(settings, ready), gallery.wanted(score))
    classes = {"ours": rmse_by_label(score), "harmonic": rmse_by_label(score | {"sums": score["fills"]["harmonic"]})}
    files.write_text(path, page.render(settings, listed, score, classes, found, mended, ready))
    with files.atomic_write(path.with_name("before-after.png")) as file:
        file.write(encode_png(gallery.before_after(ready, score, mended)))
    print(what_next(settings, listed, score, path))


def scored(settings):
    """The run's score and all runs of the leaderboard, this one among them."""
    score, listed = files.read_json(settings.run_folder / "score.json"), run_section.listed(settings)
    if score is None or settings.run not in [run.name for run in listed]:
        raise UserError(f"{settings.run_folder} has no score yet; run `python -m pixmend score` with the same flags first.")
    return score, listed


def opened(settings, score):
    """The prepared set, if score and predictions are of its holdout."""
    ready = dataset.open_dataset(settings)
    if score["ids"] != [row.id for row in ready.split("holdout")]:
        raise UserError(f"{settings.run_folder} has a score of another holdout; "
                        "run `python -m pixmend score` with the same flags again.")
    return ready


def mended_pictures(settings, ready):
    """The holdout as the run painted it, in the masks that it was told."""
    path, told = settings.run_folder / "holdout.npz", unknown_masks.open_dataset_for_prediction(settings)
    predictions.check_same_dataset(path, told)
    return predictions.read_images(path, told, ready.split("holdout"))


def after_masks(settings, listed):
    """The last words of a run that finds masks: it has no page of its own, but a line in those of the runs that paint in them."""
    run = next(run for run in listed if run.name == settings.run)
    return "\n".join(["", f"{settings.run}: intersection over union {run.figure('iou'):.4f} on the holdout",
                      f"masks:          {settings.submissions_folder / settings.run}-masks",
                      "paint in them:  " + command(settings, PIPELINE, "--unknown-masks", "--mask-run", settings.run)])


def what_next(settings, listed, score, path):
    """The pipeline's last words: where the run stands, what was written, and the way to the real competition."""
    ours = metrics.compute_rmse(score["sums"], score["numbers"])
    fills = "  ".join(f"{name} {value:.5f}" for name, value in page.floor(score))
    place = [run.name for run in listed].index(settings.run) + 1
    lines = [f"{settings.run}: holdout RMSE {ours:.5f}, place {place} of {len(listed)}; the fills: {fills}",
             f"file to submit: {competitions.get_submission_path(settings)}", f"report:         {path}"]
    return "\n".join(["", *lines, *commands(settings)])


def commands(settings):
    if settings.competition == "photo_reconstruction":
        return ["submit it:      " + command(settings, SUBMIT, "--run", settings.run)]
    if competitions.get_competition(settings.competition).accepts_photos:
        return [] if settings.photos else ["of your own photos: " + command(settings, PIPELINE, "--photos", "FOLDER")]
    here = replace(settings, competition="photo_reconstruction", given=settings.given & {"home"})
    real = command(here, PIPELINE, "--lambda", "1000", "--steps", "170000")
    return ["the real competition (README: Kaggle token, accepted rules):", f"  {real}", f"  {real} --submit"]


def command(settings, start, *flags):
    """A next command in this home and contest, under the flags given for what was downloaded and prepared."""
    spelled = [name for name in SETTINGS if name in settings.given and SETTINGS[name].group in OF_THE_SET]
    words = [word for name in spelled for word in spaces.format_flag(name, getattr(settings, name)) if name not in NOT_REPEATED]
    return shlex.join([*start, "--competition", settings.competition, *words, *flags])
