"""Predicted images at full size: the smooth fill, corrected by what a canvas network predicts in each cell.

Images are (count, 256, 256, 3) float32 in 0..1. Every pixel of a box takes the correction of its own canvas, and where the
canvas of the other box contains the pixel, a share of that one. Each canvas is predicted twice: as it is, and mirrored.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from benchmarks.accelerator import canvas
from benchmarks.accelerator.stand_in import Split
from benchmarks.accelerator.training import Arrays, get_boxes, predict

OTHER_CANVAS_SHARES = (0.0, 0.25, 0.5)   # of the other canvas's correction; the best one is chosen on the holdout
CHUNK = 100   # images that are predicted at a time


class Correction(NamedTuple):
    """What the canvases of one box add to the smooth fill, and which pixels these canvases contain."""

    added: Any       # (count, 256, 256, 3)
    contained: Any   # (count, 256, 256, 1) bool


def predict_corrections(model: keras.Model, weights: Arrays, other: Arrays, split: Split) -> list[Correction]:
    """Return the corrections of the first and of the second boxes."""
    correct = jax.jit(partial(predict_correction, model))
    corrections = []
    for own_box, other_box in ((0, 1), (1, 0)):
        chunks = []
        for start in range(0, len(split.damaged), CHUNK):
            images = slice(start, start + CHUNK)
            damaged, smooth = (jnp.float32(array[images]) / 255 for array in (split.damaged, split.smooth))
            boxes = get_boxes(split, own_box, images), get_boxes(split, other_box, images)
            chunks.append(jax.device_get(correct(weights, other, damaged, smooth, *boxes)))
        corrections.append(Correction(*(np.concatenate(parts) for parts in zip(*chunks, strict=True))))
    return corrections


def predict_correction(model: keras.Model, weights: Arrays, other: Arrays, damaged: jax.Array, smooth: jax.Array,
                       box: jax.Array, other_box: jax.Array) -> Correction:
    """Predict the canvases of one box of each image."""
    size = damaged.shape[1]
    known = canvas.make_known_map(box, size) * canvas.make_known_map(other_box, size)
    inputs = canvas.make_canvas(damaged, smooth, known, box, other_box)   # its target is the smooth fill
    predicted, _ = predict(model, weights, other, inputs)
    mirrored, _ = predict(model, weights, other, canvas.mirror_canvas(inputs))
    cells = ((predicted + mirrored[:, :, ::-1]) / 2 - inputs.target) * (inputs.weight > 0)
    rows, columns = (canvas.make_enlarging_matrix(box[:, axis], box[:, 2 + axis], size) for axis in (0, 1))
    contained = (rows.sum(2)[:, :, None] * columns.sum(2)[:, None] > 0.999)[..., None]
    return Correction(jnp.einsum("npi,nijc,nqj->npqc", rows, cells, columns) * contained, contained)


def apply_corrections(split: Split, corrections: list[Correction], share: float) -> np.ndarray:
    """Return the predicted images; where the boxes overlap, both canvases have equal weight."""
    filled = split.smooth.astype(np.float32) / 255
    total, weight = np.zeros_like(filled), np.zeros((*filled.shape[:3], 1), np.float32)
    for number, correction in enumerate(corrections):
        factor = np.where(mark_boxes(split, number), 1.0, share * correction.contained).astype(np.float32)
        total, weight = total + factor * correction.added, weight + factor
    predicted = np.clip(filled + total / np.maximum(weight, 1e-6), 0, 1)
    return np.where(split.compute_counts()[..., None] > 0, predicted, split.damaged.astype(np.float32) / 255)


def mark_boxes(split: Split, number: int) -> np.ndarray:
    """Return True in the first (0) or second (1) box of each image: (count, size, size, 1)."""
    marked = np.zeros((*split.damaged.shape[:3], 1), bool)
    for image, (row, column) in zip(marked, split.corners[:, number], strict=True):
        image[row:row + split.side, column:column + split.side] = True
    return marked
