"""Compare optimizers, losses, models, LAMBDA, augmentation or levels: `study NAME`, the same seeds a row, with how sure it is.

Every row and seed is an ordinary run, made by the ordinary stages. Stopped or killed, the same command goes on.
"""

import datetime
import gc
import logging
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np

from pixmend import competitions, files, models, run_file
from pixmend.config import group_values, weight_settings
from pixmend.data import dataset
from pixmend.data.paste import paste_predictions
from pixmend.errors import Diverged, FlagError, UserError
from pixmend.evaluation import leaderboard
from pixmend.experiments import run_costs, study_plans, study_results, study_table
from pixmend.progress import print_message
from pixmend.reporting import study_section
from pixmend.scoring import run_score
from pixmend.stages import augment, download, predict, report, serialize, train
from pixmend.training import checkpoints, run_predictions

LASTING = {study_results.DONE, study_results.DIVERGED}   # a run that ended so is not made again
UNTIMED, TIMED = 8, 16   # pictures painted before the clock runs, and on it


def main(settings):
    plan = study_plans.PLANS[settings.about]
    study_plans.check_study(settings, plan)
    settings, seeds = study_plans.apply_study_defaults(settings, plan), study_plans.parse_seeds(settings)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)   # it takes a second network in one process for a mistake
    with files.try_lock(settings.run_folder.parent / f".study-{settings.about}"):
        ready = prepare(settings)
        rows = study_plans.select_rows(settings, plan, ready)
        try:
            study = carry_out(settings, plan, rows, study_plans.plan_runs(settings, rows, seeds), ready)
        finally:
            prepare(settings)   # where rows have augmented in their own ways
    print("\n".join([study_table.format_text(study), study["conclusion"], f"study: {written(settings)[0]}"]))
    if study["best"] is None:
        raise UserError(f"No row of the study {settings.about} came to its end; the reasons stand above.")


def written(settings):
    """The page of a study and its picture."""
    stem = Path(settings.home) / "benchmarks" / f"study-{settings.about}-{settings.place}"
    return stem.with_name(f"{stem.name}.md"), stem.with_name(f"{stem.name}.png")


def prepare(settings):
    """The prepared set of these settings, made where it is not there."""
    try:
        return dataset.open_dataset(settings)
    except UserError:
        download.main(settings)
        augment.main(settings)
        return dataset.open_dataset(settings)


def carry_out(settings, plan, rows, planned, ready):
    """Make each run that is not there yet, and put down after each what is known by then; then the report of the best."""
    runs = study_results.read_runs(settings)
    for number, (row, seed, chosen) in enumerate(planned, 1):
        made_from = fingerprint(chosen, ready)
        if not lasts(runs.get(chosen.run), chosen, made_from):
            print_message(f"study: run {number} of {len(planned)}: {row.title}, seed {seed}: {chosen.run}")
            runs[chosen.run] = ended(chosen, plan) | {"made_from": made_from, "files": stamps(chosen)}
            put_down(settings, plan, rows, planned, runs)
    study = put_down(settings, plan, rows, planned, runs)
    done = [chosen for _, _, chosen in planned if runs[chosen.run]["state"] == study_results.DONE]
    if done:
        best = min(done, key=lambda chosen: runs[chosen.run]["rmse"])
        prepare(best)
        report.main(best)
    return study


def fingerprint(settings, ready):
    """What decides a run's figures."""
    return files.hash_value([ready.made_from, weight_settings(settings), group_values(settings, "prediction"),
                              group_values(settings, "submission")])


def stamps(settings):
    """Of the files that a run's figures come from."""
    folder = settings.run_folder
    return [files.optional_signature(path) for path in (folder / "best.npz", folder / "score.json",
                                                   competitions.get_submission_path(settings, "holdout"))]


def lasts(run, settings, made_from):
    return run is not None and run["state"] in LASTING and run["made_from"] == made_from and run["files"] == stamps(settings)


def ended(settings, plan):
    """Make one run as a user would; how it ended, with its figures."""
    told = {"commit": run_file.describe_checkout().get("commit", ""), "date": datetime.date.today().isoformat(), "rmse": None, "seconds": None}
    state, reason = study_results.DONE, ""
    try:
        told |= made(settings, plan)
    except Diverged as error:
        state, reason = study_results.DIVERGED, str(error)
    except FlagError as error:
        state, reason = study_results.REFUSED, str(error)
    except UserError as error:
        state, reason = study_results.FAILED, str(error)
    except OSError:
        raise
    except Exception as error:   # out of memory, a size that a network cannot take: the next run may do better
        state, reason = study_results.FAILED, f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    finally:
        forget_the_network()
    if state != study_results.DONE:
        print_message(f"study: {settings.run} {state}: {reason}")
        if settings.run_folder.exists():
            leaderboard.update_run(settings.submissions_folder / "leaderboard.csv", settings.run, **run_score.describe_circumstances(settings))
    reason = reason.replace(f"{settings.home}/", "")
    return told | {"state": state, "reason": reason, "hardware": run_costs.describe_hardware()} | run_costs.measure_run_costs(settings.run_folder)


def made(settings, plan):
    """The ordinary stages, one after another."""
    prepare(settings)
    for stage in (train, predict, serialize):
        stage.main(settings)
    _, _, figures = run_score.score_run(settings)
    print_message(f"study: {settings.run}: RMSE {figures['holdout_rmse']:.5f}, {figures['to_harmonic']:.3f} of harmonic")
    return {"rmse": figures["holdout_rmse"], "seconds": seconds(settings) if plan.timed else None}


def forget_the_network():
    """Ready for the next one, with no memory held by this one."""
    if keras := sys.modules.get("keras"):
        keras.utils.clear_session()
        gc.collect()


def seconds(settings):
    """Of the CPU, to paint a picture of the holdout, once it is under way; unknown of what paints elsewhere."""
    ready = dataset.open_dataset(settings)
    held = ready.split("holdout")
    rows = [held[number % len(held)] for number in range(UNTIMED + TIMED)]
    if models.is_trainable(settings.model):
        return per_picture(painted_by_network(settings, ready, rows))
    return per_picture(painted_by_fill(settings, ready, rows)) if models.is_fill(settings.model) else None


def per_picture(pictures):
    for _ in islice(pictures, UNTIMED):
        pass
    began = time.perf_counter()
    count = sum(1 for _ in pictures)
    return (time.perf_counter() - began) / count


def painted_by_network(settings, ready, rows):
    import keras

    weights = checkpoints.get_weights_path(settings.run_folder)
    with keras.device("cpu"):
        network = run_predictions.build_run_network(settings)
        yield from run_predictions.predict_with_network(lambda: network, weights, ready, rows, "holdout")


def painted_by_fill(settings, ready, rows):
    fill = models.get_fill(settings.model)
    for row in rows:
        known, mask = ready.damaged(row) / np.float32(255), ready.hole(row) > 0
        yield paste_predictions(known, mask, fill(known, mask))


def put_down(settings, plan, rows, planned, runs):
    """What is known by now: for the report as JSON, and as a page with its drawing in benchmarks/."""
    study = study_results.collect_results(settings, plan, rows, planned, runs)
    files.write_json(study_results.get_results_path(settings, settings.about), study)
    page, picture = written(settings)
    with files.atomic_write(picture) as file:
        file.write(study_section.render_png(settings, study))
    files.write_text(page, study_table.format_markdown(study, picture.name))
    return study
