"""An Optuna study in a database that several processes and machines share: each trial is taken by one of them alone.

A running trial shows that its process lives by a heartbeat in the database and, in the same home, by the lock of its run's
folder. A trial whose process died is taken up under its own number and goes on from its run's checkpoint. Who takes it is
settled by the database: of all that change the same old heartbeat only one succeeds.
"""

import contextlib
import datetime
import threading
import time
import uuid
import warnings

import numpy as np
import optuna
import sqlalchemy
from optuna.storages._rdb.models import TrialHeartbeatModel
from optuna.trial import TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from pixmend import files
from pixmend.errors import FlagError, UserError

BEAT = 15      # seconds between two signs of life
GRACE = 120    # seconds without one after which a trial's process is taken for dead
PATIENCE = 60  # seconds to wait for a lock of SQLite or an answer of a server
DRIVERS = {"postgresql": "psycopg"}
INSTALL = {"postgresql": '`pip install "psycopg[binary]"` in .venv'}
PRUNED_SHARE = 25    # per cent of the trials, the worst ones, that are stopped at a look
PRUNED_AFTER = 0.1   # of the steps
FEWEST_TO_COMPARE = 3  # trials that are done
AS_WRITTEN = sqlalchemy.cast(TrialHeartbeatModel.heartbeat, sqlalchemy.String(40))
DATABASE_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)


def parse_storage_url(text):
    """The database's URL, or a sentence that repeats none of it: it may hold a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise FlagError("--storage is no database URL; write it as postgresql://USER@HOST/DATABASE or "
                        "sqlite:////FOLDER/FILE.") from None
    if any("@" in (part or "") for part in (url.host, url.database, url.username)) and url.get_backend_name() != "sqlite":
        raise FlagError("--storage: an @ in a user's name or password is written %40 in a database URL.")
    driver = DRIVERS.get(url.drivername)
    return url.set(drivername=f"{url.drivername}+{driver}") if driver else url


def format_public_url(url):
    """The URL as it may be shown: no password, and no options, which may hold one."""
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


@contextlib.contextmanager
def report_database_errors(url):
    """What a database answers instead of serving is told in a sentence without its password."""
    try:
        yield
    except DATABASE_ERRORS as error:
        origin = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
        reason = str(origin).strip().split("\n")[0]
        for secret in filter(None, [url.password, *map(str, url.query.values())]):
            reason = reason.replace(secret, "***")
        raise UserError(f"The study's database {format_public_url(url)} does not serve ({reason}); mend it or choose another --storage, "
                        f"then the same command goes on.") from None


def open_storage(url):
    options = {"sqlite": {"connect_args": {"timeout": PATIENCE}},
               "postgresql": {"connect_args": {"connect_timeout": PATIENCE}, "pool_pre_ping": True}}
    tries = 3   # two that come first at the same moment make the tables for each other
    for left in reversed(range(tries)):
        try:
            return optuna.storages.RDBStorage(url.render_as_string(hide_password=False),
                                              engine_kwargs=options.get(url.get_backend_name(), {"pool_pre_ping": True}))
        except ImportError as error:
            install = INSTALL.get(url.get_backend_name(), "install it in .venv")
            raise UserError(f"--storage: the driver of {url.get_backend_name()} is not installed ({error.__cause__ or error}); "
                            f"{install}, then run the same command again.") from None
        except ArgumentError:
            raise FlagError(f"--storage: {url.drivername} is no database that SQLAlchemy knows; take postgresql:// or "
                            f"sqlite:///.") from None
        except RuntimeError as error:
            raise UserError(f"The study's database {format_public_url(url)} was made by another version of Optuna "
                            f"({str(error).split('.')[0]}); choose another --storage.") from None
        except DBAPIError:
            if not left:
                raise
            time.sleep(1)


def read_home_id(path):
    """What tells the home of a process from every other machine's: a word in a file of its own."""
    if not path.exists():
        files.write_text(path, uuid.uuid4().hex)
    return path.read_text(encoding="utf-8")


