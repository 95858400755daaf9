"""Sweep: train one run for each of several values of training settings. Any number of processes may share a sweep."""

import contextlib
import dataclasses
import itertools
import time
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pixmend import files, models
from pixmend.config import SETTINGS, Settings, flag
from pixmend.data import dataset as datasets
from pixmend.data.dataset import Dataset
from pixmend.errors import FlagError
from pixmend.experiments import search_space, sweep_results
from pixmend.experiments.runner import DONE, Outcome, make_run_settings, refuse_flags, run_guarded
from pixmend.networks import photos_fill
from pixmend.progress import print_message
from pixmend.run_identity import WEIGHT_SETTINGS, weight_identity
from pixmend.scoring.run_score import update_leaderboard
from pixmend.scoring.verdict import find_kept_step
from pixmend.training.loggers.registry import check_packages
from pixmend.training.run import train_run

MAX_NAME_LENGTH = 120
LOCK = ".sweep.lock"
POLL_SECONDS = 2   # between two looks at trials of other processes
NOT_FOR_SWEEPS = {"run": "each trial is named after its flags; name the sweep with --sweep-name",
                  "force": "finished trials are used again; to train them anew, delete their folders and give a new --sweep-name",
                  "processes": "machines share its trials through --storage",
                  "folds": "trials are compared on one holdout; train the best one with --folds"}


def check_sweep(settings: Settings) -> None:
    """Raise an error for settings that a sweep cannot have, before anything starts."""
    if not settings.swept:
        raise FlagError("A sweep needs a flag of `train` with several values: --lambda 100,400 or --learning-rate 1e-4..1e-3")
    refuse_flags(settings, "sweep", NOT_FOR_SWEEPS)
    for model in list_choices(settings, "model"):
        if not models.is_model(model):
            raise FlagError(f"There is no model {model!r}. `pixmend --help` lists them.")
        if not models.is_trainable(model):
            kind = "a fill" if models.is_fill(model) else "pretrained"
            raise FlagError(f"--model {model} is {kind} and is not trained; a sweep is for networks.")
    if len({models.finds_masks(model) for model in list_choices(settings, "model")}) > 1:
        raise FlagError("Some of these models find masks and others restore images, so their RMSE cannot be compared. Give each "
                        "kind a sweep of its own.")
    check_comparable(settings)
    if choose_sampler(settings) == "grid" and "trials" in settings.given:
        raise FlagError("--trials is for --sampler random and tpe; a grid tries every point of its lists.")
    check_packages(settings)


def check_comparable(settings: Settings) -> None:
    """Raise an error if trials would be evaluated on different images, or only some of them begin with learned weights."""
    trials = list_trials_at_ends(settings)
    if len(counts := {trial.evaluation_images for trial in trials}) > 1:
        raise FlagError(f"These models are evaluated on different numbers of images by default ({', '.join(map(str, counts))}), "
                        f"so their RMSE cannot be compared. Give one number to all: --evaluation-images {max(counts)}")
    if "model" not in dict(settings.swept) and len({trial.init_from for trial in trials}) > 1:
        raise FlagError(f"Some of these trials would begin with the weights of {photos_fill.NAME}, which fit one network only, "
                        f"and others untrained. Give --init-from= to let all begin untrained.")


def check_learned_holdout(settings: Settings, dataset: Dataset) -> None:
    """Raise an error if only some trials begin with what `photos` learned, and it has learned from images of the holdout."""
    differ = len({models.begins_with_photos_weights(trial) for trial in list_trials_at_ends(settings)}) > 1
    if differ and models.has_learned_holdout(settings, dataset):
        raise FlagError(f"Some of these trials begin with what {photos_fill.NAME} learned, and it has learned from photographs "
                        f"of this holdout: their RMSE would be too good to compare. Give --init-from=, and no --start "
                        f"{photos_fill.NAME}.")


def list_trials_at_ends(settings: Settings) -> list[Settings]:
    """Return the settings of a trial for each listed value, and for both ends of each range."""
    ends = {name: values.values if isinstance(values, search_space.Choice) else (values.low, values.high)
            for name, values in settings.swept}
    return [models.apply_model_defaults(make_run_settings(settings, {name: value}))
            for name, values in ends.items() for value in values]


def list_choices(settings: Settings, name: str) -> Sequence[Any]:
    """Return the values that a sweep lists of a setting, or its only one."""
    values: Sequence[Any] = getattr(dict(settings.swept).get(name), "values", [getattr(settings, name)])
    return values


def choose_sampler(settings: Settings) -> str:
    if settings.sampler != "auto":
        return settings.sampler
    return "tpe" if any(isinstance(values, search_space.Range) for _, values in settings.swept) else "grid"


def run_sweep(settings: Settings) -> dict[str, Any]:
    """Train the trials of a sweep, or join other processes that do; return its results."""
    from pixmend.experiments import database_storage, optuna_study  # Optuna takes a second to import

    folder = settings.run_folder.parent
    folder.mkdir(parents=True, exist_ok=True)
    storage = optuna_study.choose_storage(settings.storage or database_storage.format_sqlite_url(folder / "sweeps.db"))
    with storage.report_errors():
        with files.wait_for_lock(folder / LOCK):
            study = open_study(settings, optuna_study, storage)
        print_message(f"sweep: {study.name}, {study.wanted} trials; the study is in {storage.name}")
        run_trials(settings, study)
        return write_results(settings, study)


