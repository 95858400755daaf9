"""A small convolutional network for a 2x2 hole in every 8x8 block, which it sees as black or filled; 23,748 parameters."""

import keras
from keras import layers

from pixmend.networks.layers import blocks


def network(settings):
    block = keras.Input((blocks.SIDE, blocks.SIDE, 1))
    x = layers.MaxPooling2D()(layers.Conv2D(32, 5, padding="same", activation="relu")(block))
    x = layers.MaxPooling2D()(layers.Conv2D(64, 3, activation="relu")(x))
    x = layers.Dense(64, "relu")(layers.Flatten()(x))
    return keras.Model(block, layers.Dense(blocks.HOLE**2, kernel_initializer=blocks.last(settings))(x))


def build(shape, settings):
    return blocks.build(shape, settings, network(settings), squash=False)
