"""The log of a training: sends each evaluation to all loggers of --log; one that fails is turned off, and training goes on."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import shorten

import numpy as np

from pixmend import models
from pixmend.config import Settings
from pixmend.data.dataset import Dataset, DatasetRow
from pixmend.run_identity import weight_settings
from pixmend.setting_values import split_log_names
from pixmend.training.loggers import holdout_images
from pixmend.training.loggers.logger import Evaluation, LoggedRun, Logger
from pixmend.training.loggers.registry import LIBRARIES
from pixmend.training.optimizer import get_learning_rate

IMAGES = "images"
MAX_REASON = 200   # letters


class TrainingLog:
    """The loggers of one run, in process 0 alone. What history.csv holds is logged, with the learning rate and some images."""

    def __init__(self, settings: Settings, folder: Path, dataset: Dataset, rows: Sequence[DatasetRow]) -> None:
        self.settings, self.dataset = settings, dataset
        self.names = split_log_names(settings.log) if settings.process == 0 else []
        self.run = LoggedRun("-".join(folder.relative_to(settings.run_folder.parent).parts), settings.dataset_name,
                             folder / "logs", Path(settings.home) / "logs",
                             weight_settings(settings) | {"competition": settings.competition})
        self.image_folder = self.run.folder / "images"
        self.shown = {row.id for row in holdout_images.choose_rows(rows)} if self.names else set()
        self.strips: dict[str, np.ndarray] = {}
        self.loggers: dict[str, Logger] = {}

    @contextlib.contextmanager
    def open(self, history: Sequence[Mapping[str, str]]) -> Iterator[None]:
        """Open all loggers with the evaluations that the history has, and close them at the end of the training."""
        if self.names:
            self._attempt(IMAGES, lambda: holdout_images.delete_other_images(
                self.image_folder, [int(line["step"]) for line in history]))
        evaluations = [self._make_evaluation(line) for line in history] if self.names else []
        self.loggers = {name: LIBRARIES[name].make(self.run) for name in self.names}
        for name, logger in list(self.loggers.items()):
            self._attempt(name, partial(logger.start, evaluations))
        try:
            yield
        finally:
            for name, logger in list(self.loggers.items()):
                self._attempt(name, logger.close)
            self.loggers = {}

    def add_prediction(self, row: DatasetRow, predicted: np.ndarray) -> None:
        """Take the prediction of a holdout image; of some, the evaluation has an image."""
        if row.id in self.shown:
            is_mask = models.finds_masks(self.settings.model)
            self.strips[row.id] = holdout_images.make_strip(self.dataset, row, predicted, is_mask)

    def log_evaluation(self, line: Mapping[str, str]) -> None:
        """Log a line of the history with the predictions that were added before it."""
        strips, self.strips = list(self.strips.values()), {}
        if not self.loggers:
            return
        if strips:
            self._attempt(IMAGES, lambda: holdout_images.write_image(self.image_folder, int(line["step"]), strips))
        evaluation = self._make_evaluation(line)
        for name, logger in list(self.loggers.items()):
            self._attempt(name, partial(logger.log_evaluation, evaluation))

    def _make_evaluation(self, line: Mapping[str, str]) -> Evaluation:
        """Return a line of the history as numbers, with the learning rate of its step and the image, if there is one."""
        step, values = int(line["step"]), {name: float(text) for name, text in line.items() if name != "step" and text}
        rate = get_learning_rate(self.settings, max(step - 1, 0), values["minutes"])
        path = holdout_images.get_image_path(self.image_folder, step)
        return Evaluation(step, values | {"learning_rate": rate}, path if path.exists() else None)

    def _attempt(self, name: str, action: Callable[[], object]) -> None:
        """Do what a logger does; turn the logger off where that fails."""
        try:
            action()
        except Exception as error:   # of a library: anything
            self.loggers.pop(name, None)
            self.shown = set() if name == IMAGES else self.shown
            reason = shorten(str(error), MAX_REASON) or type(error).__name__
            print(f"log: {name} is off from here on ({reason}); training goes on.", file=sys.stderr, flush=True)
