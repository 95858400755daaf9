"""Images as 8x8 blocks inside the graph: a small network predicts the middle 2x2 pixels of each.

Every channel of every block is a sample of its own, so one network serves grey and colour images, and a batch of images is a
batch of thousands of blocks.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from pixmend.config import NetworkSettings
from pixmend.networks.layers.sizes import count_blocks

BLOCK_SIZE, HOLE_START, HOLE_SIZE = 8, 3, 2   # pixels: side of a block; where its hole begins, down and across; side of the hole


def build_from_blocks(input_shape: tuple[int, int, int], settings: NetworkSettings, network: keras.Model,
                      sigmoid: bool = True) -> keras.Model:
    """Apply a network of blocks to whole images.

    The network maps blocks (8, 8, 1) to the four values of the hole, row by row; `sigmoid` brings them into 0..1. Outside the
    holes of the blocks the output is 0.
    """
    rows, columns = count_blocks(input_shape, BLOCK_SIZE, settings)
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    blocks = ops.reshape(split_blocks(image, rows, columns), (-1, BLOCK_SIZE, BLOCK_SIZE, 1))
    values = ops.cast(network(blocks), "float32")
    values = ops.sigmoid(values) if sigmoid else values
    values = ops.reshape(values, (-1, rows, columns, input_shape[-1], HOLE_SIZE, HOLE_SIZE))
    return keras.Model([image, mask], join_blocks(pad_to_blocks(values), input_shape))


def split_blocks(images: Any, rows: int, columns: int) -> Any:
    """Return the blocks of images: batch x rows x columns x channels x 8 x 8."""
    parts = ops.reshape(images, (-1, rows, BLOCK_SIZE, columns, BLOCK_SIZE, images.shape[-1]))
    return ops.transpose(parts, (0, 1, 3, 5, 2, 4))


def pad_to_blocks(holes: Any) -> Any:
    """Return blocks that are zero around the values of their holes."""
    padding = (HOLE_START, BLOCK_SIZE - HOLE_START - HOLE_SIZE)
    return ops.pad(holes, ((0, 0), (0, 0), (0, 0), (0, 0), padding, padding))


def join_blocks(blocks: Any, shape: tuple[int, int, int]) -> Any:
    """Return the images of blocks: the inverse of split_blocks."""
    return ops.reshape(ops.transpose(blocks, (0, 1, 4, 2, 5, 3)), (-1, *shape))


def build_hole_mask(height: int, width: int) -> np.ndarray:
    """Return 1 in the holes of all blocks of an image, 0 elsewhere: float32, height x width x 1."""
    block = np.pad(np.ones((HOLE_SIZE, HOLE_SIZE), np.float32), (HOLE_START, BLOCK_SIZE - HOLE_START - HOLE_SIZE))
    return np.tile(block, (height // BLOCK_SIZE, width // BLOCK_SIZE))[..., None]
