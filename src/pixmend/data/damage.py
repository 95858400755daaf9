"""Synthetic damage: which pixels are missing, as counts of how many submission rows ask for each pixel, and their values.

A count of 0 is a known pixel; 1 a missing one; 2 one that lies in two overlapping boxes and is scored twice.
The mask is True where the count is above 0. Sizes in pixels are for the image side that a competition was designed for, and
proportional for other sides. Images are uint8, height x width x channels; counts are uint8, height x width.
"""

from collections.abc import Iterable, Sequence

import numpy as np

Box = tuple[int, int, int, int]   # row, column, height, width

BLACK, WHITE = 0, 255


def slice_box(box: Sequence[int]) -> tuple[slice, slice]:
    """Return the rows and the columns of a box: `image[slice_box(box)]` is the part of an image inside it."""
    row, column, height, width = box
    return slice(row, row + height), slice(column, column + width)


def count_boxes(boxes: Iterable[Sequence[int]], shape: Sequence[int]) -> np.ndarray:
    counts = np.zeros(shape[:2], np.uint8)
    for box in boxes:
        inside = counts[slice_box(box)]
        inside += 1   # without a second assignment, as `counts[...] += 1` does
    return counts


def cover_pixels(image: np.ndarray, counts: np.ndarray, value: int = BLACK) -> np.ndarray:
    """Return a copy of an image with one value at all missing pixels."""
    return np.where(counts[..., None] > 0, np.uint8(value), image)


def scale_length(pixels: float, shape: Sequence[int], *, at: int) -> int:
    """Return the length that corresponds to `pixels` in an image of side `at`."""
    return max(1, round(pixels * min(shape[:2]) / at))


def draw_two_boxes(rng: np.random.Generator, shape: Sequence[int], side: int) -> tuple[Box, Box]:
    """Draw two squares, each with a uniform position; they may overlap."""
    corners = rng.integers(0, (shape[0] - side + 1, shape[1] - side + 1), (2, 2))
    return tuple((int(row), int(column), side, side) for row, column in corners)   # type: ignore[return-value]   # two corners


def draw_box(rng: np.random.Generator, shape: Sequence[int], sides: Sequence[int], *, at: int) -> Box:
    """Draw a box with a uniform position and independent sides, from the shorter to the longer one in an image of side `at`."""
    shortest, longest = (scale_length(side, shape, at=at) for side in sides)
    height, width = (int(side) for side in rng.integers(shortest, longest + 1, 2))
    return (int(rng.integers(shape[0] - height + 1)), int(rng.integers(shape[1] - width + 1)), height, width)


def count_block_holes(shape: Sequence[int], block: int, hole: Sequence[int]) -> np.ndarray:
    """Return the counts of a grid of blocks from the upper left corner, where the rows and columns `hole` of each are missing."""
    rows, columns = (np.isin(np.arange(length) % block, hole) for length in shape[:2])
    return np.outer(rows, columns).astype(np.uint8)


def draw_shapes(rng: np.random.Generator, shape: Sequence[int], most: int, sides: Sequence[int]) -> np.ndarray:
    """Draw 1 to `most` circles and squares, each with one of the sides and a uniform position, and return the counts."""
    counts = np.zeros(shape[:2], np.uint8)
    for _ in range(rng.integers(1, most + 1)):
        side, form = rng.choice(sides), rng.choice((np.ones, make_disc))  # type: ignore[arg-type]
        row, column = rng.integers(0, (shape[0] - side + 1, shape[1] - side + 1))
        counts[row:row + side, column:column + side] |= form((side, side)).astype(np.uint8)
    return counts


def make_disc(shape: Sequence[int]) -> np.ndarray:
    """Return a mask of the pixels whose centre lies in the circle that fits into a square."""
    place = np.arange(shape[0]) - (shape[0] - 1) / 2
    return np.hypot(place[:, None], place) <= shape[0] / 2


def pixelate_box(image: np.ndarray, box: Box, tile: int) -> np.ndarray:
    """Return a copy of an image in which each tile of a box, from its upper left corner, has its mean colour."""
    area = image[slice_box(box)]
    height, width = area.shape[:2]
    rows, columns = np.arange(0, height, tile), np.arange(0, width, tile)
    sums = np.add.reduceat(np.add.reduceat(area.astype(np.int64), rows, 0), columns, 1)
    heights, widths = np.diff(np.append(rows, height)), np.diff(np.append(columns, width))
    means = np.rint(sums / np.outer(heights, widths)[..., None]).astype(np.uint8)
    coarse = image.copy()
    coarse[slice_box(box)] = means.repeat(heights, 0).repeat(widths, 1)
    return coarse
