"""Pictures painted at full size: the smooth fill, and what a canvas network expects in each cell more or less than that.

Pictures are (count, 256, 256, 3) float32 in 0..1. Every pixel of a box takes its own canvas's correction; where the other
box's canvas sees it too, a share of that one. A canvas is seen twice, also as a mirror shows it.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator import canvas
from benchmarks.accelerator.training import boxes, painted

SHARES = (0.0, 0.25, 0.5)   # of the other canvas, tried on the holdout


def corrections(model, weights, rest, part, mirror=True, at_once=100):
    """What each canvas adds to the smooth fill, at full size, and where it sees: two pairs of (count, 256, 256, ...)."""
    added = jax.jit(partial(added_by_one, model, mirror))
    found = []
    for own, other in ((0, 1), (1, 0)):
        made = [added(weights, rest, *arrays(part, own, other, at, at_once)) for at in range(0, len(part.damaged), at_once)]
        found.append([np.concatenate(parts) for parts in zip(*map(jax.device_get, made), strict=True)])
    return found


def arrays(part, own, other, at, at_once):
    pictures = (jnp.float32(pictures[at:at + at_once]) / 255 for pictures in (part.damaged, part.smooth))
    both = (jnp.concatenate([boxes(part, which, start) for start in range(at, min(at + at_once, len(part.damaged)), 64)])[:at_once]
            for which in (own, other))
    return [*pictures, *both]


def added_by_one(model, mirror, weights, rest, damaged, smooth, box, other):
    size = damaged.shape[1]
    known = canvas.known_pixels(box, size) * canvas.known_pixels(other, size)
    shown = canvas.look(damaged, smooth, known, box, other)   # the truth of this canvas is the smooth fill
    result = painted(model, weights, rest, shown)[0]
    if mirror:
        seen = canvas.mirrored(shown)
        result = (result + painted(model, weights, rest, seen)[0][:, :, ::-1]) / 2
    cells = (result - shown.truth) * (shown.weight > 0)
    down, across = (canvas.enlarging(box[:, axis], box[:, 2 + axis], size) for axis in (0, 1))
    sees = (down.sum(2)[:, :, None] * across.sum(2)[:, None] > 0.999)[..., None]
    return jnp.einsum("npi,nijc,nqj->npqc", down, cells, across) * sees, sees


def paint(part, found, share):
    """The mended pictures; where the boxes overlap both canvases count the same."""
    filled = np.float32(part.smooth) / 255
    total, weight = np.zeros_like(filled), np.zeros((*filled.shape[:3], 1), np.float32)
    for which, (added, sees) in enumerate(found):
        own = own_pixels(part, which)
        factor = np.where(own, 1.0, share * sees).astype(np.float32)
        total, weight = total + factor * added, weight + factor
    mended = np.clip(filled + total / np.maximum(weight, 1e-6), 0, 1)
    return np.where(part.counts()[..., None] > 0, mended, np.float32(part.damaged) / 255)


def own_pixels(part, which):
    own = np.zeros((*part.damaged.shape[:3], 1), bool)
    for one, (row, column) in zip(own, part.corners[:, which], strict=True):
        one[row:row + part.side, column:column + part.side] = True
    return own
