"""What all loggers share: the run that is logged, its evaluations, and what a logger of a library does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class LoggedRun:
    """The run that is logged. Loggers whose library compares runs write into one folder for all runs of a home."""

    name: str                  # with --folds, also the name of the fold
    project: str               # the competition
    folder: Path               # in the run's folder
    shared_folder: Path        # in the home
    settings: dict[str, Any]   # what decides the weights


@dataclass(frozen=True)
class Evaluation:
    step: int
    values: dict[str, float]    # the line of history.csv, and the learning rate
    image: Path | None = None   # JPEG of some holdout images; None where it was not written


class Logger(Protocol):
    """Writes one run in the form of one library. Any method may raise any exception: this logger is then off."""

    def start(self, evaluations: Sequence[Evaluation]) -> None:
        """Open a log with the run's settings and exactly these evaluations, also where an earlier log has more or fewer."""

    def log_evaluation(self, evaluation: Evaluation) -> None: ...

    def close(self) -> None: ...


def is_continued(logged: Sequence[tuple[int, float]], evaluations: Sequence[Evaluation]) -> bool:
    """Tell whether the evaluations begin with the logged ones, given as step and holdout RMSE."""
    wanted = [(evaluation.step, evaluation.values["holdout_rmse"]) for evaluation in evaluations]
    return bool(logged) and list(logged) == wanted[:len(logged)]
