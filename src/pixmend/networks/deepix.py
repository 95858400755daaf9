"""DeePixV1 (5,5,6,6,7,7,8)(3,5), the depixelation network: blocks of convolutions at full size, ever wider.

At width 32, in grey, it is the published network: 2,415,107 trainable parameters. It sees the picture and which pixels are
known; known pixels come out as they went in. With a start its sigmoid begins at one half and moves the filled picture.
"""

import keras
import numpy as np
from keras import layers

from pixmend.networks.layers.batch_norm import BatchNormalization

DOUBLINGS = (0, 0, 1, 1, 2, 2, 3)   # of the width: of the first convolution, and of each block's end
KERNELS = (3, 5)                    # of the first block, and of the last


def build(shape, settings, doublings=DOUBLINGS):
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    first, *widths = [settings.width * 2**doubling for doubling in doublings]
    x = layers.ReLU()(convolved(layers.Concatenate()([seen, 1.0 - mask]), KERNELS[0], first))
    for kernel, channels in zip(odd(np.linspace(*KERNELS, len(widths))), widths, strict=True):
        x = block(x, kernel, channels)
    x = layers.Conv2D(shape[-1], KERNELS[1], padding="same")(x)
    begun = "zeros" if settings.start != "none" else "ones"
    x = BatchNormalization(gamma_initializer=begun)(x)
    x = layers.Activation("sigmoid", dtype="float32")(x)
    painted = x if settings.start == "none" else seen + (2.0 * x - 1.0)
    return keras.Model([seen, mask], seen + (painted - seen) * mask)


def odd(sizes):
    return [int(size) - (int(size) + 1) % 2 for size in sizes]


def block(x, kernel, channels):
    """Two convolutions beside a straight way, then one to the next width."""
    straight = x
    x = layers.ReLU()(convolved(x, kernel, x.shape[-1]))
    x = layers.ReLU()(layers.Add()([convolved(x, kernel, x.shape[-1]), straight]))
    return layers.ReLU()(convolved(x, kernel, channels))


def convolved(x, kernel, channels):
    return BatchNormalization()(layers.Conv2D(channels, kernel, padding="same")(x))
