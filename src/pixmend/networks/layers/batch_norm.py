"""Keras's batch normalization with the same weights and results, computed faster.

TensorFlow computes it in one operation. Elsewhere mean and variance are computed in one pass, which also halves what several
devices exchange.
"""

from typing import Any

from keras import layers, ops

from pixmend import backend


class BatchNormalization(layers.BatchNormalization):
    """Normalizes images by batch, as Keras's own layer does."""

    def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize by the batch's own mean and variance in training, by the moving averages otherwise."""
        if not backend.is_tensorflow() or len(x.shape) != 4:
            return super().call(x, training=training, mask=mask)
        averages = self.moving_mean, self.moving_variance
        scale, offset, *given = (ops.convert_to_tensor(v) for v in (self.gamma, self.beta, *averages))
        uses_batch = training and self.trainable
        normalized, *moments = backend.normalize_batch(x, scale, offset, None if uses_batch else given, self.epsilon)
        if uses_batch:
            for average, value in zip(averages, moments, strict=True):
                average.assign(self.momentum * average + (1 - self.momentum) * value)
        return normalized

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        """Compute mean and variance in one pass; Keras takes a second one for the variance."""
        if backend.is_tensorflow() or mask is not None:
            return super()._moments(inputs, mask)
        mean, squares = (ops.mean(values, self._reduction_axes) for values in (inputs, ops.square(inputs)))
        return mean, ops.maximum(squares - ops.square(mean), 0)


def convolve_and_normalize(x: Any, channels: int, kernel_size: int, stride: int = 1, use_bias: bool = True) -> Any:
    return BatchNormalization()(layers.Conv2D(channels, kernel_size, stride, "same", use_bias=use_bias)(x))
