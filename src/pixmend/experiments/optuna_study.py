"""An Optuna study in a database that several processes and machines share; each trial is trained by one of them.

A process shows that it is alive by a heartbeat in the database and, on the same file system, by the lock of its run's folder. Of
the processes that update the same old heartbeat, one succeeds and continues the trial from its checkpoint, under its number.
Optuna's public interface can only repeat it as a new trial, so its table of heartbeats is read and written here.
"""

import contextlib
import datetime
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from optuna.storages._rdb.models import TrialHeartbeatModel
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from pixmend import files
from pixmend.config import Settings
from pixmend.errors import FlagError, UserError

HEARTBEAT_SECONDS = 15
DEAD_AFTER_SECONDS = 120   # without a heartbeat
TIMEOUT_SECONDS = 60       # for a lock of SQLite or an answer of a server
TIMEOUTS = {"sqlite": "timeout", "postgresql": "connect_timeout", "mysql": "connect_timeout"}   # names of this option
DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}
INSTALL = {"postgresql": '`pip install "psycopg[binary]"` in .venv', "mysql": "`pip install pymysql` in .venv"}
PRUNED_PERCENT = 25        # of the trials, the worst ones, are stopped at an evaluation
PRUNED_AFTER = 0.1         # of the steps
MIN_TRIALS = 3             # finished trials to compare with
HEARTBEAT_TEXT = sqlalchemy.cast(TrialHeartbeatModel.heartbeat, sqlalchemy.String(40))
DATABASE_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)
MakeSampler = Callable[[int], optuna.samplers.BaseSampler]   # the sampler of the trial with this number


def parse_storage_url(text: str) -> URL:
    """Return the URL of a database. Errors do not repeat it, because it may contain a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise FlagError("--storage is not a database URL; write it as postgresql://USER@HOST/DATABASE or "
                        "sqlite:////FOLDER/FILE.") from None
    if any("@" in (part or "") for part in (url.host, url.database, url.username)) and url.get_backend_name() != "sqlite":
        raise FlagError("--storage: an @ in a user's name or password is written %40 in a database URL.")
    driver = DRIVERS.get(url.drivername)
    return url.set(drivername=f"{url.drivername}+{driver}") if driver else url


def format_public_url(url: URL) -> str:
    """Return the URL without password and options, which may contain one."""
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


@contextlib.contextmanager
def report_database_errors(url: URL) -> Iterator[None]:
    """Turn an error of the database into one message without its password."""
    try:
        yield
    except DATABASE_ERRORS as error:
        origin = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
        reason = str(origin).strip().split("\n")[0]
        for secret in filter(None, [url.password, *map(str, url.query.values())]):
            reason = reason.replace(secret, "***")
        raise UserError(f"The database {format_public_url(url)} reports an error ({reason}). Repair it or choose another "
                        f"--storage; then the same command continues.") from None


def open_storage(url: URL, tries: int = 3) -> optuna.storages.RDBStorage:
    """Connect to the database and make Optuna's tables if they are missing."""
    database = url.get_backend_name()
    timeout = {TIMEOUTS[database]: TIMEOUT_SECONDS} if database in TIMEOUTS else {}
    options = {"connect_args": timeout, "pool_pre_ping": database != "sqlite"}
    try:
        return optuna.storages.RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=options)
    except ImportError as error:
        install = INSTALL.get(database, "install it in .venv")
        raise UserError(f"--storage: the driver of {database} is not installed ({error.__cause__ or error}); {install}, then run "
                        f"the same command again.") from None
    except ArgumentError:
        raise FlagError(f"--storage: {url.drivername} is not a database that SQLAlchemy knows; use postgresql:// or "
                        f"sqlite:///.") from None
    except RuntimeError as error:
        raise UserError(f"The database {format_public_url(url)} was made by another version of Optuna "
                        f"({str(error).split('.')[0]}); choose another --storage.") from None
    except DBAPIError:   # two processes that start at the same moment can collide when they make the tables
        if tries == 1:
            raise
        time.sleep(1)
        return open_storage(url, tries - 1)


