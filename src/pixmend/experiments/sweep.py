"""Sweep: train one run for each of several values of training settings. Any number of processes may share a sweep."""

import contextlib
import time
from typing import Any

from pixmend import competitions, files, models
from pixmend.config import Settings, flag, weight_settings
from pixmend.data import dataset as datasets
from pixmend.errors import FlagError, UserError
from pixmend.evaluation import leaderboard
from pixmend.experiments import search_space, sweep_results
from pixmend.experiments.runner import DONE, run_guarded
from pixmend.progress import print_message
from pixmend.scoring.run_score import describe_circumstances
from pixmend.training.run import train_run

MAX_NAME_LENGTH = 120
LOCK = ".sweep.lock"
POLL_SECONDS = 2   # between two looks at trials of other processes


def check_sweep(settings: Settings) -> None:
    """Raise an error for settings that a sweep cannot have, before anything starts."""
    if not settings.swept:
        raise FlagError("A sweep needs a flag of `train` with several values: --lambda 100,400 or --learning-rate 1e-4..1e-3")
    for name, why in (("run", "each trial is named after its flags; name the sweep with --sweep-name"),
                      ("force", "finished runs are used again; delete their folders to train them anew")):
        if getattr(settings, name) and name in settings.given:
            raise FlagError(f"{flag(name)} is not for a sweep: {why}.")
    for model in getattr(dict(settings.swept).get("model"), "values", [settings.model]):
        if not models.is_model(model):
            raise FlagError(f"There is no model {model!r}. `pixmend --help` lists them.")
        if not models.is_trainable(model):
            raise FlagError(f"--model {model} is {'a fill' if models.is_fill(model) else 'pretrained'} and is not trained; a sweep is for networks.")
    if settings.processes:
        raise FlagError("--processes is not for a sweep: machines share its trials through --storage.")
    if settings.folds > 1:
        raise FlagError("--folds is not for a sweep: trials are compared on one holdout. Train the best one with --folds.")
    if choose_sampler(settings) == "grid" and "trials" in settings.given:
        raise FlagError("--trials is for --sampler random and tpe; a grid tries every point of its lists.")


def choose_sampler(settings: Settings) -> str:
    if settings.sampler != "auto":
        return settings.sampler
    return "tpe" if any(isinstance(values, search_space.Range) for _, values in settings.swept) else "grid"


def run_sweep(settings: Settings) -> dict[str, Any]:
    """Train the trials of a sweep, or join other processes that do; return its results."""
    from pixmend.experiments import optuna_study  # Optuna takes a second to import

    folder = settings.run_folder.parent
    folder.mkdir(parents=True, exist_ok=True)
    url = optuna_study.parse_storage_url(settings.storage or f"sqlite:///{folder.resolve() / 'sweeps.db'}")
    with optuna_study.report_database_errors(url):
        with files.wait_for_lock(folder / LOCK):
            study = open_study(settings, optuna_study, url)
        print_message(f"sweep: {study.name}, {study.wanted} trials; the study is in {optuna_study.format_public_url(url)}")
        run_trials(settings, study)
        return write_results(settings, study)


def open_study(settings: Settings, optuna_study: Any, url: Any) -> Any:
    """Create or join the study of these settings."""
    sampler, swept = choose_sampler(settings), dict(settings.swept)
    points = search_space.list_grid_points(swept) if sampler == "grid" else []
    facts = {flag(name): value for name, value in weight_settings(settings).items() if name not in swept}
    facts |= {flag(name): str(values) for name, values in swept.items()}
    facts |= {"--competition": settings.competition, "--sampler": sampler,
              "dataset": files.hash_value(datasets.open_dataset(settings).cache_key)}
    folder = settings.run_folder.parent
    return optuna_study.SharedStudy(
        optuna_study.open_storage(url), name_sweep(settings, sampler), facts=facts, wanted=len(points) or settings.trials,
        sampler=optuna_study.make_sampler(sampler, points, settings.seed),
        pruner=optuna_study.make_pruner(models.apply_model_defaults(settings)),
        place=optuna_study.read_home_id(folder / ".place"), folder=folder)


