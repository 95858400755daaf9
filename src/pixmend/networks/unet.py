"""A U-Net for masks of any shape: pairs of 3x3 convolutions without batch normalization.

In colour with width 64 and 3 levels it is the published network: 2,662,659 parameters. It is given the mask as often as the
image has channels.
"""

from typing import Any

import keras
from keras import layers

from pixmend.config import NetworkSettings
from pixmend.networks.layers.sizes import plan_channels


def build_unet(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the network; its output is in -1..1."""
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
    for level in reversed(range(len(channels) - 1)):
        x = layers.ReLU()(upsample(x, skips[level + 1]))
        x = convolve_twice(x, channels[level])
    x = layers.ReLU()(upsample(x, skips[0]))
    x = layers.Conv2D(input_shape[-1], 3, padding="same")(x)
    return keras.Model([image, mask], layers.Activation("tanh", dtype="float32")(x))


def convolve_twice(x: Any, channels: int) -> Any:
    """Apply two convolutions with a ReLU between them."""
    x = layers.Conv2D(channels, 3, padding="same")(x)
    return layers.Conv2D(channels, 3, padding="same")(layers.ReLU()(x))


def upsample(x: Any, skip: Any) -> Any:
    """Double the sides and append the encoder's output of that size."""
    return layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), skip])
