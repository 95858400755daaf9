"""The residual blocks of EDSR (Lim et al. 2017) at half the image's size; they predict what a fill misses.

The network reads a square of --work-size pixels around the missing ones, or the whole image if that is no larger, so that nothing
is computed far away. Colours are measured from the mean of the pixels around the hole in units of their standard deviation.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pixmend.config import NetworkSettings
from pixmend.networks.layers.normalization import compute_contrast
from pixmend.networks.layers.sizes import plan_channels

NEIGHBOURHOOD = 17   # pixels across: contrast is measured this far around missing pixels


def build_edsr(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the network; its output is the residual."""
    plan_channels(input_shape, settings)   # raises an error for odd sides
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    neighbourhood = layers.MaxPooling2D(NEIGHBOURHOOD, 1, "same", dtype="float32")(mask)
    mean, contrast = compute_contrast(image, neighbourhood)
    x = layers.Concatenate()([(image - mean) / contrast, mask])
    rows, columns = (select_lines(mask, axis, settings.work_size) for axis in (1, 2))
    x = ops.einsum("nrh,nhwc,nqw->nrqc", rows, x, columns)
    x = layers.Conv2D(settings.width, 4, 2, "same")(x)
    for _ in range(settings.levels):
        y = layers.Conv2D(settings.width, 3, padding="same", activation="relu")(x)
        x = layers.Add()([x, layers.Conv2D(settings.width, 3, padding="same", kernel_initializer="zeros")(y)])
    x = layers.Conv2DTranspose(input_shape[-1], 4, 2, "same", dtype="float32")(ops.relu(x))
    x = ops.einsum("nrh,nrqc,nqw->nhwc", rows, x, columns)
    return keras.Model([image, mask], x * contrast)


def select_lines(mask: Any, axis: int, work_size: int) -> Any:
    """Return the rows (axis 1) or columns (axis 2) of the square around each hole, as a matrix of ones: square x image."""
    length = mask.shape[axis]
    side, positions = min(work_size, length) // 2 * 2, np.arange(length, dtype=np.int32)   # no tensor: ONNX has none from outside
    is_missing = ops.max(mask, (3 - axis, 3)) > 0
    first = ops.min(ops.where(is_missing, positions, length), 1, keepdims=True)
    last = ops.max(ops.where(is_missing, positions, -1), 1, keepdims=True)
    begin = ops.clip((first + last + 1 - side) // 2, 0, length - side)
    return ops.one_hot(begin + np.arange(side, dtype=np.int32), length)
