"""Square windows around the boxes of a damaged picture, shrunk to one size: every box at the same place, however large.

A window's side is so many box sides; what lies beyond the picture's edge is the edge repeated, and unknown.
"""

import cv2
import numpy as np

from pixmend.errors import UserError

MANY = 64      # holes in a picture, windows to paint one after another
TOGETHER = 4   # overlapping boxes that are told apart in one hole


def find_boxes(counts):
    """The boxes (row, column, height, width) of which counts are the sum; of other shapes the boxes that hold them."""
    holes, left, boxes = find_bounding_boxes(counts), counts.astype(np.int16), []
    while left.any() and left.min() >= 0 and len(boxes) < TOGETHER * len(holes):
        boxes.append(find_first_box(left))
        row, column, height, width = boxes[-1]
        left[row:row + height, column:column + width] -= 1
    return holes if left.any() else boxes


def find_first_box(left):
    """The box that begins at the first pixel left; one that looks longer because another overlaps it is a square."""
    row, column = np.unravel_index(np.argmax(left > 0), left.shape)
    width, height = count_missing_run(left[row, column:]), count_missing_run(left[row:, column])
    if np.ptp(left[row:row + height, column:column + width]):
        width = height = min(width, height)
    return int(row), int(column), height, width


def count_missing_run(line):
    """How many pixels from the first one on are missing."""
    return int(np.argmin(np.append(line > 0, False)))


def find_bounding_boxes(counts):
    _, _, found, _ = cv2.connectedComponentsWithStats((counts > 0).astype(np.uint8), connectivity=8)
    if len(found) - 1 > MANY:
        raise UserError(f"A picture has {len(found) - 1} holes, and a network on windows paints {MANY} at most; "
                        f"choose another --model, or --window 0 for one that takes whole pictures.")
    return [(int(row), int(column), int(height), int(width)) for column, row, width, height, _ in found[1:]]


def find_window(box, sides):
    """Row, column and side of the window around a box."""
    row, column, height, width = box
    side = round(max(height, width) * sides)
    return row - (side - height) // 2, column - (side - width) // 2, side


def cut_window(array, box, sides, size, beyond=None):
    """The window of an array around a box, shrunk to a size; beyond the picture its edge goes on, or a value."""
    row, column, side = find_window(box, sides)
    height, width = array.shape[:2]
    over = max(-row, 0), max(row + side - height, 0), max(-column, 0), max(column + side - width, 0)
    inside = np.ascontiguousarray(array[max(row, 0):row + side, max(column, 0):column + side])
    kind = cv2.BORDER_REPLICATE if beyond is None else cv2.BORDER_CONSTANT
    window = cv2.copyMakeBorder(inside, *over, kind, value=beyond)
    return cv2.resize(window, (size, size), interpolation=cv2.INTER_AREA).reshape(size, size, *array.shape[2:])


def cut_network_input(seen, mask, box, sides, size):
    """What a network is shown of a box: the window's colours, and which share of each of its cells is missing."""
    return cut_window(seen, box, sides, size), cut_window(mask.astype(np.float32), box, sides, size, beyond=1.0)


def compute_box_coverage(shape, box, sides, size):
    """Which share of each cell of a box's window lies in that very box."""
    inside = np.zeros(shape[:2], np.float32)
    row, column, height, width = box
    inside[row:row + height, column:column + width] = 1
    return cut_window(inside, box, sides, size, beyond=0.0)


def enlarge_box(cells, box, sides):
    """What was painted on a window's cells, at full size, inside the box."""
    row, column, side = find_window(box, sides)
    full = cv2.resize(cells, (side, side), interpolation=cv2.INTER_LINEAR).reshape(side, side, -1)
    down, across = box[0] - row, box[1] - column
    return full[down:down + box[2], across:across + box[3]]
