"""DeePixV1 (5,5,6,7)(3,5), the smaller depixelation network: three blocks, 479,427 trainable parameters at width 32 in grey."""

from pixmend.networks import deepix

DEFAULTS = {"batch_size": 64, "learning_rate": 1e-3, "beta_1": 0.9, "width": 32, "start": "none", "loss": "l2"}


def build(shape, settings):
    return deepix.build(shape, settings, doublings=(0, 0, 1, 2))
