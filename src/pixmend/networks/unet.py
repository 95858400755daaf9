"""Two published networks for masks of any shape: a U-Net, and an encoder and decoder without skip connections.

In colour with width 64 and 3 levels they have 2,662,659 and 744,387 trainable parameters. They are given the mask as often as the
image has channels.
"""

from typing import Any

import keras
from keras import layers

from pixmend.config import NetworkSettings
from pixmend.networks.layers.normalization import convolve_and_normalize
from pixmend.networks.layers.sizes import plan_channels


def build_unet(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return pairs of 3x3 convolutions without batch normalization, with skip connections; the output is in -1..1."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    x = layers.Concatenate()([*[mask] * input_shape[-1], image * 2.0 - 1.0])
    channels = plan_channels(input_shape, settings)
    skips = []
    for level, width in enumerate(channels):
        x = x if level == 0 else layers.ReLU()(x)
        x = convolve_twice(x, width)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(channels[-1], 3, padding="same")(layers.ReLU()(x))
    for width in reversed(channels[:-1]):
        x = convolve_twice(upsample(x, skips.pop()), width)
    x = layers.Conv2D(input_shape[-1], 3, padding="same")(upsample(x, skips.pop()))
    return keras.Model([image, mask], layers.Activation("tanh", dtype="float32")(x))


def convolve_twice(x: Any, channels: int) -> Any:
    """Apply two convolutions with a ReLU between them."""
    x = layers.Conv2D(channels, 3, padding="same")(x)
    return layers.Conv2D(channels, 3, padding="same")(layers.ReLU()(x))


def upsample(x: Any, skip: Any) -> Any:
    """Double the sides, append the encoder's output of that size, and apply ReLU."""
    return layers.ReLU()(layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), skip]))


def build_encoder_decoder(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return an encoder and a decoder with batch normalization; the output is in -1..1."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    x = layers.Concatenate()([*[mask] * input_shape[-1], image * 2.0 - 1.0])
    channels = plan_channels(input_shape, settings)
    for width in channels:
        x = layers.MaxPooling2D()(layers.ReLU()(convolve_and_normalize(x, width, 3)))
    for width in reversed(channels[:-1]):
        x = layers.ReLU()(convolve_and_normalize(layers.UpSampling2D()(x), width, 3))
    x = layers.Conv2D(input_shape[-1], 3, padding="same")(layers.UpSampling2D()(x))
    return keras.Model([image, mask], layers.Activation("tanh", dtype="float32")(x))
