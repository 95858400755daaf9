"""A batch as it is stored, in bytes and upright, becomes what a network learns from: on the device, with the host's very bits.

See `stored` and `at` of batches.py and windows.py.
"""

import keras
import numpy as np
from keras import ops

from pixmend import competitions, models
from pixmend.training.batches import bytes_to_floats

UNIT = bytes_to_floats(np.arange(256))   # looked up, since a compiler may divide by 255 in its own way


def expand_batch(stored, settings):
    """((seen, mask), whole, weight), flipped and turned."""
    turned = {name: transform_images(array, stored["variants"]) for name, array in stored.items() if name != "variants"}
    if "windows" not in turned and "seen" not in turned:
        turned["seen"] = covered(turned, competitions.damage_competition(settings).hole_value(settings))
    (seen, mask), whole, weight = (of_windows if "windows" in turned else of_pictures)(**turned)
    learnt = mask if models.finds_masks(settings.model) else whole
    return (seen, mask), learnt, weight if settings.loss_region == "hole" or settings.contrast_weighting else None


def covered(batch, level):
    """Whole pictures with one grey level wherever pixels are missing."""
    return ops.where(batch["counts"][..., None] > 0, ops.cast(level, batch["whole"].dtype), batch["whole"])


def of_pictures(seen, counts, whole, weight=None):
    mask = ops.cast(counts > 0, "float32")[..., None]
    return (grey(seen), mask), grey(whole), ops.cast(counts, "float32") if weight is None else weight


def of_windows(windows):
    windows = grey(windows)
    channels = windows.shape[-1] // 2 - 1
    seen, mask, weight, whole = ops.split(windows, [channels, channels + 1, channels + 2], axis=-1)
    return (seen, mask), whole, weight[..., 0]


def grey(pictures):
    """Bytes as floats in 0..1; what came as floats stays."""
    came_as_bytes = keras.backend.standardize_dtype(pictures.dtype) == "uint8"
    return ops.take(UNIT, ops.cast(pictures, "int32")) if came_as_bytes else pictures


def transform_images(pictures, variants):
    """`turn` of variants.py, of each picture of a batch by its own number; sides are equal."""
    variants = ops.reshape(ops.cast(variants, "int32"), (-1, *[1] * (len(pictures.shape) - 1)))
    pictures = ops.where(variants >= 4, ops.flip(pictures, 2), pictures)
    pictures = ops.where(variants % 2 == 1, ops.flip(ops.swapaxes(pictures, 1, 2), 1), pictures)
    return ops.where(variants % 4 >= 2, ops.flip(pictures, (1, 2)), pictures)
