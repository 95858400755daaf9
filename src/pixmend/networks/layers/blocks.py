"""Pictures cut into 8x8 blocks inside the graph, the middle 2x2 of each painted by a small network, and put together again.

Every channel of every block is a sample of its own, so one network serves grey and colour, and a batch of whole pictures is a
batch of thousands of blocks. Missing pixels elsewhere in a block stay as they were shown.
"""

import keras
from keras import ops

from pixmend.networks.layers.sizes import cut_into

SIDE, FIRST, HOLE = 8, 3, 2   # pixels: a block; where its hole begins, down and across; the hole
KNOWN = [place for place in range(SIDE**2) if not all(FIRST <= part < FIRST + HOLE for part in divmod(place, SIDE))]


def build(shape, settings, network, squash=True):
    """A model of whole pictures; the network goes from blocks (8, 8, 1) to four numbers, row by row, squashed into 0..1."""
    rows, columns = cut_into(shape, SIDE, settings)
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    blocks = cut(seen, rows, columns)
    numbers = ops.cast(network(ops.reshape(blocks, (-1, SIDE, SIDE, 1))), "float32")
    numbers = ops.reshape(numbers, (-1, rows, columns, shape[-1], HOLE, HOLE))
    middle = blocks[..., FIRST:FIRST + HOLE, FIRST:FIRST + HOLE]
    if settings.start == "none":
        change = (ops.sigmoid(numbers) if squash else numbers) - middle
    else:
        change = 2.0 * ops.sigmoid(numbers) - 1.0 if squash else numbers
    return keras.Model([seen, mask], seen + put_together(in_the_middle(change), shape) * mask)


def cut(pictures, rows, columns):
    """Blocks as pictures x rows x columns x channels x 8 x 8."""
    parts = ops.reshape(pictures, (-1, rows, SIDE, columns, SIDE, pictures.shape[-1]))
    return ops.transpose(parts, (0, 1, 3, 5, 2, 4))


def in_the_middle(holes):
    """Blocks that are zero around the holes' values."""
    rest = (FIRST, SIDE - FIRST - HOLE)
    return ops.pad(holes, ((0, 0), (0, 0), (0, 0), (0, 0), rest, rest))


def put_together(blocks, shape):
    return ops.reshape(ops.transpose(blocks, (0, 1, 4, 2, 5, 3)), (-1, *shape))


def last(settings):
    """How the last layer begins: at zero where there is a start to be moved."""
    return "glorot_uniform" if settings.start == "none" else "zeros"
