"""What a fill misses in a box, from a window around it: layers that see the whole window at once, and nothing of its place.

Every box lies in the middle of its window (see pictures/windows.py), so a plain network of dense layers learns how borders
go on inside, hundreds of windows a step. Colours are measured from the mean of the known ones, in units of how much these
differ, so that a dark and a bright window teach the same.
"""

import keras
from keras import layers

from pixmend.networks.layers.contrast import light

DROPOUT = 0.1


def build(shape, settings, told=lambda mask: 1.0 - mask):
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    mean, contrast = light(seen, told(mask))
    x = layers.Concatenate()([layers.Flatten()((seen - mean) / contrast), layers.Flatten()(mask), layers.Flatten()(mean)])
    x = layers.Dense(settings.width)(x)
    for level in range(settings.levels):
        x = step(x, settings.width, settings.seed + level)
    side = middle(shape[0], settings.window)
    x = layers.Dense(side * side * shape[-1], kernel_initializer="zeros", dtype="float32")(x)
    residual = layers.Reshape((side, side, shape[-1]))(x) * contrast
    margin = (shape[0] - side) // 2
    return keras.Model([seen, mask], seen + layers.ZeroPadding2D(margin, dtype="float32")(residual))


def middle(size, sides):
    """Cells of a window, across, that its box may touch; as even or odd as the window."""
    cells = min(size, int(-(-size // sides)) if sides else size)
    return cells + (size - cells) % 2


def step(x, width, seed):
    y = layers.LayerNormalization()(x)
    y = layers.Dense(width, activation="silu")(y)
    y = layers.Dropout(DROPOUT, seed=seed)(y)
    return layers.Add()([x, layers.Dense(width, kernel_initializer="zeros")(y)])
