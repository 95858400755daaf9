"""The study of a sweep in a folder that several machines share, without a database: Optuna's journal, and heartbeats beside it.

journal.log: Optuna's journal, one line for each change. Its lock is a file that is created exclusively, which works on NFS.
heartbeats/TRIAL.TURN: an empty file, whose time the process that trains the trial renews. Turn 1 is of the process that started
the trial; who finds turn N too old takes over by creating turn N + 1, again exclusively, so of several processes one succeeds.
"""

import contextlib
import datetime
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial

from pixmend.errors import FlagError, UserError

PREFIX = "journal:"


class JournalStorage:
    """A journal and the heartbeats of its trials; `name` says where it is."""

    errors = (OSError,)
    optuna: optuna.storages.JournalStorage

    def __init__(self, text: str) -> None:
        folder = text.removeprefix(PREFIX)
        if not folder:
            raise FlagError("--storage journal: names no folder; write it as journal:/SHARED/FOLDER.")
        self.folder = Path(folder).expanduser().absolute()   # shells leave journal:~/x
        self.heartbeats = self.folder / "heartbeats"
        self.name = f"{PREFIX}{self.folder}"
        self.turns: dict[int, int] = {}   # of this process, by trial

    @contextlib.contextmanager
    def report_errors(self) -> Iterator[None]:
        """Do nothing: errors of the file system are reported as everywhere."""
        yield

    def connect(self) -> None:
        """Read the journal, or begin it."""
        self.heartbeats.mkdir(parents=True, exist_ok=True)
        path = str(self.folder / "journal.log")
        try:
            self.optuna = optuna.storages.JournalStorage(JournalFileBackend(path, JournalFileOpenLock(path)))
        except (LookupError, TypeError, ValueError) as error:
            raise UserError(f"{path} is damaged ({type(error).__name__}). Choose another --storage; runs that were trained are "
                            f"found again in their folders.") from None

    def record_heartbeat(self, trial_id: int) -> None:
        """Renew the heartbeat; the first one makes the trial this process's."""
        if trial_id in self.turns:
            os.utime(self._get_path(trial_id, self.turns[trial_id]))
        else:
            self.take_over_heartbeat(trial_id, 0)

    def expire_heartbeat(self, trial_id: int) -> None:
        """Let other processes take over a trial at once."""
        if trial_id in self.turns:
            os.utime(self._get_path(trial_id, self.turns[trial_id]), (0, 0))

    def read_heartbeat(self, trial: FrozenTrial) -> tuple[int, float]:
        """Return the last turn of a trial and the age of its heartbeat in seconds; without one, 0 and the age of the trial."""
        turn = self._find_turn(trial._trial_id)
        if turn == 0:
            started = trial.datetime_start or datetime.datetime.now()
            return 0, abs((datetime.datetime.now() - started).total_seconds())
        with open(self._get_path(trial._trial_id, turn), "rb") as file:   # opening it brings its time up to date on NFS
            return turn, self._read_clock() - os.fstat(file.fileno()).st_mtime

    def take_over_heartbeat(self, trial_id: int, seen: int) -> bool:
        """Begin the turn after the one that was read; return False if another process was faster."""
        try:
            with open(self._get_path(trial_id, seen + 1), "x"):
                self.turns[trial_id] = seen + 1
                return True
        except FileExistsError:
            return False

    def has_lost_trial(self, trial_id: int) -> bool:
        """Return whether another process has taken over a trial of this one."""
        return self._find_turn(trial_id) != self.turns.get(trial_id)

    def _get_path(self, trial_id: int, turn: int) -> Path:
        return self.heartbeats / f"{trial_id}.{turn}"

    def _find_turn(self, trial_id: int) -> int:
        return max((int(path.suffix[1:]) for path in self.heartbeats.glob(f"{trial_id}.*")), default=0)

    def _read_clock(self) -> float:
        """Return the time of the file system, which may differ from this machine's."""
        with tempfile.TemporaryFile(dir=self.heartbeats) as file:
            os.utime(file.fileno())
            return os.fstat(file.fileno()).st_mtime