def name_sweep(settings: Settings, sampler: str) -> str:
    """Return --sweep-name, or a name made of what is swept."""
    parts = [f"{flag(name).removeprefix('--')}={values}" for name, values in settings.swept]
    name = "-".join([settings.run, *parts, *([sampler] if sampler != "grid" else [])])
    if len(name) > MAX_NAME_LENGTH:
        name = f"{name[:MAX_NAME_LENGTH]}-{files.hash_value(name)}"
    return settings.sweep_name or name


def run_trials(settings: Settings, study: Any) -> None:
    """Train trial after trial, then wait for those of other processes, in case one of these dies."""
    waiting = False
    while True:
        with contextlib.ExitStack() as lock:
            if trial := study.claim_trial(lock):
                with study.send_heartbeats(trial):
                    run_trial(settings, study, trial, lock)
                write_results(settings, study)
                continue
        others = len(study.list_running())
        if not others:
            return
        if not waiting:
            print_message(f"sweep: waiting for {others} trials of other processes; if one of them dies, its trial continues here.")
        waiting = True
        time.sleep(POLL_SECONDS)


def run_trial(settings: Settings, study: Any, trial: Any, lock: contextlib.ExitStack) -> None:
    """Train one trial as an ordinary run, and store in the study how it ended."""
    from optuna.exceptions import OptunaError, UpdateFinishedTrialError
    from optuna.trial import TrialState
    from sqlalchemy.exc import SQLAlchemyError

    values = {name: choices.round_value(choices.suggest(trial, name)) for name, choices in settings.swept}
    chosen = search_space.make_trial_settings(settings, values, competitions.get_default_settings(settings))
    if trial.user_attrs.get("place") != study.place:
        wait_for_run(lock, chosen)
    try:
        trial.set_user_attr("run", chosen.run)
        trial.set_user_attr("place", study.place)   # from here on, other processes test the lock of the run's folder
        print_message(f"sweep: trial {trial.number + 1} of {study.wanted}: {search_space.format_flags(values)}")

        def stop_early(step: int, rmse: float) -> bool:
            study.report_evaluations(trial, [(step, rmse)])
            return trial.should_prune()

        outcome = run_guarded(lambda: train_run(chosen, chosen.run_folder, stop_early), (OptunaError, SQLAlchemyError))
        leaderboard.update_run(chosen.submissions_folder / "leaderboard.csv", chosen.run, **describe_circumstances(chosen))
        if outcome.state != DONE:
            print_message(f"sweep: this trial failed. {outcome.reason}")
            return study.finish_trial(trial, TrialState.FAIL, reason=outcome.reason)
        trainer = outcome.result
        study.report_evaluations(trial, ((int(row["step"]), float(row["holdout_rmse"])) for row in trainer.history.rows))
        stopped = trainer.stopped_early and trainer.step < trainer.settings.steps
        study.finish_trial(trial, TrialState.PRUNED if stopped else TrialState.COMPLETE, None if stopped else trainer.best_rmse,
                           rmse=trainer.best_rmse, step=trainer.step)
    except UpdateFinishedTrialError:
        print_message(f"sweep: trial {trial.number + 1} was ended by another process, which took this process for dead.")


def wait_for_run(lock: contextlib.ExitStack, settings: Settings) -> None:
    """Lock a run's folder; if another command trains this run, wait for its end, so that nothing is trained twice."""
    waiting = False
    while True:
        try:
            lock.enter_context(files.try_lock(settings.run_folder))
            return
        except UserError:
            if not waiting:
                print_message(f"sweep: waiting for another command that trains {settings.run_folder}.")
            waiting = True
            time.sleep(POLL_SECONDS)


def write_results(settings: Settings, study: Any) -> dict[str, Any]:
    """Write what the study contains as JSON for the report; one process at a time, so that the latest state stays."""
    with files.wait_for_lock(settings.run_folder.parent / LOCK):
        results = sweep_results.collect_results(settings, study, dict(settings.swept), competitions.get_default_settings(settings))
        files.write_json(sweep_results.get_results_path(settings, study.name), results)
    return results