class SharedStudy:
    """The study of one sweep, shared by all processes that work on it; `place` names the file system with the runs' folders."""

    def __init__(self, storage: optuna.storages.RDBStorage, name: str, *, facts: dict[str, Any], wanted: int,
                 sampler: MakeSampler, pruner: optuna.pruners.BasePruner, place: str, folder: Path) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self.storage, self.name, self.wanted, self.sampler = storage, name, wanted, sampler
        self.place, self.folder = place, folder
        self.study = optuna.create_study(study_name=name, storage=storage, load_if_exists=True, pruner=pruner,
                                         sampler=optuna.samplers.RandomSampler(), direction="minimize")
        if "facts" not in self.study.user_attrs:
            with contextlib.suppress(IntegrityError):   # another process started it at the same moment
                self.study.set_user_attr("facts", facts)
        found = self.study.user_attrs["facts"]
        changed = [f"{name} {found.get(name)} (now {facts.get(name)})" for name in sorted(found.keys() | facts.keys())
                   if found.get(name) != facts.get(name)]
        if changed:   # its trials could not be compared with new ones
            raise UserError(f"The sweep {self.name} was made with {', '.join(changed)}. Choose another --sweep-name.")

    def list_trials(self) -> list[FrozenTrial]:
        """Return all trials except those that were one too many."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if "surplus" not in trial.user_attrs]

    def list_running(self) -> list[FrozenTrial]:
        return [trial for trial in self.list_trials() if trial.state == TrialState.RUNNING]

    def claim_trial(self, lock: contextlib.ExitStack) -> optuna.trial.Trial | None:
        """Return a trial for this process: one whose process died, or a new one; None if all are taken."""
        if trial := self._take_over_trial(lock) or self._start_trial():
            self.study.sampler = self.sampler(trial.number)
        return trial

    def _take_over_trial(self, lock: contextlib.ExitStack) -> optuna.trial.Trial | None:
        for trial in self.list_running():
            beat, age = self._read_heartbeat(trial)
            try:
                if trial.user_attrs.get("place") == self.place:
                    lock.enter_context(files.try_lock(self.folder / trial.user_attrs["run"]))
                elif age <= DEAD_AFTER_SECONDS:
                    continue
            except UserError:   # a living process has locked the run's folder
                continue
            taken = self._update_heartbeat(trial._trial_id, beat)
            if taken and self.storage.get_trial(trial._trial_id).state == TrialState.RUNNING:   # it may have ended in between
                return optuna.trial.Trial(self.study, trial._trial_id)
            lock.close()
        return None

    def _read_heartbeat(self, trial: FrozenTrial) -> tuple[str | None, float]:
        """Return the last heartbeat as the database writes it, and its age in seconds; without one, the age of the trial."""
        beat = TrialHeartbeatModel
        query = sqlalchemy.select(HEARTBEAT_TEXT, beat.heartbeat, sqlalchemy.func.now()).where(beat.trial_id == trial._trial_id)
        with self.storage.engine.connect() as connection:
            found = connection.execute(query).first()
        if found is None:
            started = trial.datetime_start or datetime.datetime.now()
            return None, abs((datetime.datetime.now() - started).total_seconds())
        written, last, now = found
        return written, (now.replace(tzinfo=None) - last).total_seconds()

    def _update_heartbeat(self, trial_id: int, seen: str | None) -> bool:
        """Replace the heartbeat that was read by a new one; return False if another process was faster."""
        beat, now = TrialHeartbeatModel, sqlalchemy.func.now()
        change: Any = sqlalchemy.insert(beat).values(trial_id=trial_id, heartbeat=now)
        if seen is not None:
            is_unchanged: Any = seen == HEARTBEAT_TEXT
            change = sqlalchemy.update(beat).where(beat.trial_id == trial_id, is_unchanged).values(heartbeat=now)
        try:
            with self.storage.engine.begin() as connection:
                return connection.execute(change).rowcount == 1
        except IntegrityError:
            return False

    def _start_trial(self) -> optuna.trial.Trial | None:
        """Return the next trial until all are started; if two processes ask for the last one, one gets it."""
        while len(self.list_trials()) < self.wanted:
            trial = self.study.ask()
            self.storage.record_heartbeat(trial._trial_id)
            if sum(other.number < trial.number for other in self.list_trials()) < self.wanted:
                return trial
            trial.set_user_attr("surplus", True)
            self.study.tell(trial, state=TrialState.FAIL)
        return None

    @contextlib.contextmanager
    def send_heartbeats(self, trial: optuna.trial.Trial) -> Iterator[None]:
        """Send heartbeats from a thread; a database that cannot be reached for a moment is asked again."""
        done = threading.Event()

        def send() -> None:
            while not done.wait(HEARTBEAT_SECONDS):
                with contextlib.suppress(*DATABASE_ERRORS):
                    self.storage.record_heartbeat(trial._trial_id)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def report_evaluations(self, trial: optuna.trial.Trial, evaluations: Iterable[tuple[int, float]]) -> None:
        """Store evaluations, (step, RMSE) each; a resumed run repeats some that are stored already."""
        known = self.storage.get_trial(trial._trial_id).intermediate_values
        for step, rmse in evaluations:
            if step > 0 and step not in known:   # before its first step a run says nothing about its settings
                trial.report(rmse, step)

    def finish_trial(self, trial: optuna.trial.Trial, state: TrialState, value: float | None = None, **facts: Any) -> None:
        """Store the state of a finished trial, its RMSE, and further values."""
        for name, fact in facts.items():
            trial.set_user_attr(name, fact)
        self.study.tell(trial, value, state, skip_if_finished=True)


def make_sampler(name: str, points: list[dict[str, Any]], seed: int) -> MakeSampler:
    """Return a function from a trial's number to its sampler, so that draws depend only on seed and number."""
    def sampler(number: int) -> optuna.samplers.BaseSampler:
        drawn = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
        base = optuna.samplers.TPESampler(seed=drawn) if name == "tpe" else optuna.samplers.RandomSampler(drawn)
        return optuna.samplers.PartialFixedSampler(points[number % len(points)], base) if name == "grid" else base
    return sampler


def make_pruner(settings: Settings) -> optuna.pruners.BasePruner:
    """Return a pruner of the worst trials at each evaluation, after the first steps and with enough finished trials."""
    if not settings.prune:
        return optuna.pruners.NopPruner()
    return optuna.pruners.PercentilePruner(100 - PRUNED_PERCENT, n_startup_trials=MIN_TRIALS, n_min_trials=MIN_TRIALS,
                                           n_warmup_steps=int(PRUNED_AFTER * settings.steps))
