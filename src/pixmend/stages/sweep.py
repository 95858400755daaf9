"""Train a run for each of several values of any flag of train (--lambda 100,400, --learning-rate 1e-4..1e-3) and name the best.

Every trial is an ordinary run. Any number of processes and machines may give the same command: they share one study.
"""

import contextlib
import logging
import time
from functools import partial

from pixmend import competitions, files, models
from pixmend.config import flag, weight_settings
from pixmend.data import dataset
from pixmend.errors import Diverged, FlagError, UserError
from pixmend.evaluation import leaderboard
from pixmend.experiments import search_space, sweep_results
from pixmend.progress import print_message
from pixmend.scoring.run_score import describe_circumstances
from pixmend.training.run import apply_model_defaults, train_run

LONGEST_NAME = 120
LOCK = ".sweep.lock"
PAUSE = 2  # seconds between two looks at what other processes train


def main(settings):
    refuse(settings)
    from pixmend.experiments import optuna_study as studies

    logging.getLogger("tensorflow").setLevel(logging.ERROR)   # it takes a second network in one process for a mistake
    folder = settings.run_folder.parent
    folder.mkdir(parents=True, exist_ok=True)
    url = studies.parse_storage_url(settings.storage or f"sqlite:///{folder.resolve() / 'sweeps.db'}")
    with studies.report_database_errors(url):
        with files.wait_for_lock(folder / LOCK):
            study = opened(settings, studies, url)
        print_message(f"sweep: {study.name}, {study.wanted} trials; the study is in {studies.format_public_url(url)}")
        work(settings, study)
        seen = note(settings, study)
    print(sweep_results.format_table(seen))
    if seen["best"] is None:
        raise UserError(f"No trial of {study.name} came to its end; the reasons stand above. Try other values.")


def refuse(settings):
    """What a sweep cannot be asked for, before anything starts."""
    if not settings.swept:
        raise FlagError("A sweep needs a flag of `train` with several values: --lambda 100,400 or --learning-rate 1e-4..1e-3.")
    for name, why in (("run", "each trial is named after its flags; name the sweep with --sweep-name"),
                      ("force", "runs that are done are used again; delete their folders to train them anew")):
        if getattr(settings, name) and name in settings.given:
            raise FlagError(f"{flag(name)} is not for a sweep: {why}.")
    for model in getattr(dict(settings.swept).get("model"), "values", [settings.model]):
        if not models.is_model(model):
            raise FlagError(f"There is no model {model!r}; `python -m pixmend --help` lists them.")
        if not models.is_trainable(model):
            kind = "a fill" if models.is_fill(model) else "pretrained"
            raise FlagError(f"--model {model} is {kind} and has nothing to learn; a sweep is of networks.")
    if settings.processes:
        raise FlagError("--processes is not for a sweep: machines share its trials through --storage.")
    if settings.folds > 1:
        raise FlagError("--folds is not for a sweep, whose trials are compared on one holdout; train the winner with it.")
    if sampler(settings) == "grid" and "trials" in settings.given:
        raise FlagError("--trials is for --sampler random and tpe; a grid tries every point of its lists.")


def sampler(settings):
    if settings.sampler != "auto":
        return settings.sampler
    return "tpe" if any(isinstance(values, search_space.Range) for _, values in settings.swept) else "grid"


def opened(settings, studies, url):
    """The study of these settings, made or joined."""
    kind, swept = sampler(settings), dict(settings.swept)
    points = search_space.list_grid_points(swept) if kind == "grid" else []
    facts = {flag(name): value for name, value in weight_settings(settings).items() if name not in swept}
    facts |= {flag(name): str(values) for name, values in swept.items()}
    pictures = files.hash_value(dataset.open_dataset(settings).made_from)
    facts |= {"--competition": settings.competition, "--sampler": kind, "the prepared set": pictures}
    folder = settings.run_folder.parent
    return studies.Study(studies.open_storage(url), name_of(settings, kind), facts=facts, wanted=len(points) or settings.trials,
                         sampler=studies.samplers(kind, points, settings.seed),
                         pruner=studies.pruner(apply_model_defaults(settings)),
                         place=studies.place(folder / ".place"), folder=folder)


