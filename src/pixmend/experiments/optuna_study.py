"""An Optuna study that several processes and machines share; each of its trials is trained by one of them.

A process shows that it is alive by a heartbeat in the storage, and by the lock of its run's folder. On the same machine the lock
decides: it ends with its process. On another machine, whose locks may not be visible here, the heartbeat must be old as well.
"""

import contextlib
import platform
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import IntegrityError

from pixmend import files
from pixmend.config import UNLIMITED_STEPS, Settings
from pixmend.errors import UserError
from pixmend.experiments import journal_storage
from pixmend.experiments.database_storage import DatabaseStorage
from pixmend.experiments.journal_storage import JournalStorage

HEARTBEAT_SECONDS = 15
DEAD_AFTER_SECONDS = 120   # without a heartbeat, of whose time NFS may show other machines a state that is a minute old
PRUNED_PERCENT = 25        # of the trials, the worst ones, are stopped at an evaluation
PRUNED_AFTER = 0.1         # of the steps
SCHEDULE = {"steps", "minutes", "schedule", "warmup_steps"}
MIN_TRIALS = 3             # finished trials to compare with
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")   # one for each start of a machine, whatever the names of its containers
MakeSampler = Callable[[int], optuna.samplers.BaseSampler]   # the sampler of the trial with this number


def choose_storage(text: str) -> DatabaseStorage | JournalStorage:
    """Return the storage that --storage means, which is not connected yet."""
    return JournalStorage(text) if text.startswith(journal_storage.PREFIX) else DatabaseStorage(text)


def identify_machine() -> str:
    return BOOT_ID.read_text("utf-8").strip() if BOOT_ID.exists() else platform.node()


class SharedStudy:
    """The study of one sweep, shared by all processes that work on it; `place` names the file system with the runs' folders."""

    def __init__(self, storage: DatabaseStorage | JournalStorage, name: str, *, facts: dict[str, Any], wanted: int,
                 sampler: MakeSampler, pruner: optuna.pruners.BasePruner, place: str, folder: Path, machine: str = "") -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage.connect()
        # Heartbeats differ in type: what one storage has read is given back to the same one.
        self.storage: Any = storage
        self.name, self.wanted, self.sampler = name, wanted, sampler
        self.place, self.folder, self.machine = place, folder, machine or identify_machine()
        self.study = optuna.create_study(study_name=name, storage=storage.optuna, load_if_exists=True, pruner=pruner,
                                         sampler=optuna.samplers.RandomSampler(), direction="minimize")
        self._check_same_facts(facts)

    def _check_same_facts(self, facts: dict[str, Any]) -> None:
        """Store the facts of a new study; refuse other ones than a study has, because new trials could not be compared."""
        if "facts" not in self.study.user_attrs:
            with contextlib.suppress(IntegrityError):   # another process started it at the same moment
                self.study.set_user_attr("facts", facts)
        found = self.study.user_attrs["facts"]
        changed = [f"{name} {found.get(name)} (now {facts.get(name)})" for name in sorted(found.keys() | facts.keys())
                   if found.get(name) != facts.get(name)]
        if changed:
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
            beat, age = self.storage.read_heartbeat(trial)
            try:
                is_dead = self._lock_run(trial, lock) or age > DEAD_AFTER_SECONDS
            except UserError:   # a living process has locked the run's folder
                continue
            taken = is_dead and self.storage.take_over_heartbeat(trial._trial_id, beat)
            # The trial may have ended in between.
            if taken and self.storage.optuna.get_trial(trial._trial_id).state == TrialState.RUNNING:
                continued = optuna.trial.Trial(self.study, trial._trial_id)
                continued.set_user_attr("machine", self.machine)
                return continued
            lock.close()
        return None

    def _lock_run(self, trial: FrozenTrial, lock: contextlib.ExitStack) -> bool:
        """Lock the run's folder if it is on this file system; return whether that proves that its process has died."""
        if trial.user_attrs.get("place") != self.place:
            return False
        works = lock.enter_context(files.try_lock(self.folder / trial.user_attrs["run"]))
        return works and trial.user_attrs.get("machine") == self.machine

    def mark_trial(self, trial: optuna.trial.Trial, run: str) -> None:
        """Store which run a trial is, and where; from here on, other processes test the lock of its folder."""
        for name, value in {"run": run, "machine": self.machine, "place": self.place}.items():
            trial.set_user_attr(name, value)

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
        """Send heartbeats from a thread; a storage that cannot be reached for a moment is asked again.

        If the block ends by an error or a signal, other processes can continue the trial at once.
        """
        done = threading.Event()

        def send() -> None:
            while not done.wait(HEARTBEAT_SECONDS):
                with contextlib.suppress(*self.storage.errors):
                    self.storage.record_heartbeat(trial._trial_id)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            done.set()
            thread.join()
            with contextlib.suppress(*self.storage.errors):
                self.storage.expire_heartbeat(trial._trial_id)
            raise
        finally:
            done.set()
            thread.join()

    def report_evaluations(self, trial: optuna.trial.Trial, evaluations: Iterable[tuple[int, float]]) -> None:
        """Store evaluations, (step, RMSE) each; a resumed run repeats some that are stored already."""
        known = self.storage.optuna.get_trial(trial._trial_id).intermediate_values
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
    """Return a pruner of the worst trials at each evaluation, after the first steps and with enough finished trials.

    Trials whose learning rate falls at different steps cannot be compared before their ends.
    """
    if not settings.prune or SCHEDULE.intersection(name for name, _ in settings.swept):
        return optuna.pruners.NopPruner()
    unlimited = settings.steps == UNLIMITED_STEPS   # only minutes end a trial
    first_steps = 2 * settings.evaluate_every if unlimited else int(PRUNED_AFTER * settings.steps)
    return optuna.pruners.PercentilePruner(100 - PRUNED_PERCENT, n_startup_trials=MIN_TRIALS, n_min_trials=MIN_TRIALS,
                                           n_warmup_steps=first_steps)
