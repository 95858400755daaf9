"""One pass over a run's holdout predictions: where in the holes the errors lie, and the mended pictures to be shown."""

from collections import defaultdict

import cv2
import numpy as np

NAMES = ("run", "harmonic")
SMALLEST_BOX = 8   # pixels a side; smaller ones have no inside to map


class Where:
    """Sums of squared errors of the run and of the harmonic fill, by distance to the nearest known pixel and over boxes.

    By distance a pixel counts as often as a grader counts it, so all distances together are the score. The harmonic
    fill is the one of the prepared set, rounded to whole grey levels.
    """

    def __init__(self, shape):
        self.sums, self.numbers = np.zeros((len(NAMES), max(shape) + 1)), np.zeros(max(shape) + 1)
        self.boxes, self.found = defaultdict(float), defaultdict(int)

    def add(self, squares, counts):
        """Squared errors, names x pixels of the hole, each the mean over the channels."""
        mask = counts > 0
        distance = np.minimum(distances(mask)[mask], len(self.numbers) - 1)
        weight = counts[mask].astype(float)
        self.numbers += np.bincount(distance, weight, len(self.numbers))
        for sums, errors in zip(self.sums, squares, strict=True):
            sums += np.bincount(distance, weight * errors, len(self.numbers))
        self.add_boxes(squares, mask)

    def add_boxes(self, squares, mask):
        picture = np.zeros((len(squares), *mask.shape))
        picture[:, mask] = squares
        for top, left, height, width in lone_boxes(mask):
            self.boxes[height, width] += picture[:, top:top + height, left:left + width]
            self.found[height, width] += 1

    def by_distance(self):
        """Distances, and for each name the RMSE there."""
        met = np.flatnonzero(self.numbers)
        return met, dict(zip(NAMES, np.sqrt(self.sums[:, met] / self.numbers[met]), strict=True))

    def over_box(self):
        """For each name the RMSE at every place of the commonest box, and how many such boxes there were."""
        if not self.found:
            return {}, 0
        size = max(self.found, key=self.found.get)
        return dict(zip(NAMES, np.sqrt(self.boxes[size] / self.found[size]), strict=True)), self.found[size]


def distances(mask):
    """Steps to the nearest known pixel, a diagonal one counting as one: 1 along the border of a hole."""
    return np.rint(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_C, 3)).astype(int)


def lone_boxes(mask):
    """(top, left, height, width) of each box that overlaps no other."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for left, top, width, height, area in stats[1:].tolist():
        if area == width * height and min(width, height) >= SMALLEST_BOX:
            yield top, left, height, width


def study(ready, pictures, wanted):
    """Where the errors of mended pictures lie, and those of the wanted ids; one picture in memory at a time."""
    where, mended = Where(ready.counts.shape[1:]), {}
    for row, picture in zip(ready.split("holdout"), pictures, strict=True):
        counts = ready.hole(row)
        mask = counts > 0
        whole, harmonic = ready.whole(row)[mask] / 255, ready.seen(row, "harmonic")[mask] / 255
        where.add(np.stack([np.square(painted - whole).mean(-1) for painted in (picture[mask], harmonic)]), counts)
        if row.id in wanted:
            mended[row.id] = picture
    return where, mended
