"""Keras's 4x4 convolutions with stride 2, with a faster gradient of the kernel where images are small.

oneDNN computes the gradient of a large kernel slowly where an image has few pixels. One matrix product instead saves an eighth
of a training step of Pix2Pix on a CPU at batch size 8, and a sixth at batch size 1.
"""

from typing import Any

import keras
from keras import layers

from pixmend import backend

KERNEL_SIZE, STRIDE = 4, 2
MIN_CHANNELS_PER_PIXEL = 4   # of the smaller image; with fewer channels oneDNN is faster


FIXED = {"kernel_size", "strides", "padding"}   # options of Keras's layers that are always the same here


def uses_matrix_product(smaller_shape: tuple[int, int, int]) -> bool:
    """Tell whether the kernel's gradient is one matrix product; the shape is that of the convolution's smaller side."""
    height, width, channels = smaller_shape
    return backend.is_tensorflow() and channels >= MIN_CHANNELS_PER_PIXEL * height * width


@keras.saving.register_keras_serializable("pixmend")
class DownsampleConv(layers.Conv2D):
    """A convolution that halves the sides of an image, on TensorFlow with the faster gradient where that pays."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, KERNEL_SIZE, STRIDE, "same", **options)

    def convolution_op(self, x: Any, kernel: Any) -> Any:
        smaller_shape = self.compute_output_shape(x.shape)[1:]
        return backend.convolve_down(x, kernel) if uses_matrix_product(smaller_shape) else super().convolution_op(x, kernel)

    def get_config(self) -> dict[str, Any]:
        return rename_options(super().get_config())


@keras.saving.register_keras_serializable("pixmend")
class UpsampleConv(layers.Conv2DTranspose):
    """A transposed convolution that doubles the sides of an image, with the same gradient."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, KERNEL_SIZE, STRIDE, "same", **options)

    def call(self, x: Any) -> Any:
        if self.use_bias or not uses_matrix_product(x.shape[1:]):
            return super().call(x)
        return backend.convolve_up(x, self.kernel)

    def get_config(self) -> dict[str, Any]:
        return rename_options(super().get_config())


def rename_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options with which Keras builds such a layer again from a file."""
    return {"channels" if name == "filters" else name: value for name, value in options.items() if name not in FIXED}
