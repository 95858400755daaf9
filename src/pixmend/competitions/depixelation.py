"""Depixelation: one box of a small grey image is pixelated; RMSE of its pixels in 0..255, submitted as a binary file.

A photo's middle square is resized and turned grey by its light. The damaged image shows the mean of each tile in its box: a
network starts from the smoothest surface with these means, and its predictions are made to have them.
"""

from collections.abc import Iterable

import numpy as np

from pixmend.competitions.base import Shape
from pixmend.competitions.synthetic import QUICK_TRAINING, WHOLE_IMAGES, SyntheticCompetition
from pixmend.config import DownloadSettings
from pixmend.data import photos
from pixmend.data.damage import Box, count_boxes, draw_box, pixelate_box, scale_length
from pixmend.evaluation.metrics import Metric, sum_squared_errors_255
from pixmend.fills import tiles
from pixmend.submissions.pixel_bytes import PixelBytes

SIDE = 64   # of an image; lengths below are in pixels of an image with this side
BOX_SIDES, TILE_SIDES = (4, 32), (4, 16)
PIECES_PER_SQUARE = 5   # images this small are cheap: so many times more of them are cut from each photo inside a package


class Depixelation(SyntheticCompetition):
    """One box in tiles, each of which shows its mean."""

    def draw_mask(self, rng: np.random.Generator, shape: Shape, settings: DownloadSettings) -> np.ndarray:
        return count_boxes([draw_box(rng, shape, BOX_SIDES, at=SIDE)], shape)

    def damage_image(self, rng: np.random.Generator, image: np.ndarray,
                     settings: DownloadSettings) -> tuple[np.ndarray, np.ndarray]:
        """Pixelate one box, in tiles of one size."""
        box = draw_box(rng, image.shape, BOX_SIDES, at=SIDE)
        smallest, largest = (scale_length(side, image.shape, at=SIDE) for side in TILE_SIDES)
        return pixelate_box(image, box, int(rng.integers(smallest, largest + 1))), count_boxes([box], image.shape)

    def find_boxes(self, damaged: np.ndarray, counts: np.ndarray) -> list[Box]:
        return tiles.find_tile_boxes(damaged, counts > 0)

    def apply_constraint(self, prediction: np.ndarray, damaged: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Move each tile evenly, so that its mean is the one that the damaged image shows."""
        return tiles.restore_tile_means(prediction, damaged, mask)

    def cut_images(self, rng: np.random.Generator, photo: photos.Photo, shape: Shape) -> Iterable[np.ndarray]:
        squares = photos.cut_squares(rng, photo.decode(), photo.count and PIECES_PER_SQUARE * photo.count, shape[0])
        return [photos.convert_to_grey_by_light(photos.resize_image(square, shape)) for square in squares]


DEPIXELATION = Depixelation(
    slug="depixelation", submission=PixelBytes(),
    defaults=QUICK_TRAINING | {"size": SIDE, "channels": 1, "model": "tile_mlp", "start": "tile_smooth"},
    model_defaults={"pix2pix": WHOLE_IMAGES | {"start": "tile_smooth"}},
    metrics={"rmse_255": Metric(sum_squared_errors_255, "RMSE of the pixelated area, values 0 to 255", root=True)},
)
