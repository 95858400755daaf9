"""What a fill misses, painted by a U-Net that looks at the whole picture at a coarse size of its own.

The network sees the filled picture and the mask, shrunk to `--work-size`, colours measured from the picture's mean in units of
how much they differ; what it paints there is enlarged and added to the fill inside the mask. The truth shrunk to 64 pixels is
only 0.055 RMSE away from itself, so a coarse size loses little.
"""

import keras
from keras import layers, ops

from pixmend.networks.layers.contrast import light
from pixmend.networks.layers.sizes import even_halvings, shrinking

GROUP = 8          # channels a group of the normalisation
MOST_CHANNELS = 6  # times the width


def block(x, channels):
    """Two convolutions beside a straight way."""
    straight = x if x.shape[-1] == channels else layers.Conv2D(channels, 1)(x)
    x = layers.GroupNormalization(x.shape[-1] // GROUP if x.shape[-1] % GROUP == 0 else 1)(x)
    x = layers.Conv2D(channels, 3, padding="same", activation="silu")(x)
    x = layers.GroupNormalization(channels // GROUP if channels % GROUP == 0 else 1)(x)
    x = layers.Conv2D(channels, 3, padding="same", kernel_initializer="zeros")(x)
    return layers.Activation("silu")(layers.Add()([straight, x]))


def build(shape, settings):
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    shrink = shrinking(shape, settings)
    small, hole = (layers.AveragePooling2D(shrink, dtype="float32")(part) for part in (seen, mask))
    mean, contrast = light(small, 1.0 - hole)
    x = layers.Concatenate()([(small - mean) / contrast, hole])
    levels = min(settings.levels, small.shape[1].bit_length() - 3, even_halvings(small.shape[1:]) + 1)
    painted = unet(x, settings, levels)
    residual = layers.Conv2D(shape[-1], 3, padding="same", kernel_initializer="zeros", dtype="float32")(painted)
    residual = layers.UpSampling2D(shrink, interpolation="bilinear", dtype="float32")(residual * contrast * hole)
    return keras.Model([seen, mask], seen + residual * mask)


def unet(x, settings, levels):
    """Down by halves, a look from everywhere to everywhere at the bottom, and back up beside what was seen on the way."""
    widths = [settings.width * min(2**level, MOST_CHANNELS) for level in range(levels)]
    x, skips = layers.Conv2D(widths[0], 3, padding="same")(x), []
    for channels in widths[:-1]:
        x = block(x, channels)
        skips.append(x)
        x = layers.Conv2D(channels, 3, 2, "same")(x)
    x = block(x, widths[-1])
    x = everywhere(x)
    x = block(x, widths[-1])
    for channels, skip in zip(reversed(widths[:-1]), reversed(skips), strict=True):
        x = layers.UpSampling2D(2)(layers.Conv2D(channels, 1)(x))
        x = block(layers.Add()([x, skip]), channels)
    return x


def everywhere(x):
    """Attention between all places of the coarsest picture, each of which also knows where it is."""
    height, width, channels = x.shape[1:]
    places = layers.Reshape((height * width, channels))(layers.GroupNormalization(1)(x))
    places = Places()(places)
    looked = layers.MultiHeadAttention(max(1, channels // 32), 32)(places, places)
    return layers.Add()([x, layers.Reshape((height, width, channels))(looked)])


class Places(layers.Layer):
    """Adds a learnt vector for each place."""

    def build(self, shape):
        self.places = self.add_weight(shape=shape[1:], initializer="zeros", name="places")

    def call(self, x):
        return x + ops.cast(self.places, x.dtype)
