"""On the device, a compact batch becomes the batch that the host would have made, bit for bit.

See batches.py for both forms; the functions run inside the compiled training step.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from pixmend import competitions, models
from pixmend.config import Settings
from pixmend.training.batches import CompactBatch, bytes_to_floats

# A table, because a compiler may divide by 255 in a way of its own.
FLOATS_OF_BYTES = bytes_to_floats(np.arange(256))


def expand_batch(compact: CompactBatch, settings: Settings) -> tuple[tuple[Any, Any], Any, Any]:
    """Return ((inputs, mask), target, weight) with every image's transform applied."""
    batch = {name: transform_images(array, compact["transforms"]) for name, array in compact.items() if name != "transforms"}
    if "windows" in batch:
        (inputs, mask), target, weight = expand_windows(batch["windows"])
    else:
        if "inputs" not in batch:
            hole_value = competitions.get_damage_competition(settings).hole_value(settings)
            batch["inputs"] = cover_images(batch["target"], batch["counts"], hole_value)
        inputs, target = to_floats(batch["inputs"]), to_floats(batch["target"])
        mask = ops.cast(batch["counts"] > 0, "float32")[..., None]
        weight = batch.get("weight", ops.cast(batch["counts"], "float32"))
    if models.finds_masks(settings.model):
        target = mask
    return (inputs, mask), target, weight if settings.loss_region == "hole" or settings.contrast_weighting else None


def cover_images(images: Any, counts: Any, value: int | None) -> Any:
    """Put one grey level wherever pixels are missing."""
    return ops.where(counts[..., None] > 0, ops.cast(value, images.dtype), images)


def expand_windows(windows: Any) -> tuple[tuple[Any, Any], Any, Any]:
    """Split windows, whose layout window_batches.py describes, into a batch."""
    windows = to_floats(windows)
    channels = windows.shape[-1] // 2 - 1
    inputs, mask, weight, target = ops.split(windows, [channels, channels + 1, channels + 2], axis=-1)
    return (inputs, mask), target, weight[..., 0]


def to_floats(images: Any) -> Any:
    """Convert uint8 to float32 in 0..1; floats are returned unchanged."""
    if keras.backend.standardize_dtype(images.dtype) != "uint8":
        return images
    return ops.take(FLOATS_OF_BYTES, ops.cast(images, "int32"))


def transform_images(images: Any, transforms: Any) -> Any:
    """Apply `data.augmentation.turn` to each square image of a batch, by its own number."""
    transforms = ops.reshape(ops.cast(transforms, "int32"), (-1, *[1] * (len(images.shape) - 1)))
    images = ops.where(transforms >= 4, ops.flip(images, 2), images)
    images = ops.where(transforms % 2 == 1, ops.flip(ops.swapaxes(images, 1, 2), 1), images)
    return ops.where(transforms % 4 >= 2, ops.flip(images, (1, 2)), images)
