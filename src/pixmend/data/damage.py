"""Damage makers: where pixels are missing, as counts of how many rows of a submission ask for each pixel, and what stands there.

A count of 0 is a known pixel; 1 a missing one; 2 one that lies in two overlapping boxes and is scored twice.
The mask is True where the count is above 0. Sizes in pixels hold at the side that a contest was made for, and in proportion
elsewhere.
"""

import cv2
import numpy as np

BLACK, WHITE = 0, 255


def count_boxes(boxes, shape):
    """Counts, uint8 height x width, for boxes of (row, column, height, width)."""
    counts = np.zeros(shape[:2], np.uint8)
    for row, column, height, width in boxes:
        box = counts[row:row + height, column:column + width]
        box += 1   # and not put back, as `counts[...] += 1` does
    return counts


def cover_pixels(picture, counts, value=BLACK):
    """A copy of a picture with one value wherever pixels are missing."""
    return np.where(counts[..., None] > 0, np.uint8(value), picture)


def scale_length(pixels, shape, *, at):
    """A length that is so many pixels in a picture of side `at`."""
    return max(1, round(pixels * min(shape[:2]) / at))


def draw_two_boxes(rng, shape, side):
    """Two squares, each uniform over the places where it fits; they may overlap."""
    corners = rng.integers(0, (shape[0] - side + 1, shape[1] - side + 1), (2, 2))
    return tuple((int(row), int(column), side, side) for row, column in corners)


def draw_box(rng, shape, shortest, longest):
    """A box whose sides are drawn apart, uniform over the places where it fits."""
    height, width = (int(side) for side in rng.integers(shortest, longest + 1, 2))
    return (int(rng.integers(shape[0] - height + 1)), int(rng.integers(shape[1] - width + 1)), height, width)


def count_block_holes(shape, block, hole):
    """Counts of a lattice of blocks, from the upper left corner on, each with the same rows and columns missing."""
    rows, columns = (np.isin(np.arange(length) % block, hole) for length in shape[:2])
    return np.outer(rows, columns).astype(np.uint8)


def draw_shapes(rng, shape, most, sides):
    """Counts of 1 to `most` circles and squares, each in one of the sides and uniform over the places where it fits."""
    counts = np.zeros(shape[:2], np.uint8)
    for _ in range(rng.integers(1, most + 1)):
        side, form = rng.choice(sides), rng.choice((np.ones, make_disc))
        row, column = rng.integers(0, (shape[0] - side + 1, shape[1] - side + 1))
        counts[row:row + side, column:column + side] |= form((side, side)).astype(np.uint8)
    return counts


def make_disc(shape):
    """True where a pixel's middle lies in the circle that fills a square."""
    place = np.arange(shape[0]) - (shape[0] - 1) / 2
    return np.hypot(place[:, None], place) <= shape[0] / 2


def pixelate_box(picture, box, tile):
    """A copy of a picture in which each tile of a box, from its upper left corner on, is its own mean."""
    row, column, height, width = box
    area = picture[row:row + height, column:column + width]
    rows, columns = np.arange(0, height, tile), np.arange(0, width, tile)
    sums = np.add.reduceat(np.add.reduceat(area.astype(np.int64), rows, 0), columns, 1)
    heights, widths = np.diff(np.append(rows, height)), np.diff(np.append(columns, width))
    means = np.rint(sums / np.outer(heights, widths)[..., None]).astype(np.uint8)
    coarse = picture.copy()
    coarse[row:row + height, column:column + width] = means.repeat(heights, 0).repeat(widths, 1)
    return coarse


def blur_image(picture, deviation):
    """A copy of a picture under a Gaussian blur of so many pixels."""
    return cv2.GaussianBlur(picture, (0, 0), deviation).reshape(picture.shape)
