"""Pix2Pix's painter: a U-Net of 4x4 convolutions (Isola et al. 2017), judged by a PatchGAN unless `--no-adversarial`.

At 256x256, width 64 and 8 levels it is the published network: 54,414,979 + 10,880 parameters. Inside, pictures are in -1..1;
outside, in 0..1. With a start the last layer begins at zero and is added to the filled picture, so that training begins at
the fill and not far under it.
"""

import keras
from keras import layers

from pixmend.networks.layers.batch_norm import BatchNormalization
from pixmend.networks.layers.sizes import halvings
from pixmend.networks.layers.strided import Doubling, Halving

MOST_CHANNELS = 8   # times the width
DROPOUT_STEPS = 3   # the innermost steps up, at the published depth


def normal():
    return keras.initializers.RandomNormal(0.0, 0.02)


def down(x, channels, norm=True):
    x = Halving(channels, use_bias=False, kernel_initializer=normal())(x)
    x = BatchNormalization()(x) if norm else x
    return layers.LeakyReLU(0.3)(x)


def up(x, channels, dropout, seed):
    x = Doubling(channels, use_bias=False, kernel_initializer=normal())(x)
    x = BatchNormalization()(x)
    x = layers.Dropout(0.5, seed=seed)(x) if dropout else x
    return layers.ReLU()(x)


def channel_plan(shape, settings):
    """Channels of each step down: 64, 128, 256, 512, 512, ...; as many steps as the picture can be halved."""
    return [settings.width * min(2**level, MOST_CHANNELS) for level in range(halvings(shape, settings))]


def build(shape, settings):
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    x = seen * 2.0 - 1.0
    x = layers.Concatenate()([x, mask]) if settings.mask_channel else x
    plan = channel_plan(shape, settings)
    skips = []
    for level, channels in enumerate(plan):
        x = down(x, channels, norm=level > 0)
        skips.append(x)
    for level, skip in zip(reversed(range(len(plan) - 1)), reversed(skips[:-1]), strict=True):
        x = up(x, plan[level], dropout=level >= len(plan) - 1 - DROPOUT_STEPS, seed=settings.seed + level)
        x = layers.Concatenate()([x, skip])
    last = "zeros" if settings.start != "none" else normal()
    x = Doubling(shape[-1], kernel_initializer=last)(x)
    x = layers.Activation("tanh", dtype="float32")(x)
    picture = (x + 1.0) / 2.0 if settings.start == "none" else seen + x
    return keras.Model([seen, mask], picture)
