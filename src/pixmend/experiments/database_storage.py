"""The study of a sweep in a database: SQLite on one machine, or a server that several machines share.

A process shows that it is alive by a heartbeat in the database. Of the processes that update the same old heartbeat, one succeeds
and continues the trial from its checkpoint, under its number. Optuna's public interface can only repeat it as a new trial, so its
table of heartbeats is read and written here.
"""

import contextlib
import datetime
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages._rdb.models import TrialHeartbeatModel
from optuna.trial import FrozenTrial
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from pixmend.errors import FlagError, UserError

TIMEOUT_SECONDS = 60       # for a lock of SQLite or an answer of a server
TIMEOUTS = {"sqlite": "timeout", "postgresql": "connect_timeout", "mysql": "connect_timeout"}   # names of this option
DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}
INSTALL = {"postgresql": '`pip install "psycopg[binary]"` in .venv', "mysql": "`pip install pymysql` in .venv"}
LONG_AGO = datetime.datetime(2000, 1, 1)
HEARTBEAT_TEXT = sqlalchemy.cast(TrialHeartbeatModel.heartbeat, sqlalchemy.String(40))


def parse_url(text: str) -> URL:
    """Return the URL of a database. Errors do not repeat it, because it may contain a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise FlagError("--storage is not a database URL; write it as postgresql://USER@HOST/DATABASE or "
                        "sqlite:////FOLDER/FILE, or as journal:FOLDER for a folder that several machines share.") from None
    if any("@" in (part or "") for part in (url.host, url.database, url.username)) and url.get_backend_name() != "sqlite":
        raise FlagError("--storage: an @ in a user's name or password is written %40 in a database URL.")
    driver = DRIVERS.get(url.drivername)
    return url.set(drivername=f"{url.drivername}+{driver}") if driver else url


def format_sqlite_url(path: Path) -> str:
    """Return the URL of a file, in whose path a ? or % means nothing else."""
    return URL.create("sqlite", database=str(path.resolve())).render_as_string()


class DatabaseStorage:
    """Optuna's tables in a database, and the heartbeats of trials in it; `name` is its URL without password."""

    errors = (SQLAlchemyError, optuna.exceptions.StorageInternalError)
    optuna: optuna.storages.RDBStorage

    def __init__(self, text: str) -> None:
        self.url = parse_url(text)
        # Options may contain a password, too.
        self.name = self.url.set(drivername=self.url.get_backend_name(), query={}).render_as_string(hide_password=True)

    @contextlib.contextmanager
    def report_errors(self) -> Iterator[None]:
        """Turn an error of the database into one message without its password."""
        try:
            yield
        except self.errors as error:
            origin = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
            reason = str(origin).strip().split("\n")[0]
            for secret in filter(None, [self.url.password, *map(str, self.url.query.values())]):
                reason = reason.replace(secret, "***")
            raise UserError(f"The database {self.name} reports an error ({reason}). Repair it or choose another "
                            f"--storage; then the same command continues.") from None

    def connect(self, tries: int = 3) -> None:
        """Connect to the database and make Optuna's tables if they are missing."""
        database = self.url.get_backend_name()
        timeout = {TIMEOUTS[database]: TIMEOUT_SECONDS} if database in TIMEOUTS else {}
        options = {"connect_args": timeout, "pool_pre_ping": database != "sqlite"}
        try:
            self.optuna = optuna.storages.RDBStorage(self.url.render_as_string(hide_password=False), engine_kwargs=options)
        except ImportError as error:
            install = INSTALL.get(database, "install it in .venv")
            raise UserError(f"--storage: the driver of {database} is not installed ({error.__cause__ or error}); {install}, then "
                            f"run the same command again.") from None
        except ArgumentError:
            raise FlagError(f"--storage: {self.url.drivername} is not a database that SQLAlchemy knows; use postgresql:// or "
                            f"sqlite:///, or journal:FOLDER.") from None
        except RuntimeError as error:
            raise UserError(f"The database {self.name} was made by another version of Optuna "
                            f"({str(error).split('.')[0]}); choose another --storage.") from None
        except DBAPIError:   # two processes that start at the same moment can collide when they make the tables
            if tries == 1:
                raise
            time.sleep(1)
            self.connect(tries - 1)

    def record_heartbeat(self, trial_id: int) -> None:
        self.optuna.record_heartbeat(trial_id)

    def expire_heartbeat(self, trial_id: int) -> None:
        """Let other processes take over a trial at once."""
        beat = TrialHeartbeatModel
        with self.optuna.engine.begin() as connection:
            connection.execute(sqlalchemy.update(beat).where(beat.trial_id == trial_id).values(heartbeat=LONG_AGO))

    def read_heartbeat(self, trial: FrozenTrial) -> tuple[str | None, float]:
        """Return the last heartbeat as the database writes it, and its age in seconds; without one, the age of the trial."""
        beat = TrialHeartbeatModel
        query = sqlalchemy.select(HEARTBEAT_TEXT, beat.heartbeat, sqlalchemy.func.now()).where(beat.trial_id == trial._trial_id)
        with self.optuna.engine.connect() as connection:
            found = connection.execute(query).first()
        if found is None:
            started = trial.datetime_start or datetime.datetime.now()
            return None, abs((datetime.datetime.now() - started).total_seconds())
        written, last, now = found
        return written, (now.replace(tzinfo=None) - last).total_seconds()

    def take_over_heartbeat(self, trial_id: int, seen: str | None) -> bool:
        """Replace the heartbeat that was read by a new one; return False if another process was faster."""
        beat, now = TrialHeartbeatModel, sqlalchemy.func.now()
        change: Any = sqlalchemy.insert(beat).values(trial_id=trial_id, heartbeat=now)
        if seen is not None:
            is_unchanged: Any = seen == HEARTBEAT_TEXT
            change = sqlalchemy.update(beat).where(beat.trial_id == trial_id, is_unchanged).values(heartbeat=now)
        try:
            with self.optuna.engine.begin() as connection:
                return connection.execute(change).rowcount == 1
        except IntegrityError:
            return False

    def has_lost_trial(self, trial_id: int) -> bool:
        """Return False: the table does not say whose heartbeat it is, so a loss is noticed when the trial is finished."""
        return False
