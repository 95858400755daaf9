"""What mends a picture: a fill, or a trained run, which also takes pictures of other sizes than those it was trained on.

An image is float32 in 0..1, height x width x channels (3, or 1 where it is grey); a mask is bool, height x width, True where
pixels are missing. A restored image has the image's own pixels, bit for bit, outside the mask.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from pixmend import competitions, files, models, run_file
from pixmend.config import Settings, group_values
from pixmend.data import windows
from pixmend.data.damage import Box, slice_box
from pixmend.data.dataset import UNFILLED, DatasetRow, list_fold_folders
from pixmend.data.paste import paste_predictions
from pixmend.errors import UserError, suggest
from pixmend.fills import FILLS, Fill
from pixmend.setting_values import format_run_command, is_shared_run
from pixmend.sharing.shared_run import fetch_run
from pixmend.training import checkpoints
from pixmend.training.run import load_run_settings
from pixmend.training.run_predictions import build_run_network

if TYPE_CHECKING:
    import keras

BEST_FILL, USUAL_START = "photos", "smooth"   # without a run; and for a network that needs a fill and has none
LEAST_SURROUNDINGS = 4 / 3   # sides of the hole that a network on whole images sees at least
MAX_MISSING = 1_000_000   # pixels of an image that a fill's solver takes at once
LEAST_SHARE = 1e-3   # of a cell's area, below which none of it counts as known
PICTURE_ROW = DatasetRow("picture", source="picture", label="", variant=0, split="test", damaged=0, original=-1)


class Restorer(Protocol):
    """What mends a picture."""

    name: str

    def restore(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray: ...

    def describe_version(self) -> Any: ...


class FillRestorer:
    """A fill of --model."""

    def __init__(self, name: str) -> None:
        self.name, self.fill = name, partial(fill_image, models.get_fill(name))

    def restore(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return paste_predictions(image, mask, self.fill(image, mask))

    def describe_version(self) -> Any:
        return models.identify_fill(self.name)


def fill_image(fill: Fill, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill an image; one with too many missing pixels for the memory of a solver is filled at half its size, and enlarged."""
    if np.count_nonzero(mask) <= MAX_MISSING:
        return fill(image, mask)
    known, size = (~mask).astype(np.float32), (-(-mask.shape[1] // 2), -(-mask.shape[0] // 2))
    share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)[..., None]
    colours = cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA).reshape(*share.shape[:2], -1)
    filled = fill_image(fill, colours / np.maximum(share, LEAST_SHARE), share[..., 0] < LEAST_SHARE)
    enlarged = cv2.resize(filled, mask.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(image.shape)
    return np.where(mask[..., None], enlarged, image)


class PictureSource:
    """One damaged picture in the place of a dataset: uint8, and a mask. It is filled once."""

    def __init__(self, image: np.ndarray, mask: np.ndarray) -> None:
        self.image, self.mask = np.rint(image * 255).astype(np.uint8), mask
        self.filled: dict[str, np.ndarray] = {}

    def read_damaged(self, row: DatasetRow) -> np.ndarray:
        return self.image

    def read_counts(self, row: DatasetRow) -> np.ndarray:
        return self.mask.astype(np.uint8)

    def read_input(self, row: DatasetRow, start: str) -> np.ndarray:
        if start in UNFILLED:
            return self.image
        if start not in self.filled:
            filled = fill_image(models.get_fill(start), self.image / np.float32(255), self.mask)
            self.filled[start] = np.rint(filled * 255).astype(np.uint8)
        return self.filled[start]


class RunRestorer:
    """A trained run: its network, or with --folds those of all folds, whose mean is taken."""

    def __init__(self, settings: Settings) -> None:
        self.name, self.settings = settings.run, load_run_settings(settings)
        self.networks: list[keras.Model] = []
        self.weights = [checkpoints.find_weights(settings.trained_folder, fold, settings.snapshot)
                        for fold in list_fold_folders(self.settings.folds)]
        if reason := models.explain_no_mending(self.settings.model):
            raise UserError(f"The run {self.name!r} cannot mend pictures: {reason}.")

    def describe_version(self) -> Any:
        return [self.name, self.settings.tta, self.settings.predict_mode, [files.file_signature(path) for path in self.weights]]

    def build_networks(self) -> "list[keras.Model]":
        """Return the networks, which are built once, at the first picture: Keras takes seconds to start."""
        if not self.networks:
            self.networks = [load_network(self.settings, path) for path in self.weights]
        return self.networks

    def restore(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        check_channels(image, self.settings)
        image = self._hide_missing_pixels(image, mask)
        restored = self._predict(image, mask) if self.settings.window else self._restore_in_squares(image, mask)
        return paste_predictions(image, mask, restored)

    def _hide_missing_pixels(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Give missing pixels the colour that they had in training, whatever the picture shows there."""
        value = competitions.get_damage_competition(self.settings).hole_value(self.settings)
        return image if value is None else np.where(mask[..., None], np.float32(value / 255), image)

    def _predict(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the mean of what the networks make of an image that they can take."""
        networks, source = self.build_networks(), PictureSource(image, mask)
        from pixmend.training.inference import predict_images  # imports Keras, which has been started now

        images = [next(predict_images(network, source, [PICTURE_ROW], self.settings, self.settings.tta)) for network in networks]
        return np.asarray(np.mean(images, axis=0, dtype=np.float32))

    def _restore_in_squares(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Give a network on whole images a square around each hole, and enlarge what it changes in the fill."""
        size, start = self.settings.size, self.settings.start
        filled = fill_image(models.get_fill(start if start in FILLS else USUAL_START), image, mask)
        restored = filled.copy()
        for hole in windows.find_bounding_boxes(mask.astype(np.uint8)):
            square = find_square(hole, mask.shape, size)
            cells = windows.cut_window(image, square, 1, size)
            missing = windows.cut_window(mask.astype(np.float32), square, 1, size, beyond=1.0) > 0
            change = self._predict(cells, missing) - windows.cut_window(filled, square, 1, size)
            enlarged = windows.enlarge_box(change, square, 1)
            row, column, height, width = hole
            inside_square = slice_box((row - square[0], column - square[1], height, width))
            restored[slice_box(hole)] = filled[slice_box(hole)] + enlarged[inside_square]
        return restored


def check_channels(image: np.ndarray, settings: Settings) -> None:
    if image.shape[2] != settings.channels:
        kind = "grey" if settings.channels == 1 else "colour"
        raise UserError(f"The run {settings.run!r} was trained on {kind} images, and this picture is not one.")


def show_as_colour(image: np.ndarray, channels: int) -> np.ndarray:
    """Return a grey image as a colourless one with three channels for a run that was trained on colours."""
    return np.repeat(image, 3, 2) if image.shape[2] < channels else image


def load_network(settings: Settings, weights: Path) -> "keras.Model":
    """Return the network of a run with its trained weights."""
    network, _ = build_run_network(settings)
    from pixmend.training import setup  # imports Keras, which has been started now

    setup.load_weights(network, weights)
    return network


def find_square(hole: Box, shape: tuple[int, ...], size: int) -> Box:
    """Return a square around a hole, at least `size` wide, inside the picture where that is large enough."""
    row, column, height, width = hole
    side = max(size, round(LEAST_SURROUNDINGS * max(height, width)))
    corners = []
    for at, length, whole in ((row, height, shape[0]), (column, width, shape[1])):
        middle = at + length // 2 - side // 2
        corners.append(min(max(middle, 0), whole - side) if whole >= side else (whole - side) // 2)
    return corners[0], corners[1], side, side


def open_restorer(name: str, settings: Settings) -> Restorer:
    """Return what mends pictures by its name: a run, or else a fill."""
    run = find_run(name, settings)
    if run is None:
        if models.is_fill(name):
            return FillRestorer(name)
        raise UserError(f"There is no fill {name!r}, and no run of this name in {settings.home}.{suggest(name, FILLS)} "
                        f"Fills: {', '.join(FILLS)}. Train a run first: {format_run_command('train', name, settings)}")
    return FillRestorer(run.model) if models.is_fill(run.model) else RunRestorer(run)


def find_run(name: str, settings: Settings) -> Settings | None:
    """Return the settings of a run by its name, in --competition or in the only one that has such a run, or of a shared one."""
    of_flags = {key: value for key, value in group_values(settings, "prediction").items() if key in settings.given}
    if is_shared_run(name):
        return replace(fetch_run(name, Path(settings.home)), **of_flags)
    named = "competition" in settings.given or "damage" in settings.given
    path = run_file.find_run_file(Path(settings.home), name, settings.dataset_name if named else None)
    if path is None:
        return None
    return replace(run_file.load_run(path), run=name, home=settings.home, **of_flags)
