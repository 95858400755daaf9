"""Perceptrons for a 2x2 hole in the middle of every 8x8 block: 60 known values to 4 missing ones.

The small one (120 and 60 hidden units) has 14,824 parameters, the large one (256, 128, 128 and 64) 73,540.
"""

import keras
from keras import layers, ops

from pixmend.config import NetworkSettings
from pixmend.networks.layers import blocks


def build_mlp(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the small perceptron, applied to every block of an image."""
    return blocks.build_from_blocks(input_shape, settings, build_block_network())


def build_mlp_large(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the large perceptron, applied to every block of an image."""
    return blocks.build_from_blocks(input_shape, settings, build_block_network((256, 128, 128, 64)))


def build_block_network(hidden_units: tuple[int, ...] = (120, 60)) -> keras.Model:
    """Return the network from a block (8, 8, 1) to the logits of its hole."""
    block = keras.Input((blocks.BLOCK_SIZE, blocks.BLOCK_SIZE, 1))
    x = ops.take(layers.Flatten()(block), blocks.list_known_pixels(), axis=1)
    for units in hidden_units:
        x = layers.Dense(units, "relu")(x)
    return keras.Model(block, layers.Dense(blocks.HOLE_SIZE**2)(x))
