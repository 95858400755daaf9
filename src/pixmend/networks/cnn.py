"""A small convolutional network for a 2x2 hole in the middle of every 8x8 block: 23,748 parameters."""

import keras
from keras import layers

from pixmend.config import NetworkSettings
from pixmend.networks.layers import blocks


def build_cnn(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the network, applied to every block of an image."""
    return blocks.build_from_blocks(input_shape, settings, build_block_network(), sigmoid=False)


def build_block_network() -> keras.Model:
    """Return the network from a block (8, 8, 1) to the values of its hole."""
    block = keras.Input((blocks.BLOCK_SIZE, blocks.BLOCK_SIZE, 1))
    x = layers.MaxPooling2D()(layers.Conv2D(32, 5, padding="same", activation="relu")(block))
    x = layers.MaxPooling2D()(layers.Conv2D(64, 3, activation="relu")(x))
    x = layers.Dense(64, "relu")(layers.Flatten()(x))
    return keras.Model(block, layers.Dense(blocks.HOLE_SIZE**2)(x))
