"""The training loop: steps in groups from wherever the run stands, with looks at the holdout and saved states between them."""

import contextlib
import math
import signal
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import keras
import numpy as np

from pixmend import backend, models
from pixmend.errors import Diverged, UserError
from pixmend.evaluation import metrics
from pixmend.progress import Bar
from pixmend.training import checkpoints, distributed, losses, setup
from pixmend.training.history import History
from pixmend.training.inference import predict_images
from pixmend.training.optimizer import build_optimizer
from pixmend.training.steps import build_steps
from pixmend.training.unknown_masks import UnknownMaskDataset


def compile_model(model, settings):
    """The settings' optimizer; its averaged weights are part of its state."""
    optimizer = build_optimizer(settings)
    model.compile(optimizer=optimizer, loss=losses.build_reconstruction_loss(settings), jit_compile=choose_xla(settings))
    optimizer.build(model.trainable_variables)


EXPLODED = 3  # times the best holdout RMSE so far
ROUNDING = 1e-9


def choose_xla(settings):
    """XLA does not use a CPU's own bfloat16 arithmetic, and is slower there than the operations one by one."""
    on_cpu = all(device.startswith("cpu") for device in keras.distribution.list_devices())
    return False if on_cpu and keras.backend.backend() == "tensorflow" and settings.precision == "bfloat16" else "auto"


@contextlib.contextmanager
def catch_stop_signals():
    """A list, no longer empty once Ctrl-C or SIGTERM came, so that no step is cut in half; a second Ctrl-C is obeyed at once."""
    asked = []

    def note(number, _):
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Trainer:
    """A run in progress: the model, where it stands, and its folder; `looked(step, rmse)` may give it up at a look."""

    def __init__(self, model, settings, prepared, batches, folder, looked=None):
        self.model, self.settings, self.prepared, self.folder = model, settings, prepared, folder
        self.steps, self.writes = build_steps(model, batches), settings.process == 0
        self.step, self.best, self.minutes = 0, None, 0.0
        self.looked, self.given_up = looked, False
        self.history = History(folder / "history.csv", self.writes)
        self.looked_at = choose_evaluation_rows(prepared, settings)
        self._restore()

    def _groups(self):
        return {"model": self.model.variables, "optimizer": self.model.optimizer.variables,
                "metrics": self.model.metrics_variables}

    def _restore(self):
        """Go on from the newest state, which process 0 alone reads."""
        shapes = {group: [tuple(v.shape) for v in variables] for group, variables in self._groups().items()}
        state = checkpoints.load_newest_state(self.folder, shapes) if self.writes else None
        facts = distributed.broadcast_value(self.settings, state and state[1])
        if facts:
            self._assign(state and state[0])
            self.step, self.best, self.minutes = facts["step"], facts["best"], facts["minutes"]
        self.history.keep_until(self.step if facts else -1)

    def _assign(self, arrays):
        arrays = arrays or {group: [np.asarray(v) for v in variables] for group, variables in self._groups().items()}
        arrays = distributed.broadcast_arrays(self.settings, arrays)
        for group, variables in self._groups().items():
            for variable, array in zip(variables, arrays[group], strict=True):
                variable.assign(array)

    def save(self):
        if self.writes:
            groups = {group: [np.asarray(v) for v in variables] for group, variables in self._groups().items()}
            checkpoints.save_state(self.folder, self.step, groups,
                                   {"step": self.step, "best": self.best, "minutes": self.minutes})

    def finished(self):
        budget = self.settings.minutes
        return self.given_up or self.step >= self.settings.steps or (budget > 0 and self.minutes >= budget)

    def fit(self):
        """Train until the budget is spent or a signal asks to stop, saving now and then and at the end."""
        saved, bar, stop = time.monotonic(), Bar("train", self.settings.steps, self.step, self._spent()), False
        with catch_stop_signals() as asked, ThreadPoolExecutor(1) as loader, bar:
            if self.step == 0:
                self.evaluate(losses={})
            batches = ahead(loader, self.steps.load, self.step)
            while not self.finished() and not stop:
                before = snapshots_due(self.settings, self.step, self.minutes)
                count = self._until_border()
                losses = self._group(batches, count)
                stop, self.minutes = distributed.synchronize_stop(self.settings, asked, self.minutes)
                if (due := snapshots_due(self.settings, self.step, self.minutes)) > before:
                    self.snapshot(due)
                if self.step % self.settings.evaluate_every == 0 or self.finished():
                    self.evaluate(losses)
                if time.monotonic() - saved >= 60 * self.settings.save_minutes:
                    self.save()
                    saved = time.monotonic()
                bar.advance(count, self._figures(losses, bar) if self.writes else "", self._spent())
        self.save()
        if stop:
            raise KeyboardInterrupt

    def _spent(self):
        return spent(self.settings, self.step, self.minutes)

    def _until_border(self):
        """How many steps go to the device together: none beyond a look, a snapshot or the end."""
        settings, most = self.settings, self.settings.steps_per_call or self.steps.usual_group
        due = snapshots_due(settings, self.step, self.minutes)
        borders = (count for count in range(1, most) if (self.step + count) % settings.evaluate_every == 0
                   or self.step + count >= settings.steps or snapshots_due(settings, self.step + count, self.minutes) > due)
        return next(borders, most)

    def _group(self, batches, count):
        """The losses of the last step."""
        rates = [learning_rate(self.settings, self.step + i, self.minutes) for i in range(count)]
        began = time.monotonic()
        told = self._made(islice(batches, count), rates)
        self.minutes += (time.monotonic() - began) / 60
        for of_a_step in told:
            self.step += 1
            if not all(math.isfinite(value) for value in of_a_step.values()):
                raise self._gone_wrong("The loss is no longer a number")
        return told[-1]

    def _made(self, batches, rates):
        try:
            return self.steps.make(batches, rates)
        except Exception as error:
            if not backend.out_of_memory(error):
                raise
            raise UserError(f"The device has not enough memory for --batch-size {self.settings.batch_size}; take a smaller one, "
                            f"or auto for the largest that fits. What was saved is kept in {self.folder}.") from None

    def _gone_wrong(self, what):
        return Diverged(f"{what} at step {self.step}; the last good state is kept in {self.folder}. "
                        f"Lower --learning-rate, set --clip-norm 1, or use --precision float32.")

    def evaluate(self, losses):
        """RMSE on the holdout; a line of history; the best weights so far are kept, but not another run's, as they came."""
        trained = self._swap_in_averages()
        figures = evaluate_holdout(self.model, self.prepared, self.looked_at, self.settings)
        rmse = figures["holdout_rmse"]
        if self.best is not None and rmse > EXPLODED * self.best:
            raise self._gone_wrong(f"Training has blown up: holdout RMSE {rmse:.3f} after {self.best:.3f}")
        if (self.best is None or rmse < self.best) and (self.step or not self.settings.init_from):
            self.best = rmse
            self._keep_weights({"step": self.step, "holdout_rmse": rmse})
        for variable, value in trained:
            variable.assign(value)
        self.model.reset_metrics()
        self.history.add(step=self.step, minutes=self.minutes, **figures, **losses)
        self.given_up = bool(self.looked and self.looked(self.step, rmse))

    def snapshot(self, number):
        """Keep the weights as a look would take them."""
        trained = self._swap_in_averages()
        self._keep_weights({"step": self.step}, number)
        for variable, value in trained:
            variable.assign(value)

    def _keep_weights(self, facts, snapshot=""):
        if not self.writes:
            return
        weights = [np.asarray(v) for v in setup.get_generator(self.model).variables]
        checkpoints.save_weights(checkpoints.get_weights_path(self.folder, snapshot), weights, facts)

    def _swap_in_averages(self):
        """Put the averaged weights in place, once there are any; the trained ones come back for the next step."""
        if not self.settings.ema_decay or self.step == 0:
            return []
        trained = [(v, np.asarray(v)) for v in self.model.trainable_variables]
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        for variable, _ in trained:   # not the averages' own memory, which JAX gives away for a prediction's
            variable.assign(np.array(variable))
        return trained

    def _figures(self, losses, bar):
        named = "  ".join(f"{name} {value:.3g}" for name, value in losses.items() if name != "loss" or len(losses) == 1)
        return f"{bar.rate():.3g} steps/s  {named}  holdout {self.history.last('holdout_rmse'):.5f}"


