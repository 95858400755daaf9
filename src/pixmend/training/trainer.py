"""The training loop of one network: train, evaluate on the holdout, save, and continue where a stopped run was.

A run's folder holds history.csv (a line for each evaluation), best.npz (the weights with the lowest holdout RMSE), snapshots, and
the newest two states, from which a run continues bit for bit.
"""

import contextlib
import itertools
import math
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pixmend import backend, models
from pixmend.config import UNLIMITED_STEPS, Settings, flag
from pixmend.data.dataset import Dataset, DatasetRow
from pixmend.errors import Diverged, UserError
from pixmend.evaluation import metrics
from pixmend.evaluation.bootstrap import compute_rmse
from pixmend.progress import ProgressBar
from pixmend.subprocesses import raise_stop, replace_signal_handlers
from pixmend.training import checkpoints, distributed, losses, setup
from pixmend.training.history import History
from pixmend.training.inference import predict_images
from pixmend.training.loggers.training_log import TrainingLog
from pixmend.training.optimizer import build_optimizer, compute_budget_share, count_due_snapshots, get_learning_rate
from pixmend.training.steps import build_steps
from pixmend.training.unknown_masks import UnknownMaskDataset
from pixmend.training.window_batches import BatchSource

DIVERGED_FACTOR = 3   # a run has diverged when its holdout RMSE is so many times the best one

OnEvaluation = Callable[[int, float], bool]   # step, holdout RMSE; whether training ends there
OnPrediction = Callable[[DatasetRow, np.ndarray], None]


def compile_model(model: keras.Model, settings: Settings) -> None:
    """Compile a model with the optimizer and the loss of the settings; averaged weights are part of the optimizer's state."""
    optimizer = build_optimizer(settings)
    # XLA does not use a CPU's own bfloat16 arithmetic and is slower with it.
    xla = False if backend.is_on_cpu() and backend.is_tensorflow() and settings.precision == "bfloat16" else "auto"
    model.compile(optimizer=optimizer, loss=losses.ReconstructionLoss(settings.loss), jit_compile=xla)
    optimizer.build(model.trainable_variables)


@contextlib.contextmanager
def catch_stop_signals() -> Iterator[list[int]]:
    """Collect signals to stop in a list, so that the current step ends first; a second Ctrl-C ends the process at once."""
    received: list[int] = []

    def handle(number: int, _: Any) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with replace_signal_handlers(handle):
        yield received


