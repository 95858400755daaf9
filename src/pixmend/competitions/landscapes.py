"""Landscapes: black or white circles and squares over squares of larger photos; L1, L2, cosine similarity and Poisson loss.

The squares are cut at the photos' own scale. All metrics but the RMSE are over the whole image.
"""

from collections.abc import Iterable

import numpy as np

from pixmend.competitions.base import Shape
from pixmend.competitions.synthetic import QUICK_TRAINING, WHOLE_IMAGES, SyntheticCompetition
from pixmend.config import DownloadSettings
from pixmend.data import photos
from pixmend.data.damage import BLACK, WHITE, draw_shapes, scale_length
from pixmend.evaluation import metrics
from pixmend.submissions.pixel_csv import PixelCsv

SIDE = 256   # of an image; lengths below are in pixels of an image with this side
MAX_SHAPES, SHAPE_SIDES = 9, (32, 64)
MAX_SQUARES = 9   # of one photo


class Landscapes(SyntheticCompetition):
    """Circles and squares in one grey level."""

    def draw_mask(self, rng: np.random.Generator, shape: Shape, settings: DownloadSettings) -> np.ndarray:
        return draw_shapes(rng, shape, MAX_SHAPES, [scale_length(side, shape, at=SIDE) for side in SHAPE_SIDES])

    def hole_value(self, settings: DownloadSettings) -> int:
        return {"black": BLACK, "white": WHITE}[settings.hole_colour]

    def cut_images(self, rng: np.random.Generator, photo: photos.Photo, shape: Shape) -> Iterable[np.ndarray]:
        """Cut squares at random places, as many as fit beside each other; a photo smaller than a square is enlarged."""
        image, side = photos.convert_to_colour(photo.decode()), shape[0]
        if min(image.shape[:2]) < side:
            return [photos.resize_image(photos.cut_middle_square(image), shape)]
        fitting = (image.shape[0] // side) * (image.shape[1] // side)
        return [photos.cut_random_square(rng, image, side) for _ in range(photo.count or min(MAX_SQUARES, fitting))]


LANDSCAPES = Landscapes(
    slug="landscapes", submission=PixelCsv(), defaults=QUICK_TRAINING | {"size": SIDE, "model": "pix2pix"},
    model_defaults={"pix2pix": WHOLE_IMAGES},
    metrics={
        "l1": metrics.Metric(metrics.sum_all_absolute_errors, "mean absolute error over the whole image"),
        "l2": metrics.Metric(metrics.sum_all_squared_errors, "mean squared error over the whole image"),
        "cosine": metrics.Metric(metrics.compute_cosine_similarity,
                                 "cosine similarity of the predicted and the original image; higher is better"),
        "poisson": metrics.Metric(metrics.sum_poisson, "Poisson negative log likelihood of the whole image"),
    },
)
