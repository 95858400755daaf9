"""Masks of pictures: a file or folder of masks, the transparency of the picture, or what a run that finds masks finds.

A mask is bool, height x width, True where pixels are missing.
"""

from pathlib import Path

import numpy as np

from pixmend import models
from pixmend.config import Settings
from pixmend.data.dataset import list_fold_folders
from pixmend.data.picture_files import Picture, read_picture
from pixmend.errors import UserError
from pixmend.files import PathLike
from pixmend.mending.restorers import check_channels, find_run, load_network, show_as_colour
from pixmend.training import checkpoints
from pixmend.training.run import load_run_settings
from pixmend.training.unknown_masks import enlarge_mask

ALPHA, AUTOMATIC = "alpha", "auto"   # of --mask
MARGIN_SHARE = 8   # one part in so many of a tile's side is its border, whose mask is taken from the next tile
HALF = 0.5


def read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return the mask in a picture file: white where pixels are missing."""
    return to_mask(path, read_picture(path), shape)


def to_mask(path: PathLike, picture: Picture, shape: tuple[int, int]) -> np.ndarray:
    """Return where a picture, whose path is for messages, is white."""
    colours = picture.colours
    if colours.shape[:2] != shape:
        raise UserError(f"{path} has {colours.shape[1]}x{colours.shape[0]} pixels, and its picture {shape[1]}x{shape[0]}. "
                        f"Give a mask of the same size.")
    if not colours.any():   # a black mask: nothing is missing
        return np.zeros(shape, bool)
    largest = np.iinfo(colours.dtype).max
    white = np.asarray(colours.mean(2) > HALF * largest)
    if not white.any():
        raise UserError(f"{path} is white nowhere: its largest value is {colours.max()} of {largest}. A mask is white "
                        f"({largest}) where pixels are missing, and black (0) elsewhere.")
    return white


def read_transparency(picture: Picture, path: Path) -> np.ndarray:
    """Return where a picture is mostly transparent."""
    if picture.alpha is None:
        raise UserError(f"{path} has no transparency, so --mask alpha has nothing to go by. Give --mask a file or a folder.")
    return picture.alpha < HALF * picture.largest


class MaskFinder:
    """A run of a model that finds masks, such as locate, or the mean of its folds; it looks at a picture tile by tile."""

    def __init__(self, settings: Settings) -> None:
        self.settings = load_run_settings(settings)
        self.networks = [load_network(settings, checkpoints.find_weights(settings.trained_folder, fold, settings.snapshot))
                         for fold in list_fold_folders(self.settings.folds)]

    def find_mask(self, image: np.ndarray) -> np.ndarray:
        """Return the mask of an image, float32 in 0..1, height x width x channels, enlarged as for `--unknown-masks`."""
        image = show_as_colour(image, self.settings.channels)
        check_channels(image, self.settings)
        size, (height, width) = self.settings.size, image.shape[:2]
        margin = size // MARGIN_SHARE
        step = size - 2 * margin
        rows, columns = (-(-length // step) for length in (height, width))
        after = rows * step + margin - height, columns * step + margin - width
        padded = np.pad(image, ((margin, after[0]), (margin, after[1]), (0, 0)), "symmetric")
        mask = np.zeros((rows * step, columns * step), bool)
        for row in range(0, rows * step, step):
            for column in range(0, columns * step, step):
                found = self._predict(padded[row:row + size, column:column + size])
                mask[row:row + step, column:column + step] = found[margin:-margin, margin:-margin] > HALF
        return enlarge_mask(mask[:height, :width])

    def _predict(self, tile: np.ndarray) -> np.ndarray:
        """Return the probability of each pixel of a tile that it is missing."""
        inputs = [tile[None], np.ones((1, *tile.shape[:2], 1), np.float32)]
        return np.asarray(np.mean([network.predict_on_batch(inputs)[0, ..., 0] for network in self.networks], 0))


def open_mask_finder(settings: Settings) -> MaskFinder:
    """Return the run --mask-run, which must be one that finds masks."""
    run = find_run(settings.mask_run, settings)
    if run is None:
        raise UserError(f"There is no run {settings.mask_run!r}, which --mask auto needs. Train it first: pixmend train --model "
                        f"locate --run {settings.mask_run}")
    if not models.run_finds_masks(run):
        raise UserError(f"The run {settings.mask_run!r} restores images and finds no masks. Give --mask-run a run of the model "
                        f"locate.")
    return MaskFinder(run)
