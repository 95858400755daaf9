"""Missing pixels: in each 8x8 block of a grey picture the middle 2x2 is gone; mean squared error over the whole picture.

Each photo is turned grey and resized to one picture; of the photos inside packages, squares of several scales are.
"""

from pixmend.competitions import synthetic
from pixmend.competitions.synthetic import made_from, read
from pixmend.data import photos
from pixmend.data.damage import BLACK, covered, holes_in_blocks
from pixmend.data.grey import grey
from pixmend.evaluation.metrics import Score, all_squared_errors_255
from pixmend.submissions import pixel_csv
from pixmend.submissions.pixel_csv import ENDING, SAMPLE, as_sent, check, grade, told, write

__all__ = ["DEFAULTS", "ENDING", "SAMPLE", "SCORES", "SLUG", "as_sent", "check", "damage", "grade", "made_from", "make", "read",
           "told", "write"]

SLUG = "missing-pixels"
DEFAULTS = synthetic.QUICK | {"size": 256, "channels": 1, "model": "lattice_mlp", "start": "biharmonic"}
SCORES = {"mse_255": Score(all_squared_errors_255, "mean squared error over the whole picture, values 0 to 255")}
BLOCK, MISSING = 8, (3, 4)


def missing(rng, shape, settings):
    """The same for every picture."""
    return holes_in_blocks(shape, BLOCK, MISSING)


def cover(settings):
    return BLACK


def damage(rng, picture, settings):
    counts = missing(rng, picture.shape, settings)
    return covered(picture, counts), counts


def cut(rng, photo, shape):
    picture = photo.picture()
    squares = photos.squares(rng, picture, photo.count, shape[0]) if photo.count else [picture]
    return [photos.resized(grey(square), shape) for square in squares]


def make(folder, settings):
    synthetic.make(folder, settings, SLUG, cut, damage, pixel_csv)
