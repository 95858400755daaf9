"""Missing pixels: in each 8x8 block of a grey image the middle 2x2 is missing; mean squared error over the whole image.

Each of a user's photos is turned grey and resized to one image, its proportions changed.
"""

from collections.abc import Iterable

import numpy as np

from pixmend.competitions.base import Shape
from pixmend.competitions.synthetic import QUICK_TRAINING, WHOLE_IMAGES, SyntheticCompetition
from pixmend.config import DownloadSettings
from pixmend.data.damage import count_block_holes
from pixmend.data.photos import Photo
from pixmend.evaluation.metrics import Metric, sum_all_squared_errors_255
from pixmend.submissions.pixel_csv import PixelCsv

BLOCK, MISSING = 8, (3, 4)   # pixels a side; rows and columns of a block that are missing


class MissingPixels(SyntheticCompetition):
    """A lattice of small black holes, the same in every image."""

    def draw_mask(self, rng: np.random.Generator, shape: Shape, settings: DownloadSettings) -> np.ndarray:
        return count_block_holes(shape, BLOCK, MISSING)

    def cut_squares(self, rng: np.random.Generator, photo: Photo, side: int) -> Iterable[np.ndarray]:
        """Yield squares of a photo, or all of it, its proportions changed."""
        return super().cut_squares(rng, photo, side) if photo.count else [photo.decode()]


MISSING_PIXELS = MissingPixels(
    slug="missing-pixels", submission=PixelCsv(),
    defaults=QUICK_TRAINING | {"size": 256, "channels": 1, "model": "lattice_mlp", "start": "biharmonic"},
    model_defaults={"pix2pix": WHOLE_IMAGES | {"start": "biharmonic"}},
    metrics={"mse_255": Metric(sum_all_squared_errors_255, "mean squared error over the whole image, values 0 to 255")},
)
