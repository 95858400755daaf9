"""Canvases made on the device: a photo, two random boxes, the effect of JPEG next to them, cells around one box, and a fill.

Shapes: photos (count, 256, 256, 3) uint8; images the same, float32 in 0..1; boxes (count, 4) float32 in pixels: row, column,
height, width; known maps (count, 256, 256) float32: 1 where a pixel is known; cells (count, CELLS, CELLS, channels) float32.
A canvas is BOX_SIDES box sides wide, with the box in its middle. Its planes are: missing share, share outside the image, row
and column in -1..1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

BOX_SIDES, CELLS, EXTRA_PLANES = 3, 120, 3
MIN_BOX_SIDE, MAX_BOX_SIDE = 55, 100   # pixels of a training box in an image of 256
MAX_LOG_ASPECT = 0.08   # each side of a box is multiplied or divided by up to exp(this)
MAX_LOG_GAMMA = 0.2
OTHER_BOX_WEIGHT = 0.5   # of an error in the other box during training
RELAXATION = ((8, 24), (4, 8), (2, 8), (1, 8))   # side of the joined cells, sweeps of relaxation
MIN_KNOWN_SHARE = 0.3   # a cell with less known area takes its colour from its neighbours
RGB_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)


class Canvas(NamedTuple):
    """The inputs of a network, its target, and the weight of an error in each cell."""

    image: jax.Array    # (count, CELLS, CELLS, 3), filled
    planes: jax.Array   # (count, CELLS, CELLS, 1 + EXTRA_PLANES)
    target: jax.Array   # (count, CELLS, CELLS, 3)
    weight: jax.Array   # (count, CELLS, CELLS, 1)


def draw_batch(photos: jax.Array, key: jax.Array, count: int) -> Canvas:
    """Return a training batch: photos, flips, gamma and boxes are drawn at random."""
    keys = jax.random.split(key, 6)
    image = photos[jax.random.randint(keys[0], (count,), 0, len(photos))].astype(jnp.float32) / 255
    image = jnp.where(jax.random.bernoulli(keys[1], 0.5, (count, 1, 1, 1)), image[:, :, ::-1], image)
    image = jnp.maximum(image, 1e-4) ** jnp.exp(draw_log_gamma(keys[2], count))
    box, other = draw_boxes(keys[3:], count, photos.shape[1])
    known = make_known_map(box, photos.shape[1]) * make_known_map(other, photos.shape[1])
    return make_canvas(simulate_jpeg(image, known), image, known, box, other)


def draw_log_gamma(key: jax.Array, count: int) -> jax.Array:
    """Draw logarithms of gamma: one for each image, and a smaller one for each of its colours."""
    image_key, colour_key = jax.random.split(key)
    colour_range = MAX_LOG_GAMMA / 3
    return (jax.random.uniform(image_key, (count, 1, 1, 1), minval=-MAX_LOG_GAMMA, maxval=MAX_LOG_GAMMA)
            + jax.random.uniform(colour_key, (count, 1, 1, 3), minval=-colour_range, maxval=colour_range))


def draw_boxes(keys: jax.Array, count: int, size: int) -> list[jax.Array]:
    """Draw two boxes of equal size for each image, each with a uniform position."""
    scale = size / 256
    log_min, log_max = np.log(MIN_BOX_SIDE * scale), np.log(MAX_BOX_SIDE * scale)
    side = jnp.exp(jax.random.uniform(keys[0], (count, 1), minval=log_min, maxval=log_max))
    aspect = jnp.exp(jax.random.uniform(keys[1], (count, 1), minval=-MAX_LOG_ASPECT, maxval=MAX_LOG_ASPECT))
    sides = jnp.round(jnp.concatenate([side * aspect, side / aspect], 1))
    corners = jnp.floor(jax.random.uniform(keys[2], (2, count, 2)) * (size - sides + 1))
    return [jnp.concatenate([corner, sides], 1) for corner in corners]


def make_known_map(box: jax.Array, size: int) -> jax.Array:
    """Return 1 outside the box and 0 inside it: (count, size, size)."""
    rows = mark_interval(box[:, 0], box[:, 2], size)
    columns = mark_interval(box[:, 1], box[:, 3], size)
    return 1 - rows[:, :, None] * columns[:, None]


def mark_interval(first: jax.Array, length: jax.Array, size: int) -> jax.Array:
    """Return 1 for the positions of an interval and 0 for others: (count, size)."""
    position = jnp.arange(size)
    return ((position >= first[:, None]) & (position < (first + length)[:, None])).astype(jnp.float32)


def simulate_jpeg(image: jax.Array, known: jax.Array) -> jax.Array:
    """Return the damaged image after JPEG, which stores colour at half size: black boxes change the pixels next to them."""
    spread = jnp.asarray(make_subsampling_matrix(image.shape[1]))
    ycc = image * known[..., None] @ RGB_TO_YCC.T
    colour = jnp.einsum("ip,npqc,jq->nijc", spread, ycc[..., 1:], spread)
    ycc_to_rgb = np.linalg.inv(RGB_TO_YCC).T.astype(np.float32)
    return jnp.concatenate([ycc[..., :1], colour], -1) @ ycc_to_rgb * known[..., None]


def make_subsampling_matrix(size: int) -> np.ndarray:
    """Return the matrix that averages pairs of pixels and enlarges the result with libjpeg's triangle filter: (size, size)."""
    half = np.kron(np.eye(size // 2), [[0.5, 0.5]])
    near = np.kron(half, [[1], [1]])
    far = np.stack([np.vstack([half[:1], half[:-1]]), np.vstack([half[1:], half[-1:]])], 1).reshape(size, size)
    return (0.75 * near + 0.25 * far).astype(np.float32)


def make_canvas(damaged: jax.Array, original: jax.Array, known: jax.Array, box: jax.Array, other: jax.Array) -> Canvas:
    """Return the canvas around a box of a damaged image; the pixels of the other box are missing as well."""
    size = damaged.shape[1]
    rows, columns = make_shrinking_matrix(box[:, 0], box[:, 2], size), make_shrinking_matrix(box[:, 1], box[:, 3], size)
    inside = rows.sum(2)[:, :, None] * columns.sum(2)[:, None]   # share of each cell that lies in the image
    share = shrink_to_cells(known[..., None], rows, columns)
    colours = shrink_to_cells(damaged * known[..., None], rows, columns) / jnp.maximum(share, 1e-3)
    target = shrink_to_cells(original, rows, columns) / jnp.maximum(inside, 1e-3)[..., None]
    in_box, in_other = (1 - make_known_map(one, size)[..., None] for one in (box, other))
    weight = shrink_to_cells(in_box + OTHER_BOX_WEIGHT * in_other * (1 - in_box), rows, columns)
    return Canvas(fill_cells(colours, share), make_planes(share, inside, box, size), target, weight)


def make_planes(share: jax.Array, inside: jax.Array, box: jax.Array, size: int) -> jax.Array:
    """Return the missing share, the share outside the image, and the position of each cell."""
    centre = box[:, :2] + box[:, 2:] / 2
    steps = (jnp.arange(CELLS) + 0.5) / CELLS - 0.5
    position = (centre[:, :, None] + BOX_SIDES * box[:, 2:, None] * steps) / size * 2 - 1
    rows = jnp.broadcast_to(position[:, 0, :, None], inside.shape)
    columns = jnp.broadcast_to(position[:, 1, None], inside.shape)
    return jnp.stack([1 - share[..., 0], 1 - inside, rows, columns], -1)


def make_shrinking_matrix(first: jax.Array, length: jax.Array, size: int) -> jax.Array:
    """Return which share of each cell along one side of a canvas lies on which pixel: (count, CELLS, size)."""
    cell = (BOX_SIDES * length / CELLS)[:, None, None]
    start = (first - (BOX_SIDES - 1) / 2 * length)[:, None, None] + jnp.arange(CELLS)[:, None] * cell
    pixel = jnp.arange(size)
    return jnp.maximum(jnp.minimum(start + cell, pixel + 1) - jnp.maximum(start, pixel), 0) / cell


def make_enlarging_matrix(first: jax.Array, length: jax.Array, size: int) -> jax.Array:
    """Return the linear interpolation from the cells of a canvas to pixels, 0 outside the canvas: (count, size, CELLS)."""
    cell = (BOX_SIDES * length / CELLS)[:, None, None]
    start = (first - (BOX_SIDES - 1) / 2 * length)[:, None, None]
    position = (jnp.arange(size)[:, None] + 0.5 - start) / cell - 0.5
    return jnp.maximum(1 - jnp.abs(position - jnp.arange(CELLS)), 0)


def shrink_to_cells(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Apply the shrinking matrices of both axes."""
    return jnp.einsum("nip,npqc,njq->nijc", rows, image, columns)


def fill_cells(colours: jax.Array, share: jax.Array) -> jax.Array:
    """Give mostly unknown cells the mean of their neighbours, from coarse to fine, with some sweeps at each size."""
    total = share.sum((1, 2), keepdims=True)
    mean = (colours * share).sum((1, 2), keepdims=True) / jnp.maximum(total, 1e-3)
    result = jnp.broadcast_to(mean, colours[:, :1, :1].shape)
    for side, sweeps in RELAXATION:
        weight = pool_cells(share, side)
        values = pool_cells(colours * share, side) / jnp.maximum(weight, 1e-3)
        fixed = weight > MIN_KNOWN_SHARE
        enlarged = jax.image.resize(result, values.shape, "linear")
        result = relax_cells(jnp.where(fixed, values, enlarged), values, fixed, sweeps)
    return jnp.where(share > MIN_KNOWN_SHARE, colours, result)


def pool_cells(x: jax.Array, side: int) -> jax.Array:
    """Return the means of squares of cells."""
    count, rows, columns, channels = x.shape
    return x.reshape(count, rows // side, side, columns // side, side, channels).mean((2, 4))


def relax_cells(x: jax.Array, values: jax.Array, fixed: jax.Array, sweeps: int) -> jax.Array:
    """Replace each cell that is not fixed by the mean of its four neighbours, several times."""
    for _ in range(sweeps):
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        mean = (padded[:, 2:, 1:-1] + padded[:, :-2, 1:-1] + padded[:, 1:-1, 2:] + padded[:, 1:-1, :-2]) / 4
        x = jnp.where(fixed, values, mean)
    return x


def mirror_canvas(canvas: Canvas) -> Canvas:
    """Return the canvas flipped left to right; the columns in its planes change their sign."""
    image, planes, target, weight = (array[:, :, ::-1] for array in canvas)
    return Canvas(image, planes * jnp.array([1, 1, 1, -1], jnp.float32), target, weight)
