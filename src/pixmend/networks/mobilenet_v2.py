"""MobileNetV2 (Sandler et al. 2018) for a 2x2 hole in the middle of every 8x8 block: 2,262,532 parameters.

Keras's own version takes images of 32 pixels or more.
"""

from typing import Any

import keras
from keras import layers

from pixmend.config import NetworkSettings
from pixmend.networks.layers import blocks
from pixmend.networks.layers.batch_norm import BatchNormalization

# Expansion, channels, number of bottlenecks, and stride of the first one.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
FIRST_CHANNELS, LAST_CHANNELS = 32, 1280


def build_mobilenet_v2(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the network, applied to every block of an image."""
    return blocks.build_from_blocks(input_shape, settings, build_block_network())


def build_block_network() -> keras.Model:
    """Return the network from a block (8, 8, 1) to the logits of its hole."""
    block = keras.Input((blocks.BLOCK_SIZE, blocks.BLOCK_SIZE, 1))
    x = layers.ReLU(6)(convolve(block, FIRST_CHANNELS, kernel_size=3, stride=2))
    for expansion, channels, count, first_stride in STAGES:
        for number in range(count):
            x = bottleneck(x, expansion, channels, first_stride if number == 0 else 1)
    x = layers.GlobalAveragePooling2D()(layers.ReLU(6)(convolve(x, LAST_CHANNELS)))
    return keras.Model(block, layers.Dense(blocks.HOLE_SIZE**2)(x))


def bottleneck(x: Any, expansion: int, channels: int, stride: int) -> Any:
    """Widen, convolve each channel, and narrow again; with a skip connection where shapes are equal."""
    skip = x
    x = layers.ReLU(6)(convolve(x, x.shape[-1] * expansion)) if expansion > 1 else x
    x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False)(x)
    x = convolve(layers.ReLU(6)(BatchNormalization()(x)), channels)
    return layers.Add()([skip, x]) if skip.shape == x.shape else x


def convolve(x: Any, channels: int, kernel_size: int = 1, stride: int = 1) -> Any:
    """Apply a convolution and batch normalization."""
    return BatchNormalization()(layers.Conv2D(channels, kernel_size, stride, "same", use_bias=False)(x))
