"""Mean and contrast of the known pixels, by which a network sees dark and bright images alike."""

from typing import Any

from keras import ops

MIN_CONTRAST = 0.04   # smaller differences are mostly noise


def compute_contrast(image: Any, known: Any) -> tuple[Any, Any]:
    """Return the mean colour of the known pixels (batch x 1 x 1 x channels) and their standard deviation (batch x 1 x 1 x 1).

    `known` is the share of each pixel that is known, 0..1: batch x height x width x 1.
    """
    count = ops.maximum(ops.sum(known, (1, 2, 3), keepdims=True), 1.0)
    mean = ops.sum(image * known, (1, 2), keepdims=True) / count
    variance = ops.sum(ops.square(image - mean) * known, (1, 2, 3), keepdims=True) / (count * image.shape[-1])
    return mean, ops.maximum(ops.sqrt(variance + 1e-8), MIN_CONTRAST)
