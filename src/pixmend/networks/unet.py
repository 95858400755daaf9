"""The U-Net for free-form masks: pairs of 3x3 convolutions down and up again beside what was seen on the way, no batch norm.

At width 64 and 3 levels, in colour, it is the published network: 2,662,659 parameters. It is shown the mask as often as the
picture has channels. Inside, pictures are in -1..1; outside, in 0..1. With a start the last layer begins at zero and is
added to the filled picture.
"""

import keras
from keras import layers

from pixmend.networks.layers.sizes import halvings

MOST_CHANNELS = 8  # times the width


def pair(x, channels, first=False):
    """Two convolutions, each after a ReLU; the picture itself passes none."""
    x = layers.Conv2D(channels, 3, padding="same")(x if first else layers.ReLU()(x))
    return layers.Conv2D(channels, 3, padding="same")(layers.ReLU()(x))


def build(shape, settings):
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    x = layers.Concatenate()([*[mask] * shape[-1], seen * 2.0 - 1.0])
    plan = [settings.width * min(2**level, MOST_CHANNELS) for level in range(halvings(shape, settings))]
    skips = []
    for level, channels in enumerate(plan):
        x = pair(x, channels, first=level == 0)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(plan[-1], 3, padding="same")(layers.ReLU()(x))
    for channels, skip in zip(reversed(plan[:-1]), reversed(skips[1:]), strict=True):
        x = pair(joined(x, skip), channels)
    x = layers.ReLU()(joined(x, skips[0]))
    last = "zeros" if settings.start != "none" else "glorot_uniform"
    x = layers.Conv2D(shape[-1], 3, padding="same", kernel_initializer=last)(x)
    x = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model([seen, mask], (x + 1.0) / 2.0 if settings.start == "none" else seen + x)


def joined(x, skip):
    return layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), skip])
