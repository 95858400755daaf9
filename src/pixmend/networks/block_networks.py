"""Networks for a 2x2 hole in the middle of every 8x8 block: perceptrons, a small convolutional network and MobileNetV2."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pixmend.config import NetworkSettings
from pixmend.networks.layers import blocks
from pixmend.networks.layers.depthwise import convolve_each_channel
from pixmend.networks.layers.normalization import BatchNormalization, convolve_and_normalize

# Of MobileNetV2: expansion, channels, number of bottlenecks, and stride of the first one.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def build_mlp(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the small perceptron: 14,824 parameters."""
    return blocks.build_from_blocks(input_shape, settings, build_perceptron(120, 60))


def build_mlp_large(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the large perceptron: 73,540 parameters."""
    return blocks.build_from_blocks(input_shape, settings, build_perceptron(256, 128, 128, 64))


def build_perceptron(*hidden_units: int) -> keras.Model:
    """Return a perceptron from the 60 known values of a block to the logits of its hole."""
    block = keras.Input((blocks.BLOCK_SIZE, blocks.BLOCK_SIZE, 1))
    known_pixels = np.flatnonzero(blocks.build_hole_mask(blocks.BLOCK_SIZE, blocks.BLOCK_SIZE) == 0).tolist()
    x = ops.take(layers.Flatten()(block), known_pixels, axis=1)
    for units in hidden_units:
        x = layers.Dense(units, "relu")(x)
    return keras.Model(block, layers.Dense(blocks.HOLE_SIZE**2)(x))


def build_cnn(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return two convolutions and a dense layer, which predict the values themselves: 23,748 parameters."""
    block = keras.Input((blocks.BLOCK_SIZE, blocks.BLOCK_SIZE, 1))
    x = layers.MaxPooling2D()(layers.Conv2D(32, 5, padding="same", activation="relu")(block))
    x = layers.MaxPooling2D()(layers.Conv2D(64, 3, activation="relu")(x))
    x = layers.Dense(64, "relu")(layers.Flatten()(x))
    network = keras.Model(block, layers.Dense(blocks.HOLE_SIZE**2)(x))
    return blocks.build_from_blocks(input_shape, settings, network, sigmoid=False)


def build_mobilenet_v2(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return MobileNetV2 (Sandler et al. 2018): 2,262,532 parameters. Keras's takes images of 32 pixels or more."""
    block = keras.Input((blocks.BLOCK_SIZE, blocks.BLOCK_SIZE, 1))
    x = layers.ReLU(6)(convolve_and_normalize(block, 32, kernel_size=3, stride=2, use_bias=False))
    for expansion, channels, count, first_stride in STAGES:
        for number in range(count):
            x = bottleneck(x, expansion, channels, first_stride if number == 0 else 1)
    x = layers.GlobalAveragePooling2D()(layers.ReLU(6)(convolve_and_normalize(x, 1280, kernel_size=1, use_bias=False)))
    network = keras.Model(block, layers.Dense(blocks.HOLE_SIZE**2)(x))
    return blocks.build_from_blocks(input_shape, settings, network)


def bottleneck(x: Any, expansion: int, channels: int, stride: int) -> Any:
    """Widen, convolve each channel, and narrow again; with a skip connection where shapes are equal."""
    skip = x
    x = layers.ReLU(6)(convolve_and_normalize(x, x.shape[-1] * expansion, kernel_size=1, use_bias=False)) if expansion > 1 else x
    x = BatchNormalization()(convolve_each_channel(x, 3, stride))
    x = convolve_and_normalize(layers.ReLU(6)(x), channels, kernel_size=1, use_bias=False)
    return layers.Add()([skip, x]) if skip.shape == x.shape else x