class SharedStudy:
    """The study of one sweep, as one of its processes works on it."""

    def __init__(self, storage, name, *, facts, wanted, sampler, pruner, place, folder):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self.storage, self.name, self.wanted, self.sampler = storage, name, wanted, sampler
        self.place, self.folder = place, folder
        self.study = optuna.create_study(study_name=name, storage=storage, load_if_exists=True, pruner=pruner,
                                         sampler=optuna.samplers.RandomSampler(), direction="minimize")
        self._agree(facts)

    def _agree(self, facts):
        """A study goes on under the same settings only, or its trials could not be compared."""
        if "facts" not in self.study.user_attrs:
            with contextlib.suppress(IntegrityError):   # another machine began it at the same moment
                self.study.set_user_attr("facts", facts)
        found = self.study.user_attrs["facts"]
        changed = sorted(name for name in found.keys() | facts.keys() if found.get(name) != facts.get(name))
        if changed:
            told = ", ".join(f"{name} {found.get(name)} (now {facts.get(name)})" for name in changed)
            raise UserError(f"The study {self.name} was made with {told}; choose another --sweep-name.")

    def trials(self):
        """All trials but those that were one too many."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if "surplus" not in trial.user_attrs]

    def running(self):
        return [trial for trial in self.trials() if trial.state == TrialState.RUNNING]

    def take(self, lock):
        """A trial that is this process's own from now on: one left by a dead process, or a new one; else None."""
        trial = self._left_behind(lock) or self._fresh()
        if trial is not None:
            self.study.sampler = self.sampler(trial.number)
        return trial

    def _left_behind(self, lock):
        for trial in self.running():
            beat, age = self._heartbeat(trial)
            here = trial.user_attrs.get("place") == self.place
            dead = self._unlocked(trial, lock) if here else age > GRACE
            if dead and self._claim(trial._trial_id, beat) and self._still_runs(trial):
                return optuna.trial.Trial(self.study, trial._trial_id)
            lock.close()
        return None

    def _still_runs(self, trial):
        return self.storage.get_trial(trial._trial_id).state == TrialState.RUNNING

    def _unlocked(self, trial, lock):
        """Whether the trial's folder, in this home, is held by no living process; then it is held by this one."""
        try:
            lock.enter_context(files.try_lock(self.folder / trial.user_attrs["run"]))
        except UserError:
            return False
        return True

    def _heartbeat(self, trial):
        """The last sign of life, as the database writes it, and its age in seconds; without one, the trial's by this clock."""
        beat = TrialHeartbeatModel
        query = sqlalchemy.select(AS_WRITTEN, beat.heartbeat, sqlalchemy.func.now()).where(beat.trial_id == trial._trial_id)
        with self.storage.engine.connect() as connection:
            found = connection.execute(query).first()
        if found is None:
            return None, abs((datetime.datetime.now() - trial.datetime_start).total_seconds())
        written, last, now = found
        return written, (now.replace(tzinfo=None) - last).total_seconds()

    def _claim(self, trial_id, seen):
        """Change the heartbeat that was seen into one of now; where another process was quicker, nothing matches."""
        beat, now = TrialHeartbeatModel, sqlalchemy.func.now()
        change = sqlalchemy.update(beat).where(beat.trial_id == trial_id, seen == AS_WRITTEN).values(heartbeat=now)
        if seen is None:
            change = sqlalchemy.insert(beat).values(trial_id=trial_id, heartbeat=now)
        try:
            with self.storage.engine.begin() as connection:
                return connection.execute(change).rowcount == 1
        except IntegrityError:
            return False

    def _fresh(self):
        """The next trial until all are begun; of two that ask at the same moment for the last one, one gets it."""
        while len(self.trials()) < self.wanted:
            trial = self.study.ask()
            self.storage.record_heartbeat(trial._trial_id)
            if sum(other.number < trial.number for other in self.trials()) < self.wanted:
                return trial
            trial.set_user_attr("surplus", True)
            self.study.tell(trial, state=TrialState.FAIL)
        return None

    @contextlib.contextmanager
    def alive(self, trial):
        """Show a sign of life again and again; a database that is away for a moment is asked again."""
        done = threading.Event()

        def beat():
            while not done.wait(BEAT):
                with contextlib.suppress(*DATABASE_ERRORS):
                    self.storage.record_heartbeat(trial._trial_id)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def report(self, trial, looks):
        """Note looks at the holdout, (step, RMSE) each; what a resumed run sees again is known already."""
        known = self.storage.get_trial(trial._trial_id).intermediate_values
        for step, rmse in looks:
            if step > 0 and step not in known:   # before its first step a run says nothing of its knobs
                trial.report(rmse, step)

    def tell(self, trial, state, value=None, **facts):
        for name, fact in facts.items():
            trial.set_user_attr(name, fact)
        self.study.tell(trial, value, state, skip_if_finished=True)


def make_sampler(name, points, seed):
    """For each trial's number its sampler: the draws are a function of seed and number, whoever makes them."""
    def sampler(number):
        drawn = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
        if name == "grid":
            return optuna.samplers.PartialFixedSampler(points[number % len(points)], optuna.samplers.RandomSampler(drawn))
        return {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}[name](seed=drawn)
    return sampler


def make_pruner(settings):
    """Stop what is among the worst at a look, once its first steps are past and enough trials are done to compare with."""
    if not settings.prune:
        return optuna.pruners.NopPruner()
    return optuna.pruners.PercentilePruner(100 - PRUNED_SHARE, n_startup_trials=FEWEST_TO_COMPARE, n_min_trials=FEWEST_TO_COMPARE,
                                           n_warmup_steps=int(PRUNED_AFTER * settings.steps))
