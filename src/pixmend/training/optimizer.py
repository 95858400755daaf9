"""What moves the weights: the optimizer that the settings name, and Adam in a form of its own."""

import keras
from keras import ops

from pixmend import backend

EPSILON = 1e-8  # squared errors in 0..1 have gradients so small that Keras's own 1e-7 would hold them back


def build_optimizer(settings):
    """Adam as said by its knobs, or another one as it is usual, with as little to hold back small gradients as Adam has."""
    common = {"learning_rate": settings.learning_rate, "weight_decay": settings.weight_decay or None,
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
    """Adam in one pass over the weights where the backend has it, and whose averaged weights forget their first steps sooner,
    so that an early look at them is a fair one."""

    @property
    def ema_momentum(self):
        steps = ops.cast(self.iterations, "float32")
        return ops.minimum(self._most, (1 + steps) / (10 + steps))

    @ema_momentum.setter
    def ema_momentum(self, most):
        self._most = most

    def update_step(self, gradient, variable, learning_rate):
        if not backend.is_tensorflow():
            return super().update_step(gradient, variable, learning_rate)
        number = self._get_variable_index(variable)
        moments = self._momentums[number], self._velocities[number]
        backend.adam(variable, *moments, gradient, ops.cast(self.iterations + 1, "float32"), learning_rate,
                     self.beta_1, self.beta_2, self.epsilon)
