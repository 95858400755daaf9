"""DeePixV1 for pixelated areas: blocks of convolutions at full size, ever wider.

In grey with width 32 the networks are the published ones: (5,5,6,6,7,7,8)(3,5) with 2,415,107 trainable parameters, and the
small (5,5,6,7)(3,5) with 479,427.
"""

import keras
from keras import layers

from pixmend.config import NetworkSettings
from pixmend.networks.layers.normalization import convolve_and_normalize

# Of each block: the size of its kernels, and the channels of its output as a multiple of --width.
BLOCKS = ((3, 1), (3, 2), (3, 2), (3, 4), (3, 4), (5, 8))
SMALL_BLOCKS = ((3, 1), (3, 2), (5, 4))


def build_deepix(input_shape: tuple[int, int, int], settings: NetworkSettings, blocks: tuple = BLOCKS) -> keras.Model:
    """Return the network; its output is an image in 0..1."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    x = layers.ReLU()(convolve_and_normalize(layers.Concatenate()([image, 1.0 - mask]), settings.width, 3))
    for kernel_size, multiple in blocks:
        skip = x
        x = layers.ReLU()(convolve_and_normalize(x, x.shape[-1], kernel_size))
        x = layers.ReLU()(layers.Add()([convolve_and_normalize(x, x.shape[-1], kernel_size), skip]))
        x = layers.ReLU()(convolve_and_normalize(x, settings.width * multiple, kernel_size))
    x = convolve_and_normalize(x, input_shape[-1], 5)
    return keras.Model([image, mask], layers.Activation("sigmoid", dtype="float32")(x))


def build_deepix_small(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    return build_deepix(input_shape, settings, SMALL_BLOCKS)
