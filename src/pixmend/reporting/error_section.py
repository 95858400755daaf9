"""Where the errors of a run are, in one pass over its holdout predictions; the images that the page shows are kept on the way.

Images are float32 in 0..1, height x width x channels; counts are uint8, height x width, 0 where a pixel is known.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from pixmend.data.dataset import Dataset

NAMES = ("run", "harmonic")
MIN_BOX_SIDE = 8   # pixels; smaller boxes are not mapped


class ErrorMaps:
    """Squared errors of the run and of the harmonic fill, by distance to the nearest known pixel and by position in a box.

    By distance a pixel counts as often as in the score. The harmonic fill is the dataset's, rounded to whole grey levels.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.sums, self.numbers = np.zeros((len(NAMES), max(shape) + 1)), np.zeros(max(shape) + 1)
        self.box_sums: dict[tuple[int, int], np.ndarray] = defaultdict(float)   # type: ignore[arg-type]
        self.box_counts: dict[tuple[int, int], int] = defaultdict(int)

    def add(self, squares: np.ndarray, counts: np.ndarray) -> None:
        """Add squared errors, means over the channels, of shape (names, missing pixels)."""
        mask = counts > 0
        distance = np.minimum(measure_distances(mask)[mask], len(self.numbers) - 1)
        weight = counts[mask].astype(float)
        self.numbers += np.bincount(distance, weight, len(self.numbers))
        for sums, errors in zip(self.sums, squares, strict=True):
            sums += np.bincount(distance, weight * errors, len(self.numbers))
        image = np.zeros((len(squares), *mask.shape))
        image[:, mask] = squares
        for top, left, height, width in find_separate_boxes(mask):
            self.box_sums[height, width] += image[:, top:top + height, left:left + width]
            self.box_counts[height, width] += 1

    def get_rmse_by_distance(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the distances, and for each name the RMSE at each."""
        distances = np.flatnonzero(self.numbers)
        return distances, dict(zip(NAMES, np.sqrt(self.sums[:, distances] / self.numbers[distances]), strict=True))

    def get_box_maps(self) -> tuple[dict[str, np.ndarray], int]:
        """Return for each name the RMSE at every position in boxes of the commonest size, and the number of these boxes."""
        if not self.box_counts:
            return {}, 0
        size = max(self.box_counts, key=lambda size: self.box_counts[size])
        return dict(zip(NAMES, np.sqrt(self.box_sums[size] / self.box_counts[size]), strict=True)), self.box_counts[size]


def measure_distances(mask: np.ndarray) -> np.ndarray:
    """Return the steps from each missing pixel to the nearest known one, a diagonal step counting as one."""
    return np.rint(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_C, 3)).astype(int)


def find_separate_boxes(mask: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
    """Yield (top, left, height, width) of each box that overlaps no other."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for left, top, width, height, area in stats[1:].tolist():
        if area == width * height and min(width, height) >= MIN_BOX_SIDE:
            yield top, left, height, width


def measure_errors(dataset: Dataset, predicted: Iterable[np.ndarray],
                   wanted: set[str]) -> tuple[ErrorMaps, dict[str, np.ndarray]]:
    """Return where the errors are, and the predicted images of the wanted ids; one image is in memory at a time."""
    maps, selected = ErrorMaps(dataset.counts.shape[1:]), {}
    for row, image in zip(dataset.split("holdout"), predicted, strict=True):
        counts = dataset.read_counts(row)
        mask = counts > 0
        original, harmonic = dataset.read_original(row)[mask] / 255, dataset.read_input(row, "harmonic")[mask] / 255
        maps.add(np.stack([np.square(values - original).mean(-1) for values in (image[mask], harmonic)]), counts)
        if row.id in wanted:
            selected[row.id] = image
    return maps, selected