class Trainer:
    """Trains one compiled model: fit, evaluate, save and restore."""

    def __init__(self, model: keras.Model, settings: Settings, dataset: Dataset, batches: BatchSource, folder: Path,
                 on_evaluation: OnEvaluation | None = None) -> None:
        self.model, self.settings, self.dataset, self.folder = model, settings, dataset, folder
        self.steps, self.writes_files = build_steps(model, batches), settings.process == 0
        self.step, self.minutes = 0, 0.0
        self.best_rmse: float | None = None
        self.on_evaluation, self.stopped_early = on_evaluation, False
        self.history = History(folder / "history.csv", self.writes_files)
        rows = dataset.split("holdout")   # evaluations use the same rows each time
        picks = np.random.default_rng(settings.split_seed).permutation(len(rows))[:settings.evaluation_images]
        self.evaluation_rows = [rows[i] for i in sorted(picks)]
        self.log = TrainingLog(settings, folder, dataset, self.evaluation_rows)
        self._may_keep_first_weights = models.may_keep_first_weights(settings)
        self.restore()

    def fit(self) -> None:
        """Train until the budget is used or a signal asks to stop; save a state now and then, and at the end."""
        with self.log.open(self.history.rows):
            self._fit_budget()

    def _fit_budget(self) -> None:
        last_saved, stop = time.monotonic(), 0
        total = self.settings.steps if self.settings.steps < UNLIMITED_STEPS else 0
        bar = ProgressBar("train", total, self.step, compute_budget_share(self.settings, self.step, self.minutes))
        with catch_stop_signals() as signals:   # also while the state is saved: a scheduler may send several
            with ThreadPoolExecutor(1) as loader, bar:
                if self.step == 0:
                    self.evaluate(losses={})
                batches = load_ahead(loader, self.steps.load, self.step)
                while not self.is_finished() and not stop:
                    snapshots, count = self._due_snapshots(self.step), self._count_steps_of_call()
                    losses = self._train(itertools.islice(batches, count), count)
                    stop, self.minutes = distributed.synchronize_stop(self.settings, max(signals, default=0), self.minutes)
                    self._save_snapshots(snapshots)
                    if self.step % self.settings.evaluate_every == 0 or self.is_finished():
                        self.evaluate(losses)
                    if time.monotonic() - last_saved >= 60 * self.settings.save_minutes:
                        self.save()
                        last_saved = time.monotonic()
                    text = self._format_progress(losses, bar) if self.writes_files else ""
                    bar.advance(count, text, compute_budget_share(self.settings, self.step, self.minutes))
            self.save()
        if stop := stop or max(signals, default=0):
            raise_stop(stop)

    def is_finished(self) -> bool:
        """Tell whether the budget is used, `on_evaluation` has ended the training, or it no longer finds better weights."""
        budget = self.settings.minutes
        used = self.step >= self.settings.steps or (budget > 0 and self.minutes >= budget)
        return self.stopped_early or used or self._has_stopped_improving()

    def _has_stopped_improving(self) -> bool:
        return 0 < self.settings.early_stopping <= self.history.count_since_best(self._may_keep_first_weights)

    def _due_snapshots(self, step: int) -> int:
        return count_due_snapshots(self.settings, step, self.minutes)

    def _save_snapshots(self, before: int) -> None:
        """Save each snapshot that has become due; a step that is a large share of the budget is that of several."""
        if (due := self._due_snapshots(self.step)) > before:
            with self._averaged_weights():
                for number in range(before + 1, due + 1):
                    self._save_weights({"step": self.step}, str(number))

    def _count_steps_of_call(self) -> int:
        """Return how many steps go to the device together: none after the next evaluation, snapshot or end."""
        settings = self.settings
        most, due = settings.steps_per_call or self.steps.steps_per_call, self._due_snapshots(self.step)
        for count in range(1, most):
            step = self.step + count
            if step % settings.evaluate_every == 0 or step >= settings.steps or self._due_snapshots(step) > due:
                return count
        return most

    def _train(self, batches: Iterable[Any], count: int) -> dict[str, float]:
        """Train the next steps; return the losses of the last one."""
        rates = [get_learning_rate(self.settings, self.step + i, self.minutes) for i in range(count)]
        began = time.monotonic()
        try:
            losses_by_step = self.steps.run(batches, rates)
        except Exception as error:
            if not backend.is_out_of_memory(error):
                raise
            raise UserError(f"The device has not enough memory for --batch-size {self.settings.batch_size}. Use a smaller one, "
                            f"or --batch-size auto for the largest that fits. What was saved is in {self.folder}.") from None
        self.minutes += (time.monotonic() - began) / 60
        for step_losses in losses_by_step:
            self.step += 1
            if not all(map(math.isfinite, step_losses.values())):
                raise self._divergence("the loss is not a finite number")
        return losses_by_step[-1]

    def _divergence(self, reason: str) -> Diverged:
        limit = self.settings.clip_norm / 10 or 1   # many networks have a limit of their own
        return Diverged(f"Training diverged at step {self.step}: {reason}. The last good state is in {self.folder}. "
                        f"Lower --learning-rate, set {flag('clip_norm')} {limit:g}, or use --precision float32.")

    def evaluate(self, losses: dict[str, float]) -> None:
        """Score the holdout and extend the history; save the weights if they are the best so far and not those of another run."""
        with self._averaged_weights():
            scores = evaluate_holdout(self.model, self.dataset, self.evaluation_rows, self.settings, self.log.add_prediction)
            rmse = scores["holdout_rmse"]
            self._check_rmse(rmse)
            if (self.best_rmse is None or rmse < self.best_rmse) and (self.step or self._may_keep_first_weights):
                self.best_rmse = rmse
                self._save_weights({"step": self.step, "holdout_rmse": rmse})
        self.model.reset_metrics()
        self.history.add(step=self.step, minutes=self.minutes, **scores, **losses)
        self.log.log_evaluation(self.history.rows[-1])
        self.stopped_early = bool(self.on_evaluation and self.on_evaluation(self.step, rmse))

    def _check_rmse(self, rmse: float) -> None:
        """Raise an error if training has diverged; the loss of a step does not tell what became of its weights."""
        if not math.isfinite(rmse):
            raise self._divergence("the holdout RMSE is not a finite number")
        if self.best_rmse is not None and rmse > DIVERGED_FACTOR * self.best_rmse:
            raise self._divergence(f"the holdout RMSE is {rmse:.3f}, after {self.best_rmse:.3f}")

    def _save_weights(self, metadata: dict[str, Any], snapshot: str = "") -> None:
        if self.writes_files:
            weights = [np.asarray(variable) for variable in setup.get_generator(self.model).variables]
            if not all(np.isfinite(array).all() for array in weights):   # the loss does not always show it
                raise self._divergence("a weight is not a finite number")
            checkpoints.save_weights(checkpoints.get_weights_path(self.folder, snapshot), weights, metadata)

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Put the averaged weights into the model, if the settings ask for them; afterwards the trained ones are back."""
        if not self.settings.ema_decay or self.step == 0:
            yield
            return
        trained = [(v, np.asarray(v)) for v in self.model.trainable_variables]
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        for variable, _ in trained:   # a copy: JAX would reuse the memory of the optimizer's averages for a prediction
            variable.assign(np.asarray(variable).copy())
        try:
            yield
        finally:
            for variable, value in trained:
                variable.assign(value)

    def save(self) -> None:
        if self.writes_files:
            metadata = {"step": self.step, "best": self.best_rmse, "minutes": self.minutes}
            checkpoints.save_state(self.folder, self.step, setup.read_variables(self.model), metadata)

    def restore(self) -> None:
        """Continue from the newest state, if there is one; process 0 reads it and sends it to the others."""
        shapes = checkpoints.get_shapes(setup.get_variables(self.model))
        state = checkpoints.load_newest_state(self.folder, shapes) if self.writes_files else None
        metadata = distributed.broadcast_value(self.settings, state and state[1])
        if metadata:
            arrays = state[0] if state else setup.read_variables(self.model)
            if self.settings.of_processes > 1:
                arrays = backend.broadcast_from_first_process(arrays)
            setup.assign_variables(self.model, arrays)
            self.step, self.best_rmse, self.minutes = metadata["step"], metadata["best"], metadata["minutes"]
        self.history.rows = distributed.broadcast_value(self.settings, self.history.rows)
        self.history.drop_after(self.step if metadata else -1)

    def _format_progress(self, losses: dict[str, float], bar: ProgressBar) -> str:
        named = "  ".join(f"{name} {value:.3g}" for name, value in losses.items() if name != "loss" or len(losses) == 1)
        return f"{bar.rate():.3g} steps/s  {named}  holdout {self.history.get_last('holdout_rmse'):.5f}"

    def describe_ending(self) -> str:
        """Return a sentence if --early-stopping has ended the training."""
        if not self._has_stopped_improving():
            return ""
        return (f"The last {self.history.count_since_best(self._may_keep_first_weights)} evaluations found no better weights "
                f"({flag('early_stopping')}). ")

    def describe_more(self) -> str:
        """Return what continues a finished training, if anything but another training does."""
        settings = self.settings
        used = {"steps": self.step >= settings.steps, "minutes": 0 < settings.minutes <= self.minutes}
        needed = [f"more {flag(name)}" for name in used if used[name]]
        if needed and settings.schedule != "constant":   # its learning rate has fallen to zero
            return ""
        needed += [f"{flag('early_stopping')} 0"] if self._has_stopped_improving() else []
        return f"To continue it: {', '.join(needed)}; " if needed else ""

    def describe_result(self) -> str:
        """Return in one sentence what training has gained on its starting point, which is the first line of the history."""
        settings, best = self.settings, self.best_rmse
        if best is None or not self.history.rows:
            return "No weights were saved."
        first = float(self.history.rows[0]["holdout_rmse"])
        if settings.init_from:
            start = f"weights of {settings.init_from}"
        elif settings.start == "none" or models.finds_masks(settings.model):
            start = "untrained network"
        else:
            start = f"{settings.start} fill" if models.is_fill(settings.start) else "damaged image"
        if f"{best:.6g}" == f"{first:.6g}":
            reason = "no later weights are better" if settings.init_from else "the network has not learned anything yet"
            return f"Holdout RMSE {best:.4f} equals the starting point ({start}): {reason}."
        change = float(f"{abs(100 - 100 * best / first):.2g}")   # two digits, but never as 1.5e+02
        return (f"Holdout RMSE {best:.4f} on {len(self.evaluation_rows)} images is {change:g}% "
                f"{'below' if best < first else 'above'} the starting point ({start}: {first:.4f}).")


def load_ahead(loader: ThreadPoolExecutor, load: Callable[[int], Any], step: int) -> Iterator[Any]:
    """Yield the batches from a step on; two of them are loaded before they are needed."""
    waiting = deque(loader.submit(load, step + i) for i in range(2))
    for later in itertools.count(step + 2):
        batch = waiting.popleft().result()
        waiting.append(loader.submit(load, later))
        yield batch


def evaluate_holdout(model: keras.Model, dataset: Dataset, rows: list[DatasetRow], settings: Settings,
                     on_prediction: OnPrediction) -> dict[str, float]:
    """Return the RMSE over the missing pixels; for a network that finds masks, RMSE and IoU of its masks."""
    def predict(source: Dataset) -> Iterator[np.ndarray]:
        for row, image in zip(rows, predict_images(model, source, rows, settings), strict=True):
            on_prediction(row, image)
            yield image

    if models.finds_masks(settings.model):
        masks = [dataset.read_counts(row) > 0 for row in rows]
        return score_masks(predict(UnknownMaskDataset(dataset)), masks)
    errors = [metrics.sum_squared_errors(dataset.read_original(row) / 255, image, dataset.read_counts(row))
              for row, image in zip(rows, predict(dataset), strict=True)]
    return {"holdout_rmse": compute_rmse(*zip(*errors, strict=True))}


def score_masks(predictions: Iterable[np.ndarray], masks: list[np.ndarray]) -> dict[str, float]:
    """Return the RMSE over all pixels and the intersection over union of predicted masks, (height, width, 1) in 0..1."""
    pairs = [(prediction[..., 0], mask) for prediction, mask in zip(predictions, masks, strict=True)]
    squares = [np.square(prediction - mask).sum(dtype=np.float64) for prediction, mask in pairs]
    overlaps = [metrics.count_overlap(mask, prediction > 0.5) for prediction, mask in pairs]
    rmse = compute_rmse(squares, [mask.size for mask in masks])
    return {"holdout_rmse": rmse, "holdout_iou": metrics.compute_pooled_iou(overlaps)}
