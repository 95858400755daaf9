"""An encoder and a decoder for masks of any shape, without skip connections.

In colour with width 64 and 3 levels it is the published network: 744,387 trainable parameters. It is given the mask as often as
the image has channels.
"""

from typing import Any

import keras
from keras import layers

from pixmend.config import NetworkSettings
from pixmend.networks.layers.batch_norm import BatchNormalization
from pixmend.networks.layers.sizes import plan_channels


def build_encoder_decoder(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the network; its output is in -1..1."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    x = layers.Concatenate()([*[mask] * input_shape[-1], image * 2.0 - 1.0])
    channels = plan_channels(input_shape, settings)
    for width in channels:
        x = layers.MaxPooling2D()(convolve(x, width))
    for width in reversed(channels[:-1]):
        x = convolve(layers.UpSampling2D()(x), width)
    x = layers.Conv2D(input_shape[-1], 3, padding="same")(layers.UpSampling2D()(x))
    return keras.Model([image, mask], layers.Activation("tanh", dtype="float32")(x))


def convolve(x: Any, channels: int) -> Any:
    """Apply a convolution, batch normalization and ReLU."""
    x = layers.Conv2D(channels, 3, padding="same")(x)
    return layers.ReLU()(BatchNormalization()(x))