def open_study(settings: Settings, optuna_study: Any, storage: Any) -> Any:
    """Create or join the study of these settings."""
    sampler, folder = choose_sampler(settings), settings.run_folder.parent
    dataset = datasets.open_dataset(settings)
    check_learned_holdout(settings, dataset)
    points = search_space.list_grid_points(dict(settings.swept)) if sampler == "grid" else []
    return optuna_study.SharedStudy(
        storage, name_sweep(settings, sampler), facts=collect_facts(settings, dataset), wanted=len(points) or settings.trials,
        sampler=optuna_study.make_sampler(sampler, points, settings.seed),
        pruner=optuna_study.make_pruner(models.apply_model_defaults(settings)), place=read_place(folder), folder=folder)


def collect_facts(settings: Settings, dataset: Dataset) -> dict[str, Any]:
    """Return all that decides the trials of a sweep, by flag: commands that share a sweep must have the same."""
    facts = {flag(name): value for name, value in weight_identity(settings).items()}
    facts |= {flag(name): f"{value!r}, given" for name, value in find_overrides(settings).items()}
    facts |= {flag(name): str(values) for name, values in settings.swept}
    return facts | {"--competition": settings.competition, "--sampler": choose_sampler(settings),
                    "dataset": datasets.hash_dataset(dataset)}


def read_place(folder: Path) -> str:
    """Return the random id of this file system, which the first process writes."""
    path = folder / ".place"
    if not path.exists():
        files.write_text(path, uuid.uuid4().hex)
    return path.read_text("utf-8")


def find_overrides(settings: Settings) -> dict[str, Any]:
    """Return the given settings that equal the general default, and that a model or an optimizer would have replaced."""
    overrides: dict[str, Any] = {}
    usual = frozenset(name for name in settings.given if getattr(settings, name) == SETTINGS[name].default)
    for model, optimizer in itertools.product(list_choices(settings, "model"), list_choices(settings, "optimizer")):
        chosen = dataclasses.replace(settings, model=model, optimizer=optimizer)
        free = models.apply_model_defaults(dataclasses.replace(chosen, given=settings.given - usual))
        overrides |= {name: getattr(settings, name) for name in usual.intersection(WEIGHT_SETTINGS)
                      if getattr(free, name) != getattr(settings, name)}
    return overrides


def name_sweep(settings: Settings, sampler: str) -> str:
    """Return --sweep-name, or a name made of what is swept, that can be a file's: values may be paths."""
    parts = [f"{flag(name).removeprefix('--')}={values}" for name, values in settings.swept]
    name = "-".join([settings.run, *parts, *([sampler] if sampler != "grid" else [])]).replace("/", "-")
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
        if not (others := len(study.list_running())):
            return
        if not waiting:
            print_message(f"sweep: waiting for {others} trials of other processes; if one dies, its trial continues here.")
        waiting = True
        time.sleep(POLL_SECONDS)


def run_trial(settings: Settings, study: Any, trial: Any, lock: contextlib.ExitStack) -> None:
    """Train one trial as an ordinary run, and store in the study how it ended."""
    from optuna.exceptions import OptunaError, UpdateFinishedTrialError
    from sqlalchemy.exc import SQLAlchemyError

    values = {name: choices.round_value(choices.suggest(trial, name)) for name, choices in settings.swept}
    chosen = make_run_settings(settings, values)
    if trial.user_attrs.get("place") != study.place:   # another command may train this run: nothing is trained twice
        chosen.run_folder.mkdir(parents=True, exist_ok=True)
        lock.enter_context(files.wait_for_lock(chosen.run_folder / ".lock"))
    try:
        study.mark_trial(trial, chosen.run)
        print_message(f"sweep: trial {trial.number + 1} of {study.wanted}: {search_space.format_flags(values)}")
        outcome = run_guarded(lambda: train_run(chosen, partial(judge_evaluation, study, trial)), (OptunaError, SQLAlchemyError))
        update_leaderboard(chosen)
        store_outcome(study, trial, outcome)
    except UpdateFinishedTrialError:
        print_message(f"sweep: trial {trial.number + 1} was taken over by another process, which took this process for dead.")


def judge_evaluation(study: Any, trial: Any, step: int, rmse: float) -> bool:
    """Store an evaluation of a trial, and return whether its training should end."""
    from optuna.exceptions import UpdateFinishedTrialError

    if study.storage.has_lost_trial(trial._trial_id):
        raise UpdateFinishedTrialError
    study.report_evaluations(trial, [(step, rmse)])
    should_end: bool = trial.should_prune()
    return should_end


def store_outcome(study: Any, trial: Any, outcome: Outcome) -> None:
    """Store how a training has ended: it failed, was pruned, or is complete."""
    from optuna.trial import TrialState

    if outcome.state != DONE:
        print_message(f"sweep: this trial failed. {outcome.reason}")
        study.finish_trial(trial, TrialState.FAIL, reason=outcome.reason)
        return
    trainer = outcome.result
    study.report_evaluations(trial, ((int(row["step"]), float(row["holdout_rmse"])) for row in trainer.history.rows))
    pruned = trainer.stopped_early and trainer.step < trainer.settings.steps
    study.finish_trial(trial, TrialState.PRUNED if pruned else TrialState.COMPLETE, None if pruned else trainer.best_rmse,
                       rmse=trainer.best_rmse, step=trainer.step, kept=find_kept_step(trainer.settings))


def write_results(settings: Settings, study: Any) -> dict[str, Any]:
    """Write what the study contains as JSON for the report; one process at a time, so that the latest state stays."""
    with files.wait_for_lock(settings.run_folder.parent / LOCK):
        results = sweep_results.collect_results(settings, study, dict(settings.swept))
        files.write_json(settings.run_folder.parent / f"{study.name}.sweep.json", results)
    return results
