"""Optimizers by name, and an Adam that is faster on TensorFlow and whose averaged weights can be used early."""

from typing import Any

import keras
from keras import ops

from pixmend import backend
from pixmend.config import TrainingSettings

# Squared errors of values in 0..1 have gradients so small that Keras's own 1e-7 would damp them.
EPSILON = 1e-8


def build_optimizer(settings: TrainingSettings) -> keras.optimizers.Optimizer:
    """Return the optimizer of the settings; all but SGD, which has none, get the same small epsilon."""
    common: dict[str, Any] = {"learning_rate": settings.learning_rate, "weight_decay": settings.weight_decay or None,
                              "global_clipnorm": settings.clip_norm or None}
    if settings.ema_decay:
        common |= {"use_ema": True, "ema_momentum": settings.ema_decay}
    match settings.optimizer:
        case "sgd":
            return keras.optimizers.SGD(momentum=settings.beta_1, **common)
        case "rmsprop":
            return keras.optimizers.RMSprop(epsilon=EPSILON, **common)
        case "adagrad":
            return keras.optimizers.Adagrad(initial_accumulator_value=0.0, epsilon=EPSILON, **common)
    return Adam(beta_1=settings.beta_1, beta_2=settings.beta_2, epsilon=EPSILON, **common)


class Adam(keras.optimizers.Adam):
    """Adam as one operation per variable where the backend has it; its weight average adapts to the number of steps.

    The share of the past is at most (1 + steps) / (10 + steps), so an average after few steps is not still the first weights.
    """

    @property
    def ema_momentum(self) -> Any:
        """The share of the past in the averaged weights at the current step."""
        steps = ops.cast(self.iterations, "float32")
        return ops.minimum(self._max_ema_momentum, (1 + steps) / (10 + steps))

    @ema_momentum.setter
    def ema_momentum(self, momentum: float) -> None:
        self._max_ema_momentum = momentum

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Update one variable and its two moments."""
        if not backend.is_tensorflow():
            return super().update_step(gradient, variable, learning_rate)
        number = self._get_variable_index(variable)
        moments = self._momentums[number], self._velocities[number]
        backend.apply_adam(variable, *moments, gradient, ops.cast(self.iterations + 1, "float32"), learning_rate,
                     self.beta_1, self.beta_2, self.epsilon)
