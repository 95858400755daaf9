"""Landscapes: circles and squares pasted over squares of larger photos, black or white; L1, L2, cosine similarity and Poisson.

The squares are cut at the photos' own scale. Scores but the RMSE are over the whole mended picture.
"""

from pixmend.competitions import synthetic
from pixmend.competitions.synthetic import made_from, read
from pixmend.data import photos
from pixmend.data.damage import BLACK, WHITE, covered, pasted_shapes, scaled
from pixmend.data.grey import in_colour
from pixmend.evaluation import metrics
from pixmend.evaluation.metrics import Score
from pixmend.submissions import pixel_csv
from pixmend.submissions.pixel_csv import ENDING, SAMPLE, as_sent, check, grade, told, write

__all__ = ["DEFAULTS", "ENDING", "SAMPLE", "SCORES", "SLUG", "as_sent", "check", "damage", "grade", "made_from", "make", "read",
           "told", "write"]

SLUG = "landscapes"
SIDE = 256
DEFAULTS = synthetic.QUICK | {"size": SIDE}
SCORES = {
    "l1": Score(metrics.all_absolute_errors, "mean absolute error over the whole picture"),
    "l2": Score(metrics.all_squared_errors, "mean squared error over the whole picture"),
    "cosine": Score(metrics.cosine_similarity, "cosine similarity of the mended and the whole picture; higher is better"),
    "poisson": Score(metrics.poisson, "Poisson negative log likelihood of the whole picture"),
}
MOST_SHAPES, SIDES = 9, (32, 64)   # pixels, at SIDE
FILLINGS = {"black": BLACK, "white": WHITE}
MOST_SQUARES = 9   # of one photo


def missing(rng, shape, settings):
    return pasted_shapes(rng, shape, MOST_SHAPES, [scaled(side, shape, at=SIDE) for side in SIDES])


def cover(settings):
    return FILLINGS[settings.filling]


def damage(rng, picture, settings):
    counts = missing(rng, picture.shape, settings)
    return covered(picture, counts, cover(settings)), counts


def cut(rng, photo, shape):
    """Squares at random places, as many as a photo has room for; a photo without room for one is enlarged."""
    picture, side = in_colour(photo.picture()), shape[0]
    if min(picture.shape[:2]) < side:
        return [photos.resized(photos.square_in_the_middle(picture), shape)]
    room = (picture.shape[0] // side) * (picture.shape[1] // side)
    return [photos.square_at_random(rng, picture, side) for _ in range(photo.count or min(MOST_SQUARES, room))]


def make(folder, settings):
    synthetic.make(folder, settings, SLUG, cut, damage, pixel_csv)
