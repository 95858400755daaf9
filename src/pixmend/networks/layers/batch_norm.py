"""Keras's batch norm with the same weights and figures, in one operation or with one look at the pixels for both moments."""

import keras
from keras import ops

from pixmend import backend


class BatchNormalization(keras.layers.BatchNormalization):
    def call(self, x, training=None, mask=None):
        if not backend.is_tensorflow() or len(x.shape) != 4:
            return super().call(x, training=training, mask=mask)
        averages = self.moving_mean, self.moving_variance
        scale, offset, *known = (ops.convert_to_tensor(v) for v in (self.gamma, self.beta, *averages))
        learns = training and self.trainable
        normed, *seen = backend.normed(x, scale, offset, None if learns else known, self.epsilon)
        if learns:
            for average, now in zip(averages, seen, strict=True):
                average.assign(self.momentum * average + (1 - self.momentum) * now)
        return normed

    def _moments(self, inputs, mask):
        """Mean and variance in one look, and one exchange between devices; Keras takes a second one for the variance."""
        if backend.is_tensorflow() or mask is not None:
            return super()._moments(inputs, mask)
        mean, squares = (ops.mean(values, self._reduction_axes) for values in (inputs, ops.square(inputs)))
        return mean, ops.maximum(squares - ops.square(mean), 0)
