"""The larger perceptron for a 2x2 hole in every 8x8 block: 60 known values to 256, 128, 128, 64 and 4; 73,540 parameters."""

from pixmend.networks import mlp
from pixmend.networks.layers import blocks

DEFAULTS = {"batch_size": 1, "learning_rate": 1e-3, "beta_1": 0.9, "start": "none", "loss": "l2", "loss_region": "hole"}


def build(shape, settings):
    return blocks.build(shape, settings, mlp.network(settings, hidden=(256, 128, 128, 64)))
