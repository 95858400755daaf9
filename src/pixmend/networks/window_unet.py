"""A U-Net on a window around each box; it predicts what a fill misses there.

Colours are measured as in window_mlp. There is no batch normalization: with it, the network learns much more slowly. The output
counts in the middle of the window only, so the decoder computes that part and a margin around it.
"""

from typing import Any

import keras
from keras import layers, ops

from pixmend.config import Settings
from pixmend.networks.layers.normalization import compute_contrast
from pixmend.networks.layers.sizes import count_box_pixels, plan_channels
from pixmend.networks.layers.strided import DownsampleConv, UpsampleConv

MARGIN = 1   # pixels around the box at each level of the decoder, which the next convolution reads
SLOPE = 0.2  # of the encoder's leaky ReLU, below zero


def build_window_unet(input_shape: tuple[int, int, int], settings: Settings) -> keras.Model:
    """Return the network; its output is the residual of the pixels that the box may touch, 0 elsewhere."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    mean, contrast = compute_contrast(image, 1.0 - mask)
    x, skips = layers.Concatenate()([(image - mean) / contrast, mask]), []
    for channels in plan_channels(input_shape, settings):
        x = DownsampleConv(channels, kernel_initializer="he_normal")(x)
        x = ops.maximum(x, SLOPE * x)   # TensorFlow fails to fuse LeakyReLU with the convolution, and says so
        skips.append(x)
    for skip in reversed(skips[:-1]):
        x = UpsampleConv(skip.shape[-1], kernel_initializer="he_normal")(x)
        side = min(x.shape[1], count_box_pixels(skip.shape[1], settings.window, MARGIN))
        x = layers.Concatenate()([layers.ReLU()(crop_middle(x, side)), crop_middle(skip, side)])
    x = UpsampleConv(input_shape[-1], kernel_initializer="zeros", dtype="float32")(x)
    x = crop_middle(x, count_box_pixels(input_shape[0], settings.window)) * contrast
    return keras.Model([image, mask], layers.ZeroPadding2D((input_shape[0] - x.shape[1]) // 2, dtype="float32")(x))


def crop_middle(x: Any, side: int) -> Any:
    """Return the square of this side in the middle of each image."""
    border = (x.shape[1] - side) // 2
    return layers.Cropping2D(border)(x) if border else x
