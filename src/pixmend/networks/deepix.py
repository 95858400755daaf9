"""DeePixV1 for pixelated areas: blocks of convolutions at full size, ever wider.

In grey with width 32 the networks are the published ones: (5,5,6,6,7,7,8)(3,5) with 2,415,107 trainable parameters, and the
small (5,5,6,7)(3,5) with 479,427.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from pixmend.config import NetworkSettings
from pixmend.networks.layers.batch_norm import BatchNormalization

DOUBLINGS = (0, 0, 1, 1, 2, 2, 3)   # of the width: in the first convolution, and at the end of each block
SMALL_DOUBLINGS = (0, 0, 1, 2)
FIRST_KERNEL, LAST_KERNEL = 3, 5


def build_deepix(input_shape: tuple[int, int, int], settings: NetworkSettings, doublings: tuple[int, ...] = DOUBLINGS) -> keras.Model:
    """Return the network; its output is an image in 0..1."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    first_width, *widths = [settings.width * 2**doubling for doubling in doublings]
    kernel_sizes = [int(size) - (int(size) + 1) % 2 for size in np.linspace(FIRST_KERNEL, LAST_KERNEL, len(widths))]
    x = layers.ReLU()(convolve(layers.Concatenate()([image, 1.0 - mask]), FIRST_KERNEL, first_width))
    for kernel_size, width in zip(kernel_sizes, widths, strict=True):
        x = residual_block(x, kernel_size, width)
    x = convolve(x, LAST_KERNEL, input_shape[-1])
    return keras.Model([image, mask], layers.Activation("sigmoid", dtype="float32")(x))


def build_deepix_small(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the network with three blocks."""
    return build_deepix(input_shape, settings, SMALL_DOUBLINGS)


def residual_block(x: Any, kernel_size: int, channels: int) -> Any:
    """Apply two convolutions with a skip connection, then one to the next width."""
    skip = x
    x = layers.ReLU()(convolve(x, kernel_size, x.shape[-1]))
    x = layers.ReLU()(layers.Add()([convolve(x, kernel_size, x.shape[-1]), skip]))
    return layers.ReLU()(convolve(x, kernel_size, channels))


def convolve(x: Any, kernel_size: int, channels: int) -> Any:
    """Apply a convolution and batch normalization."""
    return BatchNormalization()(layers.Conv2D(channels, kernel_size, padding="same")(x))
