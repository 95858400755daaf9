"""Depixelation: one box of a small grey picture is pixelated, each tile its mean; RMSE of its pixels in 0..255, a binary file.

The short side of a photo is resized, its middle cut out and turned grey by its light. The damaged picture shows the tiles
in its box, so their means are known: a network starts from the smoothest surface that has them, and they are held in what it
paints.
"""

from pixmend.competitions import synthetic
from pixmend.competitions.synthetic import made_from, read
from pixmend.data import photos
from pixmend.data.damage import box_counts, one_box, pixelated, scaled
from pixmend.data.grey import grey_by_light
from pixmend.evaluation.metrics import Score, squared_errors_255
from pixmend.fills.tiles import find_tile_boxes as parts
from pixmend.fills.tiles import restore_tile_means as hold
from pixmend.submissions import pixel_bytes
from pixmend.submissions.pixel_bytes import ENDING, SAMPLE, as_sent, check, grade, told, write

__all__ = ["DEFAULTS", "ENDING", "SAMPLE", "SCORES", "SLUG", "as_sent", "check", "damage", "grade", "hold", "made_from", "make",
           "parts", "read", "told", "write"]

SLUG = "depixelation"
SIDE = 64
DEFAULTS = synthetic.QUICK | {"size": SIDE, "channels": 1, "model": "tile_mlp", "start": "tile_smooth"}
SCORES = {"rmse_255": Score(squared_errors_255, "RMSE of the pixelated area, values 0 to 255", root=True)}
BOX, TILE = (4, 32), (4, 16)   # pixels a side, at SIDE
TIMES = 5   # so small pictures are cheap: as many times more of them from each photo inside a package


def damage(rng, picture, settings):
    """A picture with one box in tiles, and the box as counts."""
    (shortest, longest), (small, large) = ([scaled(side, picture.shape, at=SIDE) for side in sides] for sides in (BOX, TILE))
    box = one_box(rng, picture.shape, shortest, longest)
    return pixelated(picture, box, int(rng.integers(small, large + 1))), box_counts([box], picture.shape)


def cut(rng, photo, shape):
    picture = photo.picture()
    middle = [photos.square_in_the_middle(picture)]
    squares = photos.squares(rng, picture, TIMES * photo.count, shape[0]) if photo.count else middle
    return [grey_by_light(photos.resized(square, shape)) for square in squares]


def make(folder, settings):
    synthetic.make(folder, settings, SLUG, cut, damage, pixel_bytes)
