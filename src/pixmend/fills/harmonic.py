"""The harmonic fill: each missing pixel is the mean of its neighbours, as a soap film hung on the known pixels.

A rectangle is solved exactly in the sines and cosines that suit its sides: a side against known pixels is held by
them, a side on the picture's edge is free. Overlapping boxes take turns until they agree (Schwarz), which goes
fastest over all the largest rectangles that fit into them; any other shape goes to a sparse solver.
"""

from functools import lru_cache
from itertools import combinations

import cv2
import numpy as np

TURNS, AGREED = 200, 3e-5  # overlapping boxes stop when no pixel moves by more than this
FEW_STEPS = 5  # an outline with more steps than this, across or down, is not called overlapping boxes
WORTH_TURNS = 400  # pixels: below this the sparse solver is faster


def fill_harmonic(picture, mask):
    """Fill the missing pixels; where nothing at all is known they become mid-grey."""
    if mask.all():
        return np.full_like(picture, 0.5)
    canvas = spread(picture, mask)
    boxes, groups, rest = sort_out(mask)
    for equal in equal_boxes(boxes, mask.shape):
        hang(canvas, equal, mask.shape)
    for group in groups:
        take_turns(canvas, group, mask.shape)
    if rest.any():
        solve_sparse(canvas, rest)
    return collect(canvas, picture, mask)


def spread(picture, mask):
    """The known pixels on a canvas: channels first, zero where missing, a border of zeros one pixel wide."""
    height, width, channels = picture.shape
    canvas = np.zeros((channels, height + 2, width + 2), picture.dtype)
    np.copyto(canvas[:, 1:-1, 1:-1], np.moveaxis(picture, -1, 0), where=~mask)
    return canvas


def collect(canvas, picture, mask):
    """The picture with its missing pixels from the canvas."""
    filled = picture.copy()
    for channel, plane in enumerate(canvas):
        np.copyto(filled[..., channel], plane[1:-1, 1:-1], where=mask)
    return filled


def sort_out(mask):
    """The holes of a mask: boxes (top, left, height, width), groups of overlapping boxes, and all other pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    lefts, tops, widths, heights, areas = stats.T
    is_box = areas == widths * heights
    is_box[0] = True
    groups, rest = [], ~is_box[labels]
    for hole in np.flatnonzero(~is_box & (areas >= WORTH_TURNS)):
        top, left, height, width = tops[hole], lefts[hole], heights[hole], widths[hole]
        window = labels[top:top + height, left:left + width] == hole
        group = largest_boxes(window)
        if len(group):
            groups.append(group + (top, left, 0, 0))
            rest[top:top + height, left:left + width] &= ~window
    is_box[0] = False
    return np.stack([tops, lefts, heights, widths], 1)[is_box], groups, rest


def largest_boxes(hole):
    """All boxes (top, left, height, width) in a hole that cannot grow; none where its outline has too many steps."""
    rows, columns = steps(hole), steps(hole.T)
    if max(len(rows), len(columns)) > FEW_STEPS + 1:
        return np.empty((0, 4), int)
    tiles = hole[np.ix_(rows[:-1], columns[:-1])]
    across = list(combinations(range(len(columns)), 2))
    spans = [(top, left, bottom, right) for top, bottom in combinations(range(len(rows)), 2) for left, right in across
             if tiles[top:bottom, left:right].all()]
    largest = [one for one in spans if not any(one != other and within(one, other) for other in spans)]
    return np.array([(rows[top], columns[left], rows[bottom] - rows[top], columns[right] - columns[left])
                     for top, left, bottom, right in largest])


def steps(hole):
    """Where the rows of a hole change, its first and last border included."""
    return np.r_[0, np.flatnonzero((hole[1:] != hole[:-1]).any(1)) + 1, len(hole)]


def within(inner, outer):
    return inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def equal_boxes(boxes, shape):
    """The boxes in batches of equal size and equal contact with the picture's edges."""
    if len(boxes) < 2:
        return [boxes] if len(boxes) else []
    free = boxes[:, :2] == 0, boxes[:, :2] + boxes[:, 2:] == shape
    kinds = np.hstack([boxes[:, 2:], *free])
    _, kind = np.unique(kinds, axis=0, return_inverse=True)
    return [boxes[kind.ravel() == one] for one in range(kind.max() + 1)]


def hang(canvas, boxes, shape):
    """Solve boxes of one kind at once from the pixels around them."""
    kind = kind_of(boxes[0], shape)
    vertical, horizontal, _ = modes(*kind)
    rows = boxes[:, :1] + np.arange(1, kind[0] + 1)
    columns = boxes[:, 1:2] + np.arange(1, kind[1] + 1)
    sides = canvas[:, rows[:, :, None], columns[:, None, [0, -1]] + [-1, 1]]
    ends = canvas[:, rows[:, [0, -1], None] + [[-1], [1]], columns[:, None]]
    canvas[:, rows[:, :, None], columns[:, None]] = vertical @ spectrum(sides, ends, kind) @ horizontal.T


