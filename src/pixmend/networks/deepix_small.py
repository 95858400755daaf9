"""DeePixV1 (5,5,6,7)(3,5), the smaller depixelation network: three blocks, 479,427 trainable parameters at width 32 in grey."""

from pixmend.networks import deepix


def build(shape, settings):
    return deepix.build(shape, settings, doublings=(0, 0, 1, 2))
