"""Pix2Pix (Isola et al. 2017): a U-Net of 4x4 convolutions, trained against a PatchGAN unless `--no-adversarial` is given.

At 256x256 with width 64 and 8 levels it is the published generator: 54,414,979 + 10,880 parameters.
"""

from typing import Any

import keras
from keras import layers

from pixmend.config import Settings
from pixmend.networks.layers.batch_norm import BatchNormalization
from pixmend.networks.layers.sizes import plan_channels
from pixmend.networks.layers.strided import DownsampleConv, UpsampleConv

DROPOUT_LEVELS = 3   # the innermost levels of the decoder


def build_pix2pix(input_shape: tuple[int, int, int], settings: Settings) -> keras.Model:
    """Return the generator; its output is in -1..1."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    x = image * 2.0 - 1.0
    x = layers.Concatenate()([x, mask]) if settings.mask_channel else x
    channels = plan_channels(input_shape, settings)
    skips = []
    for level in range(len(channels)):
        x = downsample(x, channels[level], batch_norm=level > 0)
        skips.append(x)
    for level in reversed(range(len(channels) - 1)):
        x = upsample(x, channels[level], dropout=level >= len(channels) - 1 - DROPOUT_LEVELS, seed=settings.seed + level)
        x = layers.Concatenate()([x, skips[level]])
    # Where a run begins at a fill, this layer becomes zero in any case. Written here, it draws no random number, so that the
    # discriminator, which draws next, begins with the weights of earlier versions.
    initializer = build_initializer() if settings.start == "none" else "zeros"
    x = UpsampleConv(input_shape[-1], kernel_initializer=initializer)(x)
    return keras.Model([image, mask], layers.Activation("tanh", dtype="float32")(x))


def downsample(x: Any, channels: int, batch_norm: bool) -> Any:
    """Apply a level of the encoder, which halves the sides."""
    x = DownsampleConv(channels, use_bias=False, kernel_initializer=build_initializer())(x)
    x = BatchNormalization()(x) if batch_norm else x
    return layers.LeakyReLU(0.3)(x)


def upsample(x: Any, channels: int, dropout: bool, seed: int) -> Any:
    """Apply a level of the decoder, which doubles the sides."""
    x = UpsampleConv(channels, use_bias=False, kernel_initializer=build_initializer())(x)
    x = BatchNormalization()(x)
    x = layers.Dropout(0.5, seed=seed)(x) if dropout else x
    return layers.ReLU()(x)


def build_initializer() -> keras.initializers.Initializer:
    """Return an initializer with the published distribution."""
    return keras.initializers.RandomNormal(0.0, 0.02)
