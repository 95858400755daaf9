"""Optimizers by name, and the learning rate and the snapshots over the budget of a run: steps, minutes or both."""

import math
from typing import Any

import keras
from keras import ops

from pixmend import backend
from pixmend.config import TrainingSettings

# Squared errors of values in 0..1 have gradients so small that Keras's own 1e-7 would damp them.
EPSILON = 1e-8
ROUNDING = 1e-9


def build_optimizer(settings: TrainingSettings) -> keras.optimizers.Optimizer:
    """Return the optimizer of the settings; all but SGD, which has none, get the same small epsilon."""
    common: dict[str, Any] = {"learning_rate": settings.learning_rate, "weight_decay": settings.weight_decay or None,
                              "global_clipnorm": settings.clip_norm or None}
    if settings.ema_decay:
        common |= {"use_ema": True, "ema_momentum": settings.ema_decay}
    match settings.optimizer:
        case "sgd":
            return SGD(momentum=settings.beta_1, **common)
        case "rmsprop":
            return RMSprop(epsilon=EPSILON, **common)
        case "adagrad":
            return Adagrad(initial_accumulator_value=0.0, epsilon=EPSILON, **common)
    return Adam(beta_1=settings.beta_1, beta_2=settings.beta_2, epsilon=EPSILON, **common)


class WarmAverage:
    """The averaged weights of an optimizer, which do not stay the first weights for long."""

    iterations: keras.Variable

    @property
    def ema_momentum(self) -> Any:
        """The share of the past in the averaged weights: small at first."""
        steps = ops.cast(self.iterations, "float32")
        return ops.minimum(self._max_ema_momentum, (1 + steps) / (10 + steps))

    @ema_momentum.setter
    def ema_momentum(self, momentum: float) -> None:
        self._max_ema_momentum = momentum


class SGD(WarmAverage, keras.optimizers.SGD):
    """Keras's own, with such an average."""


class RMSprop(WarmAverage, keras.optimizers.RMSprop):
    """Keras's own, with such an average."""


class Adagrad(WarmAverage, keras.optimizers.Adagrad):
    """Keras's own, with such an average."""


class Adam(WarmAverage, keras.optimizers.Adam):
    """Adam as one operation per variable where the backend has it, which is faster than Keras's own."""

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        if not backend.is_tensorflow():
            return super().update_step(gradient, variable, learning_rate)
        number = self._get_variable_index(variable)
        moments = self._momentums[number], self._velocities[number]
        step = ops.cast(self.iterations + 1, "float32")
        backend.apply_adam(variable, *moments, gradient, step, learning_rate, self.beta_1, self.beta_2, self.epsilon)


def compute_budget_share(settings: TrainingSettings, step: int, minutes: float) -> float:
    """Return the share of the budget that is used: that of steps or that of minutes, whichever is larger, at most 1."""
    return min(1, max(step / settings.steps, minutes / settings.minutes if settings.minutes else 0))


def get_learning_rate(settings: TrainingSettings, step: int, minutes: float) -> float:
    """Return the learning rate of a step: it rises during the warm-up, then stays, or falls to zero along half a cosine."""
    rate = settings.learning_rate * min(1, (step + 1) / (settings.warmup_steps + 1))
    if settings.schedule == "constant":
        return rate
    return rate * 0.5 * (1 + math.cos(math.pi * compute_budget_share(settings, step, minutes)))


def count_due_snapshots(settings: TrainingSettings, step: int, minutes: float) -> int:
    """Return how many snapshots are due: they are spread evenly over the last half of the budget, the last one at its end."""
    return int(settings.snapshots * max(0, 2 * compute_budget_share(settings, step, minutes) - 1) + ROUNDING)
