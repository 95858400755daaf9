"""The larger perceptron for a 2x2 hole in every 8x8 block: 60 known values to 256, 128, 128, 64 and 4; 73,540 parameters."""

from pixmend.networks import mlp
from pixmend.networks.layers import blocks


def build(shape, settings):
    return blocks.build(shape, settings, mlp.network(settings, hidden=(256, 128, 128, 64)))
