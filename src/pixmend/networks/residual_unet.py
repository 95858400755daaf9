"""A U-Net with attention on the image scaled down to --work-size; it predicts what a fill misses.

Colours are measured from the mean of the known pixels in units of their standard deviation. The residual is enlarged to the size
of the image: the original shrunk to 64 pixels is only 0.055 RMSE away from itself, so little is lost.
"""

from typing import Any

import keras
from keras import layers

from pixmend.config import NetworkSettings
from pixmend.networks.layers.normalization import compute_contrast
from pixmend.networks.layers.positions import PositionEmbedding
from pixmend.networks.layers.sizes import count_exact_halvings, find_shrink_factor

GROUP_CHANNELS = 8   # channels of a group of the normalization
MAX_CHANNELS = 6     # times the width
HEAD_CHANNELS = 32   # channels of an attention head


def build_residual_unet(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the network; its output is the residual."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    shrink = find_shrink_factor(input_shape, settings)
    small, small_mask = (layers.AveragePooling2D(shrink, dtype="float32")(x) for x in (image, mask))
    mean, contrast = compute_contrast(small, 1.0 - small_mask)
    x = apply_unet(layers.Concatenate()([(small - mean) / contrast, small_mask]), settings)
    x = layers.Conv2D(input_shape[-1], 3, padding="same", dtype="float32")(x)
    residual = layers.UpSampling2D(shrink, interpolation="bilinear", dtype="float32")(x * contrast * small_mask)
    return keras.Model([image, mask], residual)


def apply_unet(x: Any, settings: NetworkSettings) -> Any:
    """Encode, attend from everywhere to everywhere on the coarsest level, and decode with skip connections."""
    levels = min(settings.levels, x.shape[1].bit_length() - 3, count_exact_halvings(x.shape[1:]) + 1)
    channels = [settings.width * min(2**level, MAX_CHANNELS) for level in range(levels)]
    x, skips = layers.Conv2D(channels[0], 3, padding="same")(x), []
    for width in channels[:-1]:
        x = residual_block(x, width)
        skips.append(x)
        x = layers.Conv2D(width, 3, 2, "same")(x)
    x = residual_block(attend(residual_block(x, channels[-1])), channels[-1])
    for width, skip in zip(reversed(channels[:-1]), reversed(skips), strict=True):
        x = layers.UpSampling2D(2)(layers.Conv2D(width, 1)(x))
        x = residual_block(layers.Add()([x, skip]), width)
    return x


def residual_block(x: Any, channels: int) -> Any:
    skip = x if x.shape[-1] == channels else layers.Conv2D(channels, 1)(x)
    x = layers.GroupNormalization(count_groups(x.shape[-1]))(x)
    x = layers.Conv2D(channels, 3, padding="same", activation="silu")(x)
    x = layers.GroupNormalization(count_groups(channels))(x)
    x = layers.Conv2D(channels, 3, padding="same", kernel_initializer="zeros")(x)
    return layers.Activation("silu")(layers.Add()([skip, x]))


def count_groups(channels: int) -> int:
    """Return the number of groups of the normalization: one where the channels do not divide into groups."""
    return channels // GROUP_CHANNELS if channels % GROUP_CHANNELS == 0 else 1


def attend(x: Any) -> Any:
    """Apply self-attention between all positions, with learned position embeddings and a skip connection."""
    height, width, channels = x.shape[1:]
    positions = PositionEmbedding()(layers.Reshape((height * width, channels))(layers.GroupNormalization(1)(x)))
    attended = layers.MultiHeadAttention(max(1, channels // HEAD_CHANNELS), HEAD_CHANNELS)(positions, positions)
    return layers.Add()([x, layers.Reshape((height, width, channels))(attended)])