def spectrum(sides, ends, kind):
    """The waves in boxes that hang between their left and right sides and their upper and lower ends."""
    vertical, horizontal, inverse = modes(*kind)
    down = np.empty((*sides.shape[:-1], 4), sides.dtype)
    across = np.empty((*ends.shape[:-2], 4, ends.shape[-1]), sides.dtype)
    down[..., :2], across[..., 2:, :] = vertical[[0, -1]].T, horizontal[[0, -1]]
    down[..., 2:], across[..., :2, :] = vertical.T @ sides, ends @ horizontal
    return down @ across * inverse


def kind_of(box, shape):
    """Size of a box, and which of its sides lie on the picture's edge: top, bottom, left, right."""
    top, left, height, width = (int(number) for number in box)
    return height, width, top == 0, top + height == shape[0], left == 0, left + width == shape[1]


@lru_cache(maxsize=64)
def modes(height, width, free_top, free_bottom, free_left, free_right):
    """What diagonalises a box's Laplacian: waves down, waves across, and one over the sum of their stiffnesses."""
    vertical, stiff_down = waves(height, free_top, free_bottom)
    horizontal, stiff_across = waves(width, free_left, free_right)
    inverse = 1 / (stiff_down[:, None] + stiff_across)
    return vertical.astype(np.float32), horizontal.astype(np.float32), inverse.astype(np.float32)


def waves(length, free_start, free_end):
    """Standing waves of a string of pixels as orthonormal columns, each end held or free, and their stiffnesses."""
    place, order = np.arange(length)[:, None], np.arange(length)
    if free_start and free_end:
        turn = np.pi * order / length
        shapes = np.cos(turn * (place + 0.5))
    elif free_start or free_end:
        turn = np.pi * (order + 0.5) / (length + 0.5)
        shapes = np.sin(turn * (place + 1 if free_end else length - place))
    else:
        turn = np.pi * (order + 1) / (length + 1)
        shapes = np.sin(turn * (place + 1))
    return shapes / np.linalg.norm(shapes, axis=0), 2 - 2 * np.cos(turn)


def take_turns(canvas, boxes, shape):
    """Overlapping boxes: each in turn is hung on what the others made, until nothing moves.

    Until then only the lines of pixels on which another box hangs are followed.
    """
    seams = [seams_of(box, boxes) for box in boxes]
    for _ in range(TURNS):
        if max([follow(canvas, box, *seams[one], shape) for one, box in enumerate(boxes)]) < AGREED:
            break
    for box in boxes:
        hang(canvas, box[None], shape)


def seams_of(box, boxes):
    """Canvas rows and columns inside a box on which another box hangs."""
    lines = np.vstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:] + 1])
    inside = (lines > box[:2]) & (lines <= box[:2] + box[2:])
    return [np.unique(lines[inside[:, axis], axis]) for axis in (0, 1)]


def follow(canvas, box, rows, columns, shape):
    """Solve a box on some rows and columns of the canvas only; how far the pixels there moved."""
    top, left, height, width = box
    kind = kind_of(box, shape)
    vertical, horizontal, _ = modes(*kind)
    window = canvas[:, top:top + height + 2, left:left + width + 2]
    waves_in = spectrum(window[:, 1:-1, [0, -1]], window[:, [0, -1], 1:-1], kind)
    new_rows = vertical[rows - top - 1] @ waves_in @ horizontal.T
    new_columns = vertical @ (waves_in @ horizontal[columns - left - 1].T)
    moved = max(np.abs(window[:, rows - top, 1:-1] - new_rows).max(initial=0),
                np.abs(window[:, 1:-1, columns - left] - new_columns).max(initial=0))
    window[:, rows - top, 1:-1], window[:, 1:-1, columns - left] = new_rows, new_columns
    return moved


def solve_sparse(canvas, mask):
    """Any shape, by a sparse direct solver."""
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    inside, missing = np.pad(np.ones_like(mask), 1), np.pad(mask, 1)
    places = np.nonzero(missing)
    number = np.empty(missing.shape, int)
    number[places] = me = np.arange(len(places[0]))
    degree, pull, links = np.zeros(len(me)), np.zeros((len(me), len(canvas))), [(me, me)]
    for step in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        there = places[0] + step[0], places[1] + step[1]
        linked = missing[there]
        degree += inside[there]
        pull += np.where(linked, 0, canvas[:, *there]).T
        links.append((me[linked], number[there][linked]))
    entries = np.hstack(links)
    values = np.r_[degree, np.full(entries.shape[1] - len(me), -1.0)]
    factors = splu(csc_array((values, entries)), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    canvas[:, *places] = factors.solve(pull).T
