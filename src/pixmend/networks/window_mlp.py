"""Dense layers on a window around each box; they predict what a fill misses there.

Every box lies in the middle of its window (see data/windows.py), so layers without convolutions learn how the border continues
inside, from hundreds of windows a step. Colours are measured from the mean of the known pixels in units of their standard
deviation, so that dark and bright windows look alike.
"""

import keras
from keras import layers, ops

from pixmend.config import Settings
from pixmend.networks.layers.normalization import compute_contrast
from pixmend.networks.layers.sizes import count_box_pixels

DROPOUT = 0.1


def build_window_mlp(input_shape: tuple[int, int, int], settings: Settings, contrast_of_all: bool = False) -> keras.Model:
    """Return the network; its output is the residual of the pixels that the box may touch, 0 elsewhere."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    size, _, channels = input_shape
    mean, contrast = compute_contrast(image, ops.ones_like(mask) if contrast_of_all else 1.0 - mask)
    x = layers.Concatenate()([layers.Flatten()((image - mean) / contrast), layers.Flatten()(mask), layers.Flatten()(mean)])
    x = layers.Dense(settings.width)(x)
    for level in range(settings.levels):
        y = layers.Dense(settings.width, activation="silu")(layers.LayerNormalization()(x))
        y = layers.Dropout(DROPOUT, seed=settings.seed + level)(y)
        x = layers.Add()([x, layers.Dense(settings.width, kernel_initializer="zeros")(y)])
    side = count_box_pixels(size, settings.window)
    x = layers.Dense(side * side * channels, dtype="float32")(x)
    residual = layers.Reshape((side, side, channels))(x) * contrast
    return keras.Model([image, mask], layers.ZeroPadding2D((size - side) // 2, dtype="float32")(residual))


def build_tile_mlp(input_shape: tuple[int, int, int], settings: Settings) -> keras.Model:
    """Return the same network for one tile; contrast is that of the whole window, since in a large area no pixel is known."""
    return build_window_mlp(input_shape, settings, contrast_of_all=True)
