"""Hidden areas: one to three boxes and circles are pixelated, blurred, black or white, and nobody says where.

The archive holds the masks, for training and scoring only: `--unknown-masks` is the default, so that a network gets those that
another one found.
"""

import cv2
import numpy as np

from pixmend.competitions.base import Shape
from pixmend.competitions.synthetic import QUICK_TRAINING, WHOLE_IMAGES, SyntheticCompetition
from pixmend.config import DownloadSettings
from pixmend.data.damage import BLACK, WHITE, Box, count_boxes, draw_box, make_disc, pixelate_box, scale_length
from pixmend.submissions.pixel_csv import PixelCsv

SIDE = 256   # of an image; lengths below are in pixels of an image with this side
MAX_AREAS, AREA_SIDES, TILE_SIDES = 3, (12, 96), (4, 16)
BLURS = (2, 8)   # standard deviations
TRIES = 20   # of placing an area where it touches no other


class HiddenAreas(SyntheticCompetition):
    """Areas that are each damaged in their own way."""

    def draw_mask(self, rng: np.random.Generator, shape: Shape, settings: DownloadSettings) -> np.ndarray:
        """Draw the areas; how each is damaged is drawn with it, so this damages an image for its mask."""
        return self.damage_image(rng, np.zeros(shape, np.uint8), settings)[1]

    def damage_image(self, rng: np.random.Generator, image: np.ndarray,
                     settings: DownloadSettings) -> tuple[np.ndarray, np.ndarray]:
        """Damage one to three areas that do not touch each other."""
        damaged, counts = image, np.zeros(image.shape[:2], np.uint8)
        for _ in range(rng.integers(1, MAX_AREAS + 1)):
            if box := draw_free_box(rng, counts):
                inside = draw_area(rng, box, counts.shape)
                damaged = np.where(inside[..., None], damage_box(rng, image, box), damaged)
                counts[inside] = 1
        return damaged, counts


def draw_free_box(rng: np.random.Generator, counts: np.ndarray) -> Box | None:
    """Draw a box that touches no area so far, or return None where all tries touched one."""
    for _ in range(TRIES):
        row, column, height, width = draw_box(rng, counts.shape, AREA_SIDES, at=SIDE)
        if not counts[max(row - 1, 0):row + height + 1, max(column - 1, 0):column + width + 1].any():
            return row, column, height, width
    return None


def draw_area(rng: np.random.Generator, box: Box, shape: tuple[int, ...]) -> np.ndarray:
    """Return a mask of the box, or of the circle that fits into its upper left corner."""
    row, column, height, width = box
    if rng.random() < 0.5:
        return count_boxes([box], shape) > 0
    inside, side = np.zeros(shape, bool), min(height, width)
    inside[row:row + side, column:column + side] = make_disc((side, side))
    return inside


def damage_box(rng: np.random.Generator, image: np.ndarray, box: Box) -> np.ndarray:
    """Return the image damaged in one of four ways at least inside the box."""
    tile = scale_length(int(rng.integers(TILE_SIDES[0], TILE_SIDES[1] + 1)), image.shape, at=SIDE)
    deviation = rng.uniform(*BLURS) * min(image.shape[:2]) / SIDE
    way = rng.integers(4)
    if way == 0:
        return pixelate_box(image, box, tile)
    if way == 1:
        return cv2.GaussianBlur(image, (0, 0), deviation).reshape(image.shape)
    return np.full_like(image, BLACK if way == 2 else WHITE)


HIDDEN_AREAS = HiddenAreas(
    slug="hidden-areas", submission=PixelCsv(),
    defaults=QUICK_TRAINING | {"size": SIDE, "unknown_masks": True, "model": "pix2pix"}, model_defaults={"pix2pix": WHOLE_IMAGES})
