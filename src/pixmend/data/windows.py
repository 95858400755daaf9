"""Square windows around the boxes of a damaged image, resized to one size so that each box has the same place in its window.

The side of a window is a multiple of the side of its box. Beyond the edge of the image, the edge is repeated and unknown.
Arrays are height x width (x channels); a box is (row, column, height, width).
"""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from pixmend.data.damage import Box, count_boxes, slice_box
from pixmend.errors import UserError

MAX_HOLES = 64       # in an image, whose windows are predicted one after another
MAX_OVERLAPPING = 4  # boxes that are found in one hole


def find_boxes(counts: np.ndarray, most: int = MAX_HOLES) -> list[Box]:
    """Return the boxes whose sum the counts are; for holes of other shapes, their bounding boxes. `most` is of holes.

    Counts of a mask do not tell where two boxes overlap; there a hole is taken apart into two boxes, if it can be.
    """
    holes, left = find_bounding_boxes(counts, most), counts.astype(np.int16)
    pairs = [find_two_boxes(left, hole) for hole in holes] if counts.max(initial=0) == 1 else [[]]
    if all(pairs):
        return [box for pair in pairs for box in pair]
    boxes: list[Box] = []
    while left.any() and left.min() >= 0 and len(boxes) < MAX_OVERLAPPING * len(holes):
        boxes.append(find_first_box(left))
        left[slice_box(boxes[-1])] -= 1
    return holes if left.any() else boxes


def find_two_boxes(mask: np.ndarray, hole: Box) -> list[Box]:
    """Return the one or two boxes that cover a hole and nothing else; none if there are no such boxes."""
    row, column, *_ = hole
    inside = mask[slice_box(hole)] > 0
    boxes = [find_first_box(inside.astype(np.int16))]
    uncovered = inside & (count_boxes(boxes, inside.shape) == 0)
    if uncovered.any():
        across, down, wide, high = cv2.boundingRect(uncovered.astype(np.uint8))
        boxes.append((down, across, high, wide))
    covers_it = np.array_equal(count_boxes(boxes, inside.shape) > 0, inside)
    return [(row + down, column + across, high, wide) for down, across, high, wide in boxes] if covers_it else []


def find_first_box(left: np.ndarray) -> Box:
    """Return the box at the first remaining pixel; a box that another one overlaps is taken as a square."""
    row, column = np.unravel_index(np.argmax(left > 0), left.shape)
    width, height = (int(np.argmin(np.append(line > 0, False))) for line in (left[row, column:], left[row:, column]))
    if np.ptp(left[row:row + height, column:column + width]):
        width = height = min(width, height)
    return int(row), int(column), height, width


def find_bounding_boxes(counts: np.ndarray, most: int = MAX_HOLES) -> list[Box]:
    _, _, found, _ = cv2.connectedComponentsWithStats((counts > 0).astype(np.uint8), connectivity=8)
    if len(found) - 1 > most:
        raise UserError(f"An image has {len(found) - 1} holes, and a network predicts {most} at most, one after another. "
                        f"Mend it with a fill (leave out --run), or train with --window 0 for a network on full images.")
    return [(int(row), int(column), int(height), int(width)) for column, row, width, height, _ in found[1:]]


def find_window(box: Box, sides: float) -> tuple[int, int, int]:
    """Return row, column and side of the window around a box."""
    row, column, height, width = box
    side = round(max(height, width) * sides)
    return row - (side - height) // 2, column - (side - width) // 2, side


def cut_window(array: np.ndarray, box: Box, sides: float, size: int, beyond: float | None = None) -> np.ndarray:
    """Return the window around a box, resized to size x size; beyond the edge is the value `beyond`, or the edge repeated."""
    row, column, side = find_window(box, sides)
    height, width = array.shape[:2]
    over = max(-row, 0), max(row + side - height, 0), max(-column, 0), max(column + side - width, 0)
    inside = np.ascontiguousarray(array[max(row, 0):row + side, max(column, 0):column + side])
    border = cv2.BORDER_REPLICATE if beyond is None else cv2.BORDER_CONSTANT
    window = cv2.copyMakeBorder(inside, *over, border, value=beyond)  # type: ignore[arg-type]
    return cv2.resize(window, (size, size), interpolation=cv2.INTER_AREA).reshape(size, size, *array.shape[2:])


def cut_network_input(image: np.ndarray, mask: np.ndarray, box: Box, sides: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the colours of a box's window, and which share (0..1) of each of its cells is missing."""
    return cut_window(image, box, sides, size), cut_window(mask.astype(np.float32), box, sides, size, beyond=1.0)


def compute_box_coverage(shape: Sequence[int], box: Box, sides: float, size: int) -> np.ndarray:
    """Return which share (0..1) of each cell of a box's window lies inside the box."""
    inside = np.zeros(shape[:2], np.float32)
    inside[slice_box(box)] = 1
    return cut_window(inside, box, sides, size, beyond=0.0)


def enlarge_box(cells: np.ndarray, box: Box, sides: float) -> np.ndarray:
    """Resize the prediction of a window to full size, and return the part inside the box."""
    top, left, side = find_window(box, sides)
    full = cv2.resize(cells, (side, side), interpolation=cv2.INTER_LINEAR).reshape(side, side, -1)
    row, column, height, width = box
    return full[slice_box((row - top, column - left, height, width))]


def add_changes(image: np.ndarray, boxes: Sequence[Box], changes: Iterable[np.ndarray], sides: float) -> np.ndarray:
    """Return the image plus the change of each box's window, in its box; where boxes overlap, the mean of the changes."""
    total, times = np.zeros(image.shape), np.zeros((*image.shape[:2], 1))
    for box, change in zip(boxes, changes, strict=True):
        inside = slice_box(box)
        total[inside] += enlarge_box(change, box, sides)
        times[inside] += 1
    return image + total / np.maximum(times, 1)