def name_of(settings, kind):
    """--sweep-name, or what makes this sweep another than others."""
    parts = [f"{flag(name).removeprefix('--')}={values}" for name, values in settings.swept]
    name = "-".join([settings.run, *parts, *([kind] if kind != "grid" else [])])
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{files.hash_value(name)}"
    return settings.sweep_name or name


def work(settings, study):
    """Train trial after trial, then wait for those of other processes, in case one of these dies."""
    waited = False
    while True:
        with contextlib.ExitStack() as lock:
            if trial := study.take(lock):
                with study.alive(trial):
                    carry_out(settings, study, trial, lock)
                note(settings, study)
                continue
        others = len(study.running())
        if not others:
            return
        if not waited:
            print_message(f"sweep: waiting for {others} of the trials, which other processes train; each goes on here if its process dies.")
        waited = True
        time.sleep(PAUSE)


def carry_out(settings, study, trial, lock):
    """Train one trial as the run that it is, and tell the study how it ended."""
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    values = {name: each.used(each.suggest(trial, name)) for name, each in settings.swept}
    chosen = search_space.make_trial_settings(settings, values, competitions.get_default_settings(settings))
    if "place" not in trial.user_attrs or trial.user_attrs["place"] != study.place:
        wait_for(lock, chosen.run_folder)
    try:
        trial.set_user_attr("run", chosen.run)
        trial.set_user_attr("place", study.place)   # from here on others see by the run's lock whether this process lives
        print_message(f"sweep: trial {trial.number + 1} of {study.wanted}: {search_space.format_flags(values)}")
        training, reason = trained(chosen, partial(looked, study, trial))
        leaderboard.update_run(chosen.submissions_folder / "leaderboard.csv", chosen.run, **describe_circumstances(chosen))
        if reason:
            return study.tell(trial, TrialState.FAIL, reason=reason)
        study.report(trial, ((int(row["step"]), float(row["holdout_rmse"])) for row in training.history.rows))
        stopped = training.stopped_early and training.step < training.settings.steps
        study.tell(trial, TrialState.PRUNED if stopped else TrialState.COMPLETE, None if stopped else training.best_rmse,
                   rmse=training.best_rmse, step=training.step)
    except UpdateFinishedTrialError:
        print_message(f"sweep: trial {trial.number + 1} was ended by another process, which had taken this one for dead.")


def looked(study, trial, step, rmse):
    """Tell the study of a look at the holdout; whether the trial is to end there."""
    study.report(trial, [(step, rmse)])
    return trial.should_prune()


def wait_for(lock, folder):
    """Hold a run's folder; where something else trains that very run, its end is waited for, and nothing trained twice."""
    told = False
    while True:
        try:
            return lock.enter_context(files.try_lock(folder))
        except UserError:
            if not told:
                print_message(f"sweep: {folder} is being trained by another command; waiting for its end.")
            told = True
            time.sleep(PAUSE)


def trained(settings, looked):
    """The training at its end, and in words why it failed where it did, so that the other trials go on."""
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return train_run(settings, settings.run_folder, looked), ""
    except (Diverged, FlagError) as error:   # or a value that does not suit this contest's pictures
        reason = str(error)
    except (UserError, OSError, OptunaError, SQLAlchemyError):
        raise
    except Exception as error:   # out of memory: the next trial may do better
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no more is known'}"
    finally:
        forget_the_network()
    print_message(f"sweep: this trial failed. {reason}")
    return None, reason


def forget_the_network():
    import keras

    keras.utils.clear_session()


def note(settings, study):
    """Keep for the report what the study holds; one process after another, so that the latest look stays."""
    with files.wait_for_lock(settings.run_folder.parent / LOCK):
        seen = sweep_results.collect_results(settings, study, dict(settings.swept), competitions.get_default_settings(settings))
        files.write_json(sweep_results.get_results_path(settings, study.name), seen)
    return seen
