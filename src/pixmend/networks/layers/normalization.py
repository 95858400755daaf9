"""Normalization by batch, and by the contrast of the known pixels, with which a network sees dark and bright images alike."""

from typing import Any

import keras
from keras import layers, ops

from pixmend import backend

MIN_CONTRAST = 0.04   # smaller differences are mostly noise


@keras.saving.register_keras_serializable("pixmend")
class BatchNormalization(layers.BatchNormalization):
    """Keras's layer with the same weights and results, computed faster: on TensorFlow in one operation."""

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
        """Compute mean and variance in one pass, where Keras takes two; it also halves what several devices exchange."""
        if backend.is_tensorflow() or mask is not None:
            return super()._moments(inputs, mask)
        mean, squares = (ops.mean(values, self._reduction_axes) for values in (inputs, ops.square(inputs)))
        return mean, ops.maximum(squares - ops.square(mean), 0)


def convolve_and_normalize(x: Any, channels: int, kernel_size: int, stride: int = 1, use_bias: bool = True) -> Any:
    return BatchNormalization()(layers.Conv2D(channels, kernel_size, stride, "same", use_bias=use_bias)(x))


def compute_contrast(image: Any, known: Any) -> tuple[Any, Any]:
    """Return the mean colour of the known pixels (batch x 1 x 1 x channels) and their standard deviation (batch x 1 x 1 x 1).

    `known` is the share of each pixel that is known, 0..1: batch x height x width x 1.
    """
    count = ops.maximum(ops.sum(known, (1, 2, 3), keepdims=True), 1.0)
    mean = ops.sum(image * known, (1, 2), keepdims=True) / count
    variance = ops.sum(ops.square(image - mean) * known, (1, 2, 3), keepdims=True) / (count * image.shape[-1])
    return mean, ops.maximum(ops.sqrt(variance + 1e-8), MIN_CONTRAST)
