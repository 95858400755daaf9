"""The prepared set as a network may see it where masks are hidden: with those that another network found, or with none.

A network that finds masks is told of every pixel that it may be missing. A painter under `--unknown-masks` gets the masks that the
run `--mask-run` found in the same pictures. Neither looks at the true ones, which training and scores take from `prepared`.
"""

from functools import lru_cache

import cv2
import numpy as np

from pixmend import files, models
from pixmend.data import dataset
from pixmend.data.dataset import AS_GIVEN, Prepared
from pixmend.errors import UserError
from pixmend.submissions import predictions

GROWN_PIXELS = 1   # pixels; measured on photos with the harmonic fill: none, 2 or 3 leave more error, in the hole and in whole pictures


class UnknownMaskDataset(Prepared):
    """A set whose masks nobody knows."""

    def __init__(self, ready):
        vars(self).update(vars(ready))
        self.made_from = ready.made_from | {"masks": "to be found"}

    def hole(self, row):
        return np.ones(self.counts.shape[1:], np.uint8)

    def seen(self, row, start):
        return self.damaged(row)


class LocatedMaskDataset(UnknownMaskDataset):
    """A set with the masks of holdout and test pictures that a run found."""

    def __init__(self, ready, folder):
        super().__init__(ready)
        paths = {split: folder / f"{split}.npz" for split in ("holdout", "test")}
        for path in paths.values():
            check_located_masks(path, self.made_from)
        self.found = {split: predictions.PredictionFile(path) for split, path in paths.items()}
        self.last = None, None, None
        self.made_from = ready.made_from | {"masks": [GROWN_PIXELS, *(files.stamp(path) for path in paths.values())]}

    def mask(self, row):
        """Where the run found that pixels are missing."""
        everywhere, found = super().hole(row), self.found["test" if row.split == "test" else "holdout"]
        return found.read_image(row.id, everywhere[..., None], everywhere > 0)[..., 0] > 0.5

    def hole(self, row):
        """The same, a little wider: painters go on from the rim, where a damaged pixel left spoils more than one repainted."""
        return cv2.dilate(np.uint8(self.mask(row)), np.ones((2 * GROWN_PIXELS + 1, 2 * GROWN_PIXELS + 1), np.uint8))

    def seen(self, row, start):
        return self.damaged(row) if start in AS_GIVEN else self._filled(row, start)

    def _filled(self, row, start):
        """Kept for the next views of the same picture."""
        if self.last[:2] != (row, start):
            filled = models.get_fill(start)(self.damaged(row) / np.float32(255), self.hole(row) > 0)
            self.last = row, start, np.rint(filled * 255).astype(np.uint8)
        return self.last[2]


def check_located_masks(path, wanted):
    """The file must hold masks, and of these very pictures."""
    run = path.parent.name
    if "masks" not in (made := predictions.read_metadata(path)["set"]) or isinstance(made["masks"], list):
        raise UserError(f"--mask-run {run} is a run that paints pictures; name one of a model that finds masks, as locate does.")
    if made != wanted:
        raise UserError(f"{path} was found in another prepared set than there is now; run `python -m pixmend predict --run {run}` "
                        f"with that run's flags again.")


def open_dataset_for_prediction(settings):
    """The prepared set with the masks that a painter is told: the true ones, or under --unknown-masks those found."""
    ready, was = dataset.open_for(settings), (files.read_json(settings.trained_folder / "settings.json") or {}).get("unknown_masks")
    if was not in (None, settings.unknown_masks):
        raise UserError(f"{settings.run_folder} was trained with --{'' if was else 'no-'}hide-mask; say so again, or choose "
                        f"another --run.")
    return open_located_masks(settings, ready) if settings.unknown_masks else ready


def open_located_masks(settings, ready):
    """The set with the masks of the run --mask-run."""
    folder = settings.run_folder.with_name(settings.mask_run)
    if not (folder / "test.npz").exists():
        raise UserError(f"{folder} holds no masks that were found: with --unknown-masks, first run `python -m pixmend train` and "
                        f"`predict` with --model locate and the same flags, or name another run with --mask-run.")
    return LocatedMaskDataset(ready, folder)


@lru_cache(1)
def open_prediction_dataset_cached(settings):
    """The same for a worker process, whose many chunks share it."""
    return open_dataset_for_prediction(settings)
