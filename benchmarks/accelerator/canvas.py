"""Canvases made on the device: a photo, two random boxes, what JPEG does beside them, cells around one box, and a fill.

Shapes: photos (count, 256, 256, 3) uint8; pictures the same, float32 in 0..1; corners (count, 2) float32 in pixels, first
the row; boxes (count, 4): row, column, height, width; cells (count, CELLS, CELLS, 3) float32. A canvas is `SIDES` box sides
wide with the box in its middle; planes beside the colours are (missing share, outside share, row and column in -1..1).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

SIDES, CELLS, EXTRA = 3, 120, 3
SMALLEST, LARGEST, ASPECT = 55, 100, 0.08   # pixels across a training box, and how far its sides may differ
GAMMA = 0.2
OTHER = 0.5   # how much an error in the other box counts in training
SWEEPS = ((8, 24), (4, 8), (2, 8), (1, 8))   # cells joined, sweeps of relaxation
KNOWN = 0.3   # share of a cell that must be known for its colour to be taken as it is
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)


class Canvas(NamedTuple):
    """What a network is shown, what is true, and how much an error in each cell counts."""

    seen: jax.Array     # (count, CELLS, CELLS, 3)
    planes: jax.Array   # (count, CELLS, CELLS, 1 + EXTRA)
    truth: jax.Array    # (count, CELLS, CELLS, 3)
    weight: jax.Array   # (count, CELLS, CELLS, 1)


def draw(photos, key, count):
    """A training batch: photos, flips, gamma and boxes drawn at random."""
    keys = jax.random.split(key, 6)
    picture = photos[jax.random.randint(keys[0], (count,), 0, len(photos))].astype(jnp.float32) / 255
    picture = jnp.where(jax.random.bernoulli(keys[1], 0.5, (count, 1, 1, 1)), picture[:, :, ::-1], picture)
    picture = jnp.maximum(picture, 1e-4) ** jnp.exp(bends(keys[2], count))
    box, other = draw_boxes(keys[3:], count, photos.shape[1])
    known = known_pixels(box, photos.shape[1]) * known_pixels(other, photos.shape[1])
    return look(bleed(picture, known), picture, known, box, other)


def bends(key, count):
    """Logarithms of gamma: one for the picture, a smaller one for each colour."""
    both, each = jax.random.split(key)
    return (jax.random.uniform(both, (count, 1, 1, 1), minval=-GAMMA, maxval=GAMMA)
            + jax.random.uniform(each, (count, 1, 1, 3), minval=-GAMMA / 3, maxval=GAMMA / 3))


def draw_boxes(keys, count, size):
    """Two boxes of one size for each picture, each uniform over the places where it fits."""
    scale = size / 256
    side = jnp.exp(jax.random.uniform(keys[0], (count, 1), minval=np.log(SMALLEST * scale), maxval=np.log(LARGEST * scale)))
    ratio = jnp.exp(jax.random.uniform(keys[1], (count, 1), minval=-ASPECT, maxval=ASPECT))
    sides = jnp.round(jnp.concatenate([side * ratio, side / ratio], 1))
    corners = jnp.floor(jax.random.uniform(keys[2], (2, count, 2)) * (size - sides + 1))
    return [jnp.concatenate([corner, sides], 1) for corner in corners]


def known_pixels(box, size):
    """1 outside the box, 0 in it: (count, size, size)."""
    rows, columns = inside(box[:, 0], box[:, 2], size), inside(box[:, 1], box[:, 3], size)
    return 1 - rows[:, :, None] * columns[:, None]


def inside(first, length, size):
    place = jnp.arange(size)
    return ((place >= first[:, None]) & (place < (first + length)[:, None])).astype(jnp.float32)


def bleed(picture, known):
    """The damaged picture after JPEG: colour is kept at half size, so a black box greys the pixels beside it."""
    spread = jnp.asarray(half_and_back(picture.shape[1]))
    parts = picture * known[..., None] @ TO_YCC.T
    colour = jnp.einsum("ip,npqc,jq->nijc", spread, parts[..., 1:], spread)
    return jnp.concatenate([parts[..., :1], colour], -1) @ np.linalg.inv(TO_YCC).T.astype(np.float32) * known[..., None]


def half_and_back(size):
    """Means of two pixels, then libjpeg's triangle: (size, size)."""
    half = np.kron(np.eye(size // 2), [[0.5, 0.5]])
    near = np.kron(half, [[1], [1]])
    far = np.stack([np.vstack([half[:1], half[:-1]]), np.vstack([half[1:], half[-1:]])], 1).reshape(size, size)
    return (0.75 * near + 0.25 * far).astype(np.float32)


def look(damaged, whole, known, box, other):
    """The canvas around a box of a damaged picture; the other box is missing, too."""
    size = damaged.shape[1]
    down, across = shrinking(box[:, 0], box[:, 2], size), shrinking(box[:, 1], box[:, 3], size)
    within = down.sum(2)[:, :, None] * across.sum(2)[:, None]
    share = to_cells(known[..., None], down, across)
    seen = filled(to_cells(damaged * known[..., None], down, across) / jnp.maximum(share, 1e-3), share)
    truth = to_cells(whole, down, across) / jnp.maximum(within, 1e-3)[..., None]
    own, others = (1 - known_pixels(one, size)[..., None] for one in (box, other))
    weight = to_cells(own + OTHER * others * (1 - own), down, across)
    return Canvas(seen, planes(share, within, box, size), truth, weight)


def planes(share, within, box, size):
    middle = box[:, :2] + box[:, 2:] / 2
    steps = (jnp.arange(CELLS) + 0.5) / CELLS - 0.5
    place = (middle[:, :, None] + SIDES * box[:, 2:, None] * steps) / size * 2 - 1
    rows = jnp.broadcast_to(place[:, 0, :, None], within.shape)
    columns = jnp.broadcast_to(place[:, 1, None], within.shape)
    return jnp.stack([1 - share[..., 0], 1 - within, rows, columns], -1)


def shrinking(first, length, size):
    """Which share of each cell along one side of a canvas lies on which pixel: (count, CELLS, size)."""
    cell = (SIDES * length / CELLS)[:, None, None]
    begin = (first - (SIDES - 1) / 2 * length)[:, None, None] + jnp.arange(CELLS)[:, None] * cell
    pixel = jnp.arange(size)
    return jnp.maximum(jnp.minimum(begin + cell, pixel + 1) - jnp.maximum(begin, pixel), 0) / cell


def to_cells(picture, down, across):
    return jnp.einsum("nip,npqc,njq->nijc", down, picture, across)


def filled(colours, share):
    """Cells that are hardly known take the mean of their neighbours: coarse to fine, some sweeps at each size."""
    total = share.sum((1, 2), keepdims=True)
    result = jnp.broadcast_to((colours * share).sum((1, 2), keepdims=True) / jnp.maximum(total, 1e-3), colours[:, :1, :1].shape)
    for joined, sweeps in SWEEPS:
        weight = pooled(share, joined)
        here = pooled(colours * share, joined) / jnp.maximum(weight, 1e-3)
        fixed = weight > KNOWN
        result = relaxed(jnp.where(fixed, here, enlarged(result, here.shape)), here, fixed, sweeps)
    return jnp.where(share > KNOWN, colours, result)


def pooled(x, joined):
    count, rows, columns, channels = x.shape
    return x.reshape(count, rows // joined, joined, columns // joined, joined, channels).mean((2, 4))


def enlarged(x, shape):
    return jax.image.resize(x, shape, "linear")


def relaxed(x, here, fixed, sweeps):
    for _ in range(sweeps):
        wide = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        mean = (wide[:, 2:, 1:-1] + wide[:, :-2, 1:-1] + wide[:, 1:-1, 2:] + wide[:, 1:-1, :-2]) / 4
        x = jnp.where(fixed, here, mean)
    return x


def mirrored(canvas):
    """The same canvas as a mirror shows it."""
    flipped = [part[:, :, ::-1] for part in canvas]
    flipped[1] = flipped[1] * jnp.array([1, 1, 1, -1], jnp.float32)
    return Canvas(*flipped)


def enlarging(first, length, size):
    """Linear interpolation from the cells of a canvas to pixels: (count, size, CELLS); nothing beyond the canvas."""
    cell = (SIDES * length / CELLS)[:, None, None]
    place = (jnp.arange(size)[:, None] + 0.5 - (first - (SIDES - 1) / 2 * length)[:, None, None]) / cell - 0.5
    return jnp.maximum(1 - jnp.abs(place - jnp.arange(CELLS)), 0)
