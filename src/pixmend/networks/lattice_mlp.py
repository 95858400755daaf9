"""Dense layers on a 12x12 window around the 2x2 hole of every 8x8 block; they predict what a fill misses there.

All windows of a batch are computed at once, and each channel is a sample of its own. Values are measured from the window's mean
in units of its standard deviation, so that dark and bright windows look alike. The network can learn the 8x8 grid of JPEG, which
a fill does not know.
"""

from typing import Any

import keras
from keras import layers, ops

from pixmend.config import NetworkSettings
from pixmend.networks.layers import blocks
from pixmend.networks.layers.sizes import count_blocks

WINDOW = 12   # pixels: side of a window
MIN_CONTRAST = 0.02


def build_lattice_mlp(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the network; its output is the residual in the holes of the blocks, 0 elsewhere."""
    rows, columns = count_blocks(input_shape, blocks.BLOCK_SIZE, settings)
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    x = cut_windows(image, rows, columns)
    mean, contrast = ops.mean(x, -1, keepdims=True), ops.maximum(ops.std(x, -1, keepdims=True), MIN_CONTRAST)
    x = layers.Dense(settings.width)((x - mean) / contrast)
    for _ in range(settings.levels):
        y = layers.Dense(settings.width, activation="silu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(settings.width, kernel_initializer="zeros")(y)])
    x = layers.Dense(blocks.HOLE_SIZE**2, dtype="float32")(layers.LayerNormalization()(x))
    holes = ops.reshape(x * contrast, (-1, rows, columns, input_shape[-1], blocks.HOLE_SIZE, blocks.HOLE_SIZE))
    return keras.Model([image, mask], blocks.join_blocks(blocks.pad_to_blocks(holes), input_shape))


def cut_windows(image: Any, rows: int, columns: int) -> Any:
    """Return the windows as rows of values: (batch * rows * columns * channels) x 144; images are mirrored at their edges."""
    before = WINDOW // 2 - blocks.HOLE_START - blocks.HOLE_SIZE // 2
    after = WINDOW - blocks.BLOCK_SIZE - before
    padded = ops.pad(image, ((0, 0), (before, after), (before, after), (0, 0)), "symmetric")
    windows = ops.image.extract_patches(padded, WINDOW, blocks.BLOCK_SIZE, padding="valid", data_format="channels_last")
    windows = ops.reshape(windows, (-1, rows, columns, WINDOW**2, image.shape[-1]))
    return ops.reshape(ops.transpose(windows, (0, 1, 2, 4, 3)), (-1, WINDOW**2))
