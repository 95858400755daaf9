"""What a fill misses in a 2x2 hole in the middle of every 8x8 block, from a window around it: all windows in one call.

Every hole lies in the middle of its window, so a plain network of dense layers learns how the known pixels go on inside, a
thousand windows a picture. Values are measured from the window's mean, in units of how much they differ, so that a dark and
a bright window teach the same. It knows the lattice that JPEG also works on, as a fill does not. Each channel is a sample.
"""

import keras
from keras import layers, ops

from pixmend.networks.layers import blocks
from pixmend.networks.layers.sizes import cut_into

WINDOW = 12   # pixels a side
FLAT = 0.02   # values that differ by less than this teach nothing about contrast


def build(shape, settings):
    rows, columns = cut_into(shape, blocks.SIDE, settings)
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    x = windows(seen, rows, columns)
    mean, contrast = ops.mean(x, -1, keepdims=True), ops.maximum(ops.std(x, -1, keepdims=True), FLAT)
    x = layers.Dense(settings.width)((x - mean) / contrast)
    for _ in range(settings.levels):
        x = step(x, settings.width)
    x = layers.Dense(blocks.HOLE**2, kernel_initializer="zeros", dtype="float32")(layers.LayerNormalization()(x))
    change = ops.reshape(x * contrast, (-1, rows, columns, shape[-1], blocks.HOLE, blocks.HOLE))
    return keras.Model([seen, mask], seen + blocks.put_together(blocks.in_the_middle(change), shape) * mask)


def windows(seen, rows, columns):
    """One row of values for each hole, pictures x rows x columns x channels x values; beyond its edge a picture is mirrored."""
    before = WINDOW // 2 - blocks.FIRST - blocks.HOLE // 2
    after = WINDOW - blocks.SIDE - before
    around = ops.pad(seen, ((0, 0), (before, after), (before, after), (0, 0)), "symmetric")
    cut = ops.image.extract_patches(around, WINDOW, blocks.SIDE, padding="valid", data_format="channels_last")
    cut = ops.reshape(cut, (-1, rows, columns, WINDOW**2, seen.shape[-1]))
    return ops.reshape(ops.transpose(cut, (0, 1, 2, 4, 3)), (-1, WINDOW**2))


def step(x, width):
    y = layers.Dense(width, activation="silu")(layers.LayerNormalization()(x))
    return layers.Add()([x, layers.Dense(width, kernel_initializer="zeros")(y)])
