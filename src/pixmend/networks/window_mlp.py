"""Dense layers on a window around each box; they predict what a fill misses there.

Every box lies in the middle of its window (see data/windows.py), so layers without convolutions learn how the border continues
inside, from hundreds of windows a step. Colours are measured from the mean of the known pixels in units of their standard
deviation, so that dark and bright windows look alike.
"""

from typing import Any

import keras
from keras import layers, ops

from pixmend.config import Settings
from pixmend.networks.layers.contrast import compute_contrast

DROPOUT = 0.1


def build_window_mlp(input_shape: tuple[int, int, int], settings: Settings) -> keras.Model:
    """Return the network; its output is the residual of the pixels that the box may touch, 0 elsewhere."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    return build_from_inputs(image, mask, 1.0 - mask, settings)


def build_tile_mlp(input_shape: tuple[int, int, int], settings: Settings) -> keras.Model:
    """Return the same network for one tile of a pixelated area, where the seams of all neighbours lie at the same places.

    Contrast is measured over the whole window, since in a large area none of its pixels is known.
    """
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    return build_from_inputs(image, mask, ops.ones_like(mask), settings)


def build_from_inputs(image: Any, mask: Any, known: Any, settings: Settings) -> keras.Model:
    """Return the network of two inputs; contrast is measured over `known`."""
    size, channels = image.shape[1], image.shape[-1]
    mean, contrast = compute_contrast(image, known)
    x = layers.Concatenate()([layers.Flatten()((image - mean) / contrast), layers.Flatten()(mask), layers.Flatten()(mean)])
    x = layers.Dense(settings.width)(x)
    for level in range(settings.levels):
        x = residual_block(x, settings.width, settings.seed + level)
    side = find_box_side(size, settings.window)
    x = layers.Dense(side * side * channels, dtype="float32")(x)
    residual = layers.Reshape((side, side, channels))(x) * contrast
    return keras.Model([image, mask], layers.ZeroPadding2D((size - side) // 2, dtype="float32")(residual))


def find_box_side(size: int, window: float) -> int:
    """Return how many pixels of a window, across, its box may touch; even if the window's side is even, else odd."""
    side = min(size, int(-(-size // window)) if window else size)
    return side + (size - side) % 2


def residual_block(x: Any, width: int, seed: int) -> Any:
    """Apply two dense layers with dropout and a skip connection."""
    y = layers.LayerNormalization()(x)
    y = layers.Dense(width, activation="silu")(y)
    y = layers.Dropout(DROPOUT, seed=seed)(y)
    return layers.Add()([x, layers.Dense(width, kernel_initializer="zeros")(y)])