def ahead(loader, load, step):
    """Batches from a step on, two of them loaded before they are asked for."""
    waiting = deque(loader.submit(load, step + i) for i in range(2))
    while True:
        batch = waiting.popleft().result()
        step += 1
        waiting.append(loader.submit(load, step + 1))
        yield batch


def learning_rate(settings, step, minutes):
    """Up over the first steps; then constant, or half a cosine down to zero over whichever budget ends first."""
    rate = settings.learning_rate * min(1, (step + 1) / (settings.warmup_steps + 1))
    if settings.schedule == "constant":
        return rate
    return rate * 0.5 * (1 + math.cos(math.pi * spent(settings, step, minutes)))


def spent(settings, step, minutes):
    """The share of the budget that is used up, of steps or minutes, whichever ends first."""
    return min(1, max(step / settings.steps, minutes / settings.minutes if settings.minutes else 0))


def snapshots_due(settings, step, minutes):
    """How many of the snapshots, evenly over the last half of the budget, the last at its end, have come by now."""
    return int(settings.snapshots * max(0, 2 * spent(settings, step, minutes) - 1) + ROUNDING)


def choose_evaluation_rows(prepared, settings):
    """The holdout pictures of the looks during training: the same every time, drawn over all classes."""
    rows = prepared.split("holdout")
    picks = np.random.default_rng(settings.split_seed).permutation(len(rows))[:settings.evaluation_images]
    return [rows[i] for i in sorted(picks)]


def evaluate_holdout(model, prepared, rows, settings):
    """RMSE over the missing pixels; of a network that finds masks, over all pixels of these, and their overlap with the true."""
    if models.finds_masks(settings.model):
        return score_masks(predict_images(model, UnknownMaskDataset(prepared), rows, settings), [prepared.hole(row) > 0 for row in rows])
    pairs = zip(rows, predict_images(model, prepared, rows, settings), strict=True)
    sums, numbers = zip(*(metrics.squared_errors(prepared.whole(row) / 255, picture, prepared.hole(row))
                          for row, picture in pairs), strict=True)
    return {"holdout_rmse": metrics.rmse(sums, numbers)}


def score_masks(found, true):
    pairs = [(picture[..., 0], mask) for picture, mask in zip(found, true, strict=True)]
    squares = [np.square(picture - mask).sum(dtype=np.float64) for picture, mask in pairs]
    shared = [metrics.overlap(mask, picture > 0.5) for picture, mask in pairs]
    return {"holdout_rmse": metrics.rmse(squares, [mask.size for mask in true]), "holdout_iou": metrics.pooled_iou(shared)}
