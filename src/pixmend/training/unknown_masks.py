"""Datasets for competitions in which masks are unknown: a network must find them, or another one has found them.

A network that finds masks is given every pixel as possibly missing. With --unknown-masks, a network that restores images is given
the masks that the run --mask-run has found. Both read only the damaged images; training and scores use the true masks.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from pixmend import files, models, run_file
from pixmend.config import Settings, flag
from pixmend.data import dataset as datasets
from pixmend.data.dataset import UNFILLED, Dataset, DatasetRow
from pixmend.errors import UserError
from pixmend.setting_values import format_folder_command, format_off, format_stage_command
from pixmend.submissions import predictions

# By how many pixels found masks are enlarged. Measured on photos with the harmonic fill: 0, 2 and 3 pixels leave more error, in
# the holes and in whole images.
GROWN_PIXELS = 1


class UnknownMaskDataset(Dataset):
    """A dataset whose masks are unknown: any pixel may be missing. It opens the files of another dataset once more."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset.folder, dataset.cache_key | {"masks": "to be found"})
        self.fold = dataset.fold

    def read_counts(self, row: DatasetRow) -> np.ndarray:
        return np.ones(self.counts.shape[1:], np.uint8)

    def read_input(self, row: DatasetRow, start: str) -> np.ndarray:
        return self.read_damaged(row)


class LocatedMaskDataset(UnknownMaskDataset):
    """A dataset with the masks that a run has found in holdout and test images."""

    def __init__(self, dataset: Dataset, run_folder: Path) -> None:
        super().__init__(dataset)
        paths = {split: run_folder / f"{split}.npz" for split in ("holdout", "test")}
        for path in paths.values():
            found = predictions.read_metadata(path)["set"]
            if found.get("masks") != self.cache_key["masks"]:
                raise UserError(f"{flag('mask_run')} {run_folder.name} is a run that restores images ({path}). Name the run of a "
                                f"model that finds masks, for example locate.")
            if found != self.cache_key:
                raise UserError(f"{path} holds masks of another dataset than there is now. "
                                f"Predict them again: {format_folder_command('predict', run_folder)}")
        self.predictions = {split: predictions.PredictionFile(path) for split, path in paths.items()}
        self.last_filled: tuple[DatasetRow, str, np.ndarray] | None = None
        self.cache_key = dataset.cache_key | {"masks": [GROWN_PIXELS, *(files.file_signature(path) for path in paths.values())]}

    def mask(self, row: DatasetRow) -> np.ndarray:
        """Return the mask that the run found: bool, (height, width)."""
        all_pixels, found = super().read_counts(row), self.predictions["test" if row.split == "test" else "holdout"]
        return found.read_image(row.id, all_pixels[..., None], all_pixels > 0)[..., 0] > 0.5

    def read_counts(self, row: DatasetRow) -> np.ndarray:
        """Return the same mask, enlarged, as counts."""
        return enlarge_mask(self.mask(row)).astype(np.uint8)

    def read_input(self, row: DatasetRow, start: str) -> np.ndarray:
        """Return the damaged image with what was found filled; the last one is remembered for further views of it."""
        if start in UNFILLED:
            return self.read_damaged(row)
        if self.last_filled is None or self.last_filled[:2] != (row, start):
            filled = models.get_fill(start)(self.read_damaged(row) / np.float32(255), self.read_counts(row) > 0)
            self.last_filled = row, start, np.rint(filled * 255).astype(np.uint8)
        return self.last_filled[2]


def enlarge_mask(mask: np.ndarray) -> np.ndarray:
    """Return a found mask, enlarged: a damaged pixel left beside a hole costs more than a known one replaced."""
    side = 2 * GROWN_PIXELS + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def open_dataset_for_prediction(settings: Settings) -> Dataset:
    """Open the dataset with the masks that a run is given: the true ones, or with --unknown-masks those that were found."""
    dataset, stored = datasets.open_dataset(settings), run_file.read_trained(settings.trained_folder) or {}
    if stored.get("unknown_masks", settings.unknown_masks) != settings.unknown_masks:
        given = flag("unknown_masks") if stored["unknown_masks"] else format_off("unknown_masks")
        raise UserError(f"Run {settings.run!r} was trained with {given} ({settings.trained_folder}). "
                        f"Give {given}, or another --run.")
    return open_located_masks(settings, dataset) if settings.unknown_masks else dataset


def open_located_masks(settings: Settings, dataset: Dataset) -> LocatedMaskDataset:
    """Open the dataset with the masks of the run --mask-run."""
    folder = settings.run_folder.with_name(settings.mask_run)
    if not (folder / "test.npz").exists():
        finder = replace(settings, run=settings.mask_run, stored=False, given=settings.given - {"unknown_masks"} | {"run"})
        raise UserError(f"Run {settings.mask_run!r} has found no masks ({folder}/test.npz), which {flag('unknown_masks')} needs. "
                        f"First run `{format_stage_command('train', finder)} --model locate` and "
                        f"`{format_stage_command('predict', finder)}`, or name another run with {flag('mask_run')}.")
    return LocatedMaskDataset(dataset, folder)


open_prediction_dataset_cached = lru_cache(1)(open_dataset_for_prediction)   # opened once for all chunks of a worker process
