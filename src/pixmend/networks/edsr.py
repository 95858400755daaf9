"""What a fill misses, by the residual blocks of EDSR (Lim et al. 2017) at half the picture's size: convolutions without any norm.

It sees a square of `--work-size` pixels around what is missing, or the whole picture where that is no larger, so that nothing is
computed far away. Colours are measured from the mean around the hole, in units of how much they differ there, so that a dark
and a bright place teach the same. What is painted is added to the fill.
"""

import keras
from keras import layers, ops

from pixmend.networks.layers.contrast import light
from pixmend.networks.layers.sizes import halvings

AROUND = 17   # pixels across of what counts as around a missing one


def build(shape, settings):
    halvings(shape, settings)
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    around = layers.MaxPooling2D(AROUND, 1, "same", dtype="float32")(mask)
    mean, contrast = light(seen, around)
    x = layers.Concatenate()([(seen - mean) / contrast, mask])
    rows, columns = (lines(mask, axis, settings.work_size) for axis in (1, 2))
    x = ops.einsum("nrh,nhwc,nqw->nrqc", rows, x, columns)
    x = layers.Conv2D(settings.width, 4, 2, "same")(x)
    for _ in range(settings.levels):
        x = block(x, settings.width)
    x = layers.Conv2DTranspose(shape[-1], 4, 2, "same", kernel_initializer="zeros", dtype="float32")(ops.relu(x))
    x = ops.einsum("nrh,nrqc,nqw->nhwc", rows, x, columns)
    return keras.Model([seen, mask], seen + x * contrast * mask)


def lines(mask, axis, most):
    """Which rows, or columns, the square around each picture's hole takes, as ones in a matrix of square x picture."""
    length = mask.shape[axis]
    taken, places = min(most, length) // 2 * 2, ops.arange(length)
    missing = ops.max(mask, (3 - axis, 3)) > 0
    first = ops.min(ops.where(missing, places, length), 1, keepdims=True)
    last = ops.max(ops.where(missing, places, -1), 1, keepdims=True)
    begin = ops.clip((first + last + 1 - taken) // 2, 0, length - taken)
    return ops.one_hot(begin + ops.arange(taken), length)


def block(x, channels):
    y = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    return layers.Add()([x, layers.Conv2D(channels, 3, padding="same", kernel_initializer="zeros")(y)])
