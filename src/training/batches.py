"""Batches as a function of seed and step alone: the order of pictures, their damage, their crops and noise.

A batch is ((seen, mask), whole, weight): floats in 0..1, the mask and the weight pictures x height x width (x 1); for a network
that finds masks, the mask stands in the place of the whole picture.
The same seed and step give the same batch in any process, so a run can go on from any step.
"""

from functools import lru_cache

import cv2
import numpy as np

from src import models
from src.pictures.prepared import AS_GIVEN

AROUND, FLAT = (13, 13), 0.02   # pixels within which contrast is measured; less of it teaches nothing
ORDER, DRAWS, DAMAGE = 0, 1, 2   # streams of random numbers that must not meet


class Batches:
    def __init__(self, settings, prepared, contest):
        self.settings, self.prepared, self.contest = settings, prepared, contest
        self.rows = prepared.split("train")
        self.of_masks = models.finds_masks(settings.model)

    def at(self, step):
        """The batch of a step; every row comes once before any comes again."""
        size = self.settings.batch_size
        pictures = [self._picture(*divmod(number, len(self.rows)), number)
                    for number in range(step * size, (step + 1) * size)]
        seen, counts, whole = (np.stack(arrays) for arrays in zip(*pictures, strict=True))
        mask = (counts > 0)[..., None].astype(np.float32)
        return (seen, mask), mask if self.of_masks else whole, weights(self.settings, seen, counts)

    def _picture(self, epoch, position, number):
        settings, row = self.settings, self.rows[order(self.settings.seed, epoch, len(self.rows))[position]]
        rng = np.random.default_rng((settings.seed, DRAWS, number))
        whole, damaged, counts = self.prepared.whole(row), self.prepared.damaged(row), self.prepared.hole(row)
        if settings.jitter:
            whole, damaged, counts = jitter(rng, whole, damaged, counts, settings.jitter)
        if settings.fresh_damage:
            damaged, counts = self.contest.damage(rng, whole, settings)
        if settings.jitter or settings.fresh_damage:
            seen = seen_anew(whole, damaged, counts > 0, settings.start)
        else:
            seen = unit(self.prepared.seen(row, settings.start))
        if settings.noise:
            seen = np.clip(seen + rng.normal(0, settings.noise, seen.shape), 0, 1).astype(np.float32)
        return seen, counts, unit(whole)


def weights(settings, seen, counts):
    """How much the distance at each pixel of a batch counts; None: all alike."""
    weight = counts.astype(np.float32) if settings.loss_region == "hole" else None
    if settings.even:
        weight = (1 if weight is None else weight) / np.stack([contrast(picture) for picture in seen])
    return weight


def contrast(picture):
    """Standard deviation around each pixel, over all channels together."""
    mean, square = (cv2.blur(array, AROUND).reshape(picture.shape).mean(-1) for array in (picture, picture**2))
    return np.maximum(np.sqrt(np.maximum(square - mean**2, 0)), FLAT)


@lru_cache(2)
def order(seed, epoch, count):
    return np.random.default_rng((seed, ORDER, epoch)).permutation(count)


def unit(picture):
    """Grey levels 0..255 as floats in 0..1."""
    return picture.astype(np.float32) / np.float32(255)


def jitter(rng, whole, damaged, counts, side):
    """Enlarge a picture and its damage to a side, then crop the old size at a random place."""
    height, width = counts.shape
    row, column = rng.integers(0, (side - height + 1, side - width + 1))

    def enlarged(picture, how):
        large = cv2.resize(np.ascontiguousarray(picture), (side, side), interpolation=how)
        return large[row:row + height, column:column + width].reshape(picture.shape)

    return enlarged(whole, cv2.INTER_LINEAR), enlarged(damaged, cv2.INTER_NEAREST), enlarged(counts, cv2.INTER_NEAREST)


def seen_anew(whole, damaged, mask, start):
    """What a network is shown of a picture that was not prepared: known pixels as they were, the hole as damaged or filled."""
    seen = unit(np.where(mask[..., None], damaged, whole))
    return seen if start in AS_GIVEN else models.named(start).fill(seen, mask)
