"""A perceptron for a 2x2 hole in the middle of every 8x8 block: 60 known values to 120, 60 and 4; 14,824 parameters."""

import keras
from keras import layers, ops

from pixmend.networks.layers import blocks


def network(settings, hidden=(120, 60)):
    """From a block to four numbers, of which a sigmoid makes grey values."""
    block = keras.Input((blocks.SIDE, blocks.SIDE, 1))
    x = ops.take(layers.Flatten()(block), blocks.KNOWN, axis=1)
    for units in hidden:
        x = layers.Dense(units, "relu")(x)
    return keras.Model(block, layers.Dense(blocks.HOLE**2, kernel_initializer=blocks.last(settings))(x))


def build(shape, settings):
    return blocks.build(shape, settings, network(settings))
