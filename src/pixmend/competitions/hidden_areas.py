"""Hidden areas: one to three boxes and circles of a photo are pixelated, blurred, black or white, and nobody says where.

The middle of each photo is resized to one picture; of the photos inside packages, squares of several scales are. The masks are
in the archive for training and scoring; `--hide-mask` is the default here: a painter is told only of those that a network found.
"""

import numpy as np

from pixmend.competitions import synthetic
from pixmend.competitions.synthetic import made_from, read
from pixmend.data import photos
from pixmend.data.damage import BLACK, WHITE, blurred, disc, one_box, pixelated, scaled
from pixmend.data.grey import in_colour
from pixmend.submissions import pixel_csv
from pixmend.submissions.pixel_csv import ENDING, SAMPLE, as_sent, check, grade, told, write

__all__ = ["DEFAULTS", "ENDING", "SAMPLE", "SCORES", "SLUG", "as_sent", "check", "damage", "grade", "made_from", "make", "read",
           "told", "write"]

SLUG = "hidden-areas"
SIDE = 256
DEFAULTS = synthetic.QUICK | {"size": SIDE, "hide_mask": True}
SCORES = {}
MOST_AREAS, SIDES, TILES, BLURS = 3, (12, 96), (4, 16), (2, 8)   # pixels, at SIDE; of a blur, its standard deviation
TRIES = 20   # of finding an area a place that touches no other


def damage(rng, picture, settings):
    """A picture with its areas, each worn in its own way, and where they are as counts."""
    whole, counts = picture, np.zeros(picture.shape[:2], np.uint8)
    for _ in range(rng.integers(1, MOST_AREAS + 1)):
        if box := free_place(rng, counts):
            inside = area(rng, box, counts.shape)
            picture = np.where(inside[..., None], worn(rng, whole, box), picture)
            counts[inside] = 1
    return picture, counts


def free_place(rng, counts):
    """A box that touches no area, or None where all tries met one."""
    sides = [scaled(side, counts.shape, at=SIDE) for side in SIDES]
    for row, column, height, width in (one_box(rng, counts.shape, *sides) for _ in range(TRIES)):
        if not counts[max(row - 1, 0):row + height + 1, max(column - 1, 0):column + width + 1].any():
            return row, column, height, width
    return None


def area(rng, box, shape):
    """True in a box, or in the circle that fits into its upper left corner."""
    row, column, height, width = box
    inside, side = np.zeros(shape, bool), min(height, width)
    if rng.random() < 0.5:
        inside[row:row + height, column:column + width] = True
    else:
        inside[row:row + side, column:column + side] = disc((side, side))
    return inside


def worn(rng, picture, box):
    """The picture with a box of it worn away, in one of four ways."""
    tile = scaled(int(rng.integers(TILES[0], TILES[1] + 1)), picture.shape, at=SIDE)
    deviation = rng.uniform(*BLURS) * min(picture.shape[:2]) / SIDE
    ways = (lambda: pixelated(picture, box, tile), lambda: blurred(picture, deviation),
            lambda: np.full_like(picture, BLACK), lambda: np.full_like(picture, WHITE))
    return ways[rng.integers(len(ways))]()


def cut(rng, photo, shape):
    picture = in_colour(photo.picture())
    squares = photos.squares(rng, picture, photo.count, shape[0]) if photo.count else [photos.square_in_the_middle(picture)]
    return [photos.resized(square, shape) for square in squares]


def make(folder, settings):
    synthetic.make(folder, settings, SLUG, cut, damage, pixel_csv)
