"""The harmonic fill: each missing pixel is the mean of its neighbours (Laplace's equation).

At a side of a hole that lies against known pixels the solution continues them (Dirichlet); at a side on the image's edge its
slope is zero (Neumann). A rectangular hole is solved exactly in the sine and cosine modes that fit its sides. Overlapping boxes
are solved in turn until they agree (Schwarz's alternating method), which converges fastest on all the largest rectangles that fit
into the hole. Holes of other shapes go to a sparse direct solver.

A box is (top, left, height, width) in pixels. `padded` is the image with channels first, 0 where pixels are missing, and a border
of zeros one pixel wide: float32, channels x (height + 2) x (width + 2). The solvers write missing pixels into it.
"""

from functools import lru_cache
from itertools import combinations

import cv2
import numpy as np

MAX_ROUNDS, TOLERANCE = 200, 3e-5  # of Schwarz's method, which stops when no pixel moves by more than this
MAX_STEPS = 5  # a hole whose outline has more steps than this, across or down, goes to the sparse solver
MIN_SCHWARZ_PIXELS = 400  # for smaller holes the sparse solver is faster

BoxType = tuple[int, int, bool, bool, bool, bool]  # height, width; whether top, bottom, left, right lie on the image's edge


def fill_harmonic(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill the missing pixels with the solution of Laplace's equation."""
    filled = image.copy()
    filled[mask] = fill_planes(np.moveaxis(image, -1, 0), mask)[:, mask].T
    return filled


def fill_planes(planes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill the missing pixels of channels, which may be those of several images: channels x height x width."""
    if mask.all():
        return np.full_like(planes, 0.5)
    channels, height, width = planes.shape
    padded = np.zeros((channels, height + 2, width + 2), planes.dtype)
    np.copyto(padded[:, 1:-1, 1:-1], planes, where=~mask)
    boxes, groups, rest = classify_holes(mask)
    for equal in group_equal_boxes(boxes, mask.shape):
        solve_boxes(padded, equal, mask.shape)
    for group in groups:
        solve_overlapping_boxes(padded, group, mask.shape)
    if rest.any():
        solve_sparse(padded, rest)
    return padded[:, 1:-1, 1:-1]


def classify_holes(mask: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Return the holes that are boxes, groups of overlapping boxes, and the mask of all other missing pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    lefts, tops, widths, heights, areas = stats.T
    is_box = areas == widths * heights
    is_box[0] = True   # the known pixels
    groups, rest = [], ~is_box[labels]
    for hole in np.flatnonzero(~is_box & (areas >= MIN_SCHWARZ_PIXELS)):
        top, left, height, width = tops[hole], lefts[hole], heights[hole], widths[hole]
        inside = labels[top:top + height, left:left + width] == hole
        group = find_largest_boxes(inside)
        if len(group):
            groups.append(group + (top, left, 0, 0))
            rest[top:top + height, left:left + width] &= ~inside
    return np.stack([tops, lefts, heights, widths], 1)[is_box][1:], groups, rest


def find_largest_boxes(hole: np.ndarray) -> np.ndarray:
    """Return all boxes in a hole that cannot grow; none if its outline has too many steps."""
    rows, columns = find_steps(hole), find_steps(hole.T)
    if max(len(rows), len(columns)) > MAX_STEPS + 1:
        return np.empty((0, 4), int)
    cells = hole[np.ix_(rows[:-1], columns[:-1])]
    row_spans, column_spans = (list(combinations(range(len(steps)), 2)) for steps in (rows, columns))
    spans = np.array([(top, left, bottom, right) for top, bottom in row_spans for left, right in column_spans
                      if cells[top:bottom, left:right].all()])
    is_within = (spans[:, None, :2] >= spans[:, :2]).all(2) & (spans[:, None, 2:] <= spans[:, 2:]).all(2)
    top, left, bottom, right = spans[is_within.sum(1) == 1].T   # each span lies within itself
    return np.stack([rows[top], columns[left], rows[bottom] - rows[top], columns[right] - columns[left]], 1)


def find_steps(hole: np.ndarray) -> np.ndarray:
    """Return the rows before which a hole changes, its first and last border included."""
    return np.r_[0, np.flatnonzero((hole[1:] != hole[:-1]).any(1)) + 1, len(hole)]


def group_equal_boxes(boxes: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Return the boxes in groups of equal type, which are solved together."""
    if len(boxes) < 2:
        return [boxes] if len(boxes) else []
    on_edge = boxes[:, :2] == 0, boxes[:, :2] + boxes[:, 2:] == shape
    _, group = np.unique(np.hstack([boxes[:, 2:], *on_edge]), axis=0, return_inverse=True)
    return [boxes[group.ravel() == number] for number in range(group.max() + 1)]


def find_box_type(box: np.ndarray, shape: tuple[int, ...]) -> BoxType:
    """Return what decides the modes of a box: its size and which of its sides lie on the image's edge."""
    top, left, height, width = (int(number) for number in box)
    return height, width, top == 0, top + height == shape[0], left == 0, left + width == shape[1]


def solve_boxes(padded: np.ndarray, boxes: np.ndarray, shape: tuple[int, ...]) -> None:
    """Solve boxes of one type from the pixels around them."""
    box_type = find_box_type(boxes[0], shape)
    vertical, horizontal, _ = compute_modes(box_type)
    rows = boxes[:, :1] + np.arange(1, box_type[0] + 1)
    columns = boxes[:, 1:2] + np.arange(1, box_type[1] + 1)
    left_right = padded[:, rows[:, :, None], columns[:, None, [0, -1]] + [-1, 1]]
    top_bottom = padded[:, rows[:, [0, -1], None] + [[-1], [1]], columns[:, None]]
    coefficients = compute_coefficients(left_right, top_bottom, box_type)
    padded[:, rows[:, :, None], columns[:, None]] = vertical @ coefficients @ horizontal.T


def compute_coefficients(left_right: np.ndarray, top_bottom: np.ndarray, box_type: BoxType) -> np.ndarray:
    """Return the coefficients of the modes of boxes, given the pixels next to their sides."""
    vertical, horizontal, inverse_eigenvalues = compute_modes(box_type)
    down = np.empty((*left_right.shape[:-1], 4), left_right.dtype)
    across = np.empty((*top_bottom.shape[:-2], 4, top_bottom.shape[-1]), left_right.dtype)
    down[..., :2], across[..., 2:, :] = vertical[[0, -1]].T, horizontal[[0, -1]]
    down[..., 2:], across[..., :2, :] = vertical.T @ left_right, top_bottom @ horizontal
    return down @ across * inverse_eigenvalues


@lru_cache(maxsize=64)
def compute_modes(box_type: BoxType) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what diagonalizes the Laplacian of a box: its vertical and horizontal modes, and its inverse eigenvalues."""
    height, width, free_top, free_bottom, free_left, free_right = box_type
    vertical, eigenvalues_down = compute_line_modes(height, free_top, free_bottom)
    horizontal, eigenvalues_across = compute_line_modes(width, free_left, free_right)
    inverse = 1 / (eigenvalues_down[:, None] + eigenvalues_across)
    return vertical.astype(np.float32), horizontal.astype(np.float32), inverse.astype(np.float32)


def compute_line_modes(length: int, free_start: bool, free_end: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the second difference's eigenvectors on a line, as orthonormal columns, and eigenvalues; a free end has slope 0."""
    place, order = np.arange(length)[:, None], np.arange(length)
    frequency: np.ndarray
    if free_start and free_end:
        frequency = np.pi * order / length
        modes = np.cos(frequency * (place + 0.5))
    elif free_start or free_end:
        frequency = np.pi * (order + 0.5) / (length + 0.5)
        modes = np.sin(frequency * (place + 1 if free_end else length - place))
    else:
        frequency = np.pi * (order + 1) / (length + 1)
        modes = np.sin(frequency * (place + 1))
    return modes / np.linalg.norm(modes, axis=0), 2 - 2 * np.cos(frequency)


def solve_overlapping_boxes(padded: np.ndarray, boxes: np.ndarray, shape: tuple[int, ...]) -> None:
    """Solve each box in turn from what the others left, until nothing moves (Schwarz's alternating method)."""
    lines = np.vstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:] + 1])   # of the padded image that border a box
    seams = []   # rows and columns inside each box
    for box in boxes:
        is_inside = (lines > box[:2]) & (lines <= box[:2] + box[2:])
        seams.append([np.unique(lines[is_inside[:, axis], axis]) for axis in (0, 1)])
    for _ in range(MAX_ROUNDS):   # only on the rows and columns that border another box
        if max([update_seams(padded, box, shape, *inside) for box, inside in zip(boxes, seams, strict=True)]) < TOLERANCE:
            break
    for box in boxes:
        solve_boxes(padded, box[None], shape)


