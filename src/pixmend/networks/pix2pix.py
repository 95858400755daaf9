"""Pix2Pix (Isola et al. 2017): a U-Net of 4x4 convolutions, trained against a PatchGAN unless `--no-adversarial` is given.

At 256x256 with width 64 and 8 levels it is the published generator: 54,414,979 + 10,880 parameters. On a window, where it
predicts a residual, colours are measured as in window_mlp: from the mean of the known pixels, in units of their deviation.
"""

import keras
from keras import layers

from pixmend.config import Settings
from pixmend.networks.layers.normalization import BatchNormalization, compute_contrast
from pixmend.networks.layers.sizes import plan_channels
from pixmend.networks.layers.strided import DownsampleConv, UpsampleConv

DROPOUT_LEVELS = 3   # the innermost levels of the decoder


def build_pix2pix(input_shape: tuple[int, int, int], settings: Settings) -> keras.Model:
    """Return the generator; its output is in -1..1."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    is_measured = settings.window > 0 and settings.start != "none"   # the residual, in the contrast of what is known in a window
    mean, contrast = compute_contrast(image, 1.0 - mask) if is_measured else (0.5, 0.5)
    x = (image - mean) / contrast
    x = layers.Concatenate()([x, mask]) if settings.mask_channel else x
    channels = plan_channels(input_shape, settings)
    skips = []
    for level, width in enumerate(channels):
        x = DownsampleConv(width, use_bias=False, kernel_initializer=build_initializer())(x)
        x = BatchNormalization()(x) if level > 0 else x
        x = layers.LeakyReLU(0.3)(x)
        skips.append(x)
    for level in reversed(range(len(channels) - 1)):
        x = UpsampleConv(channels[level], use_bias=False, kernel_initializer=build_initializer())(x)
        x = BatchNormalization()(x)
        x = layers.Dropout(0.5, seed=settings.seed + level)(x) if level >= len(channels) - 1 - DROPOUT_LEVELS else x
        x = layers.Concatenate()([layers.ReLU()(x), skips[level]])
    # Where a run begins at a fill, this layer becomes zero in any case. Written here, it draws no random number, so that the
    # discriminator, which draws next, begins with the weights of earlier versions.
    initializer = build_initializer() if settings.start == "none" else "zeros"
    x = layers.Activation("tanh", dtype="float32")(UpsampleConv(input_shape[-1], kernel_initializer=initializer)(x))
    return keras.Model([image, mask], x * contrast if is_measured else x)


def build_initializer() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(0.0, 0.02)
