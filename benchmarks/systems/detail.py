"""How sharp a run's predictions are: the mean difference of neighbouring missing pixels, relative to the original images."""

import numpy as np

from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.submissions import predictions
from pixmend.training import unknown_masks


def measure_detail(settings: Settings) -> float:
    """Return 1 for a run's predictions with as much detail as the originals, less for blurred ones."""
    ready, predicted = datasets.open_dataset(settings), unknown_masks.open_dataset_for_prediction(settings)
    rows = ready.split("holdout")
    images = predictions.read_images(settings.run_folder / "holdout.npz", predicted, predicted.split("holdout"))
    sums = []
    for row, image in zip(rows, images, strict=True):
        mask, original = ready.read_counts(row) > 0, ready.read_original(row) / np.float32(255)
        sums.append([sum_differences(image, mask), sum_differences(original, mask)])
    of_predictions, of_originals = np.sum(sums, axis=0)
    return float(of_predictions / of_originals)


def sum_differences(image: np.ndarray, mask: np.ndarray) -> float:
    """Return the sum of absolute differences between neighbours that are both missing."""
    down = np.abs(np.diff(image, axis=0)).sum(-1) * (mask[1:] & mask[:-1])
    across = np.abs(np.diff(image, axis=1)).sum(-1) * (mask[:, 1:] & mask[:, :-1])
    return float(down.sum() + across.sum())
