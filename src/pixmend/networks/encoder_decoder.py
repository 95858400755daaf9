"""The encoder-decoder for free-form masks: down by convolutions and pooling, up again, with nothing joined on the way.

At width 64 and 3 levels, in colour, it is the published network: 744,387 trainable parameters. It is shown the mask as often
as the picture has channels. Inside, pictures are in -1..1; outside, in 0..1. With a start the last layer begins at zero and
is added to the filled picture.
"""

import keras
from keras import layers

from pixmend.networks.layers.batch_norm import BatchNormalization
from pixmend.networks.layers.sizes import halvings

MOST_CHANNELS = 8  # times the width


def step(x, channels):
    x = layers.Conv2D(channels, 3, padding="same")(x)
    return layers.ReLU()(BatchNormalization()(x))


def build(shape, settings):
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    x = layers.Concatenate()([*[mask] * shape[-1], seen * 2.0 - 1.0])
    plan = [settings.width * min(2**level, MOST_CHANNELS) for level in range(halvings(shape, settings))]
    for channels in plan:
        x = layers.MaxPooling2D()(step(x, channels))
    for channels in reversed(plan[:-1]):
        x = step(layers.UpSampling2D()(x), channels)
    last = "zeros" if settings.start != "none" else "glorot_uniform"
    x = layers.Conv2D(shape[-1], 3, padding="same", kernel_initializer=last)(layers.UpSampling2D()(x))
    x = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model([seen, mask], (x + 1.0) / 2.0 if settings.start == "none" else seen + x)
