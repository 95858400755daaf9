"""Damage makers: where pixels are missing, as counts of how many rows of a submission ask for each pixel.

A count of 0 is a known pixel; 1 a missing one; 2 one that lies in two overlapping boxes and is scored twice.
The mask is True where the count is above 0.
"""

import numpy as np


def box_counts(boxes, shape):
    """Counts, uint8 height x width, for boxes of (row, column, height, width)."""
    counts = np.zeros(shape[:2], np.uint8)
    for row, column, height, width in boxes:
        counts[row:row + height, column:column + width] += 1
    return counts


def two_boxes(rng, shape, side):
    """Two squares, each uniform over the places where it fits; they may overlap."""
    corners = rng.integers(0, (shape[0] - side + 1, shape[1] - side + 1), (2, 2))
    return tuple((int(row), int(column), side, side) for row, column in corners)