def update_seams(padded: np.ndarray, box: np.ndarray, shape: tuple[int, ...], rows: np.ndarray, columns: np.ndarray) -> float:
    """Solve a box on some rows and columns only; return how far their pixels moved."""
    top, left, height, width = box
    box_type = find_box_type(box, shape)
    vertical, horizontal, _ = compute_modes(box_type)
    window = padded[:, top:top + height + 2, left:left + width + 2]
    coefficients = compute_coefficients(window[:, 1:-1, [0, -1]], window[:, [0, -1], 1:-1], box_type)
    new_rows = vertical[rows - top - 1] @ coefficients @ horizontal.T
    new_columns = vertical @ (coefficients @ horizontal[columns - left - 1].T)
    moved = max(np.abs(window[:, rows - top, 1:-1] - new_rows).max(initial=0),
                np.abs(window[:, 1:-1, columns - left] - new_columns).max(initial=0))
    window[:, rows - top, 1:-1], window[:, 1:-1, columns - left] = new_rows, new_columns
    return moved


def solve_sparse(padded: np.ndarray, mask: np.ndarray) -> None:
    """Solve missing pixels of any shape by a sparse LU decomposition."""
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    in_image, missing = np.pad(np.ones_like(mask), 1), np.pad(mask, 1)
    rows, columns = np.nonzero(missing)
    index = np.empty(missing.shape, int)
    index[rows, columns] = unknowns = np.arange(len(rows))
    degree, known_sum, links = np.zeros(len(unknowns)), np.zeros((len(unknowns), len(padded))), [(unknowns, unknowns)]
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        neighbours = rows + down, columns + right
        is_missing = missing[neighbours]
        degree += in_image[neighbours]
        known_sum += np.where(is_missing, 0, padded[:, neighbours[0], neighbours[1]]).T
        links.append((unknowns[is_missing], index[neighbours][is_missing]))
    entries = np.hstack(links)
    values = np.r_[degree, np.full(entries.shape[1] - len(unknowns), -1.0)]
    factors = splu(csc_array((values, entries)), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    padded[:, rows, columns] = factors.solve(known_sum).T
