"""Study: train the runs of a plan with the same seeds for each row, and write what their scores say."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from pixmend import competitions, files, models, run_file
from pixmend.competitions.prepare import prepare_dataset
from pixmend.config import Settings, group_values
from pixmend.data import dataset as datasets
from pixmend.errors import UserError
from pixmend.experiments import run_costs, study_plans, study_results, study_table
from pixmend.experiments.runner import DIVERGED, DONE, run_guarded
from pixmend.experiments.study_plans import Plan, PlannedRun, Row
from pixmend.kaggle.download import download_competition
from pixmend.progress import print_message
from pixmend.run_identity import weight_identity
from pixmend.scoring import run_score
from pixmend.training import checkpoints, run, run_predictions, run_submissions

WARM_UP, TIMED = 8, 16     # images that are predicted before and while the time is taken
DrawChart = Callable[[Settings, dict[str, Any]], bytes]


def run_study(settings: Settings, draw_chart: DrawChart) -> dict[str, Any]:
    """Make every run of a study that is not finished; return the results. `draw_chart` makes the PNG file of the page."""
    plan = study_plans.PLANS[settings.about]
    study_plans.check_study(settings, plan)
    settings, seeds = study_plans.apply_study_defaults(settings, plan), study_plans.parse_seeds(settings)
    with files.try_lock(settings.run_folder.parent / f".study-{settings.about}"):
        dataset = open_or_prepare(settings)
        rows = study_plans.select_rows(settings, plan, dataset)
        planned = study_plans.plan_runs(settings, rows, seeds)
        stored = study_results.read_studies(settings.run_folder.parent, settings.about)
        runs: dict[str, dict[str, Any]] = stored[0]["runs"] if stored else {}
        for each in planned:   # forget figures of other images, and of files that are gone
            name = each.settings.run
            if name in runs and not identify_run(each.settings, dataset).items() <= runs[name].items():
                del runs[name]
        try:
            for number, each in enumerate(planned, 1):
                name = each.settings.run
                if name not in runs or runs[name]["state"] not in (DONE, DIVERGED):
                    print_message(f"study: run {number} of {len(planned)}: {each.row.title}, seed {each.seed}: {name}")
                    runs[name] = make_run(each.settings, plan) | identify_run(each.settings, dataset)
                    write_results(settings, plan, rows, planned, runs, draw_chart)
            return write_results(settings, plan, rows, planned, runs, draw_chart)
        finally:
            open_or_prepare(settings)   # rows with another augmentation have prepared it differently


def open_or_prepare(settings: Settings) -> Any:
    """Open the dataset of these settings; download and prepare it first if needed."""
    try:
        return datasets.open_dataset(settings)
    except UserError:
        download_competition(settings)
        prepare_dataset(settings)
        return datasets.open_dataset(settings)


def identify_run(settings: Settings, dataset: Any) -> dict[str, Any]:
    """Return a hash of everything that decides the figures of a run, and the signatures of the files that they are from."""
    groups = [weight_identity(settings), group_values(settings, "prediction"), group_values(settings, "submission")]
    groups += [{"extra_pictures": dataset.extra_pictures}] if dataset.extra_pictures else []
    folder = settings.run_folder
    paths = (folder / "best.npz", folder / "score.json", competitions.get_submission_path(settings, "holdout"))
    return {"made_from": files.hash_value([dataset.cache_key, *groups]), "files": list(map(files.optional_signature, paths))}


def make_run(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Train, predict, write and score one run; return how it ended, with its figures and costs."""
    outcome = run_guarded(lambda: run_stages(settings, plan))
    if outcome.state != DONE:
        print_message(f"study: {settings.run} {outcome.state}: {outcome.reason}")
        if settings.run_folder.exists():
            run_score.update_leaderboard(settings)
    figures = outcome.result or {"rmse": None, "seconds": None}
    checkout = run_file.describe_checkout()
    return figures | {"state": outcome.state, "reason": outcome.reason.replace(f"{settings.home}/", ""),
                      "commit": run_file.format_commit(checkout), "date": checkout["date"],
                      "hardware": run_costs.describe_hardware()} | run_costs.measure_run_costs(settings.run_folder)


def run_stages(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Do what the stages of the pipeline do, from train to score; return the RMSE and the seconds an image."""
    open_or_prepare(settings)
    settings = models.apply_model_defaults(settings)
    with files.try_lock(settings.run_folder):
        if models.is_trainable(settings.model):
            run.check_run(settings)
            run.train_run(settings)
        else:
            run.save_run_settings(settings)
        run_predictions.predict_run(settings)
        run_submissions.write_submissions(settings)
    _, _, figures = run_score.score_run(settings)
    print_message(f"study: {settings.run}: RMSE {figures['holdout_rmse']:.5f}, {figures['to_harmonic']:.3f} times harmonic")
    return {"rmse": figures["holdout_rmse"], "seconds": measure_seconds(settings) if plan.timed else None}


def measure_seconds(settings: Settings) -> float | None:
    """Return the seconds to predict one holdout image on the CPU; None for pretrained pipelines, which run elsewhere."""
    if not (models.is_trainable(settings.model) or models.is_fill(settings.model)):
        return None
    images = predict_in_turn(settings)
    for _ in islice(images, WARM_UP):
        pass
    start = time.perf_counter()
    count = sum(1 for _ in images)
    return (time.perf_counter() - start) / count


def predict_in_turn(settings: Settings) -> Iterator[Any]:
    """Predict WARM_UP + TIMED holdout images, one after the other: a fill on one core, a network on all cores."""
    dataset = datasets.open_dataset(settings)
    holdout = dataset.split("holdout")
    rows = [holdout[number % len(holdout)] for number in range(WARM_UP + TIMED)]
    if models.is_fill(settings.model):
        yield from (run_predictions.fill_chunk(settings, [row]) for row in rows)
        return
    import keras

    with keras.device("cpu"):
        network = run_predictions.build_run_network(settings)
        weights = checkpoints.get_weights_path(settings.run_folder)
        yield from run_predictions.predict_with_network(lambda: network, weights, dataset, rows, "holdout")


def write_results(settings: Settings, plan: Plan, rows: list[Row], planned: list[PlannedRun], runs: dict[str, Any],
                  draw_chart: DrawChart) -> dict[str, Any]:
    """Write the results so far as JSON for the report, and as a page with a chart beside the runs."""
    results = study_results.collect_results(settings, plan, rows, planned, runs)
    files.write_json(settings.run_folder.parent / f"{settings.about}.study.json", results)
    page = study_results.get_page_path(settings)
    with files.atomic_write(page.with_suffix(".png")) as file:
        file.write(draw_chart(settings, results))
    files.write_text(page, study_table.format_markdown(results, f"{settings.about}.png"))
    return results
