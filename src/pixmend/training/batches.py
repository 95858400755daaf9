"""Batches as a function of seed and step alone: the order of pictures, their damage, their crops and noise.

A batch is ((seen, mask), whole, weight): floats in 0..1, the mask and the weight pictures x height x width (x 1); for a network
that finds masks, the mask stands in the place of the whole picture.
The same seed and step give the same batch in any process, so a run can go on from any step. Of several processes that train
together each takes its share of it. As `stored` a batch is small enough to travel to a device, which makes the same floats of it.
"""

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from pixmend import backend, models
from pixmend.data.augmentation import turn_back, turned
from pixmend.data.dataset import AS_GIVEN

AROUND, FLAT = (13, 13), 0.02   # pixels within which contrast is measured; less of it teaches nothing
ORDER, DRAWS, DAMAGE = 0, 1, 2   # streams of random numbers that must not meet


class Batches:
    """Of each training row, as it was prepared and, where there are such, under each of the damages drawn beforehand."""

    def __init__(self, settings, prepared, contest, damages=None):
        self.settings, self.prepared, self.contest, self.damages = settings, prepared, contest, damages
        self.rows, self.times = prepared.split("train"), 1 if damages is None else 1 + settings.masks_per_image
        self.of_masks = models.finds_masks(settings.model)
        self.covered_there = settings.fresh_masks and settings.start in AS_GIVEN and contest.hole_value(settings) is not None \
            and not (settings.jitter or settings.noise or settings.contrast_weighting)

    def get_batch(self, step):
        """The batch of a step; every row comes once before any comes again."""
        seen, counts, whole = self._pictures(self._items(step), step)
        (seen, whole), counts = np.split(stack_floats(seen + whole), 2), np.stack(counts)
        mask = np.greater(counts[..., None], 0, out=backend.room((*counts.shape, 1)))
        return (seen, mask), mask if self.of_masks else whole, compute_weights(self.settings, seen, counts)

    def get_compact_batch(self, step):
        """The same in bytes where it can be, and upright where nothing depends on how the picture is turned."""
        settings, items = self.settings, self._items(step)
        if self.covered_there:
            return self._uncovered([row for row, _ in items], step)
        if settings.jitter or settings.fresh_masks or settings.noise or settings.contrast_weighting:
            variants, shown = [0] * len(items), items
        else:
            variants, shown = [row.variant for row, _ in items], [(replace(row, variant=0), damage) for row, damage in items]
        seen, counts, whole = map(np.stack, self._pictures(shown, step))
        batch = {"seen": seen, "counts": counts, "whole": whole, "variants": np.array(variants, np.uint8)}
        return batch | ({"weight": compute_weights(settings, stack_floats(seen), counts)} if settings.contrast_weighting else {})

    def _uncovered(self, rows, step):
        """Whole pictures, and where the device is to cover them."""
        counts = [turn_back(self.contest.draw_mask(self._rng(number), self.settings.shape, self.settings), row.variant)
                  for row, number in zip(rows, list_positions(self.settings, step), strict=True)]
        return {"whole": np.stack([self.prepared.whole(replace(row, variant=0)) for row in rows]), "counts": np.stack(counts),
                "variants": np.array([row.variant for row in rows], np.uint8)}

    def _rng(self, number):
        return np.random.default_rng((self.settings.seed, DRAWS, number))

    def _items(self, step):
        """The rows of a batch, and the number of each one's damage: 0 is its own."""
        count = len(self.rows) * self.times
        places = (divmod(number, count) for number in list_positions(self.settings, step))
        chosen = (divmod(int(draw_order(self.settings.seed, epoch, count)[position]), self.times) for epoch, position in places)
        return [(self.rows[row], damage) for row, damage in chosen]

    def _pictures(self, items, step):
        """What is seen, the counts and the whole pictures of rows."""
        return zip(*map(self._picture, items, list_positions(self.settings, step)), strict=True)

    def _picture(self, item, number):
        settings, rng = self.settings, self._rng(number)
        seen, counts, whole = self._drawn(rng, item[0]) if settings.jitter or settings.fresh_masks else self._prepared(*item)
        if settings.noise:
            seen = stack_floats([seen])[0]
            seen = np.clip(seen + rng.normal(0, settings.noise, seen.shape), 0, 1).astype(np.float32)
        return seen, counts, whole

    def _prepared(self, row, damage):
        """A row as it was prepared, in grey levels: what is seen, the counts, the whole picture."""
        upright = replace(row, variant=0)
        if damage:
            seen, counts = np.split(self.damages[row.damaged * self.settings.masks_per_image + damage - 1], [-1], axis=-1)
            seen, counts = np.ascontiguousarray(seen), np.ascontiguousarray(counts[..., 0])
        else:
            seen, counts = self.prepared.seen(upright, self.settings.start), self.prepared.hole(upright)
        return [turned(array, row.variant) for array in (seen, counts, self.prepared.whole(upright))]

    def _drawn(self, rng, row):
        """The same cropped or damaged anew; what is seen is then in 0..1."""
        settings = self.settings
        whole, damaged, counts = self.prepared.whole(row), self.prepared.damaged(row), self.prepared.hole(row)
        if settings.jitter:
            whole, damaged, counts = crop_randomly(rng, whole, damaged, counts, settings.jitter)
        if settings.fresh_masks:
            damaged, counts = self.contest.damage_image(rng, whole, settings)
        return fill_inputs(whole, damaged, counts > 0, settings.start), counts, whole


def list_positions(settings, step):
    """Which pictures of the endless order this process takes for a step."""
    share = settings.batch_size // settings.of_processes
    first = step * settings.batch_size + settings.process * share
    return range(first, first + share)


def compute_weights(settings, seen, counts):
    """How much the distance at each pixel of a batch counts; None: all alike."""
    weight = counts.astype(np.float32) if settings.loss_region == "hole" else None
    if settings.contrast_weighting:
        weight = (1 if weight is None else weight) / np.stack([compute_contrast(picture) for picture in seen])
    return weight


def compute_contrast(picture):
    """Standard deviation around each pixel, over all channels together."""
    mean, square = (cv2.blur(array, AROUND).reshape(picture.shape).mean(-1) for array in (picture, picture**2))
    return np.maximum(np.sqrt(np.maximum(square - mean**2, 0)), FLAT)


@lru_cache(2)
def draw_order(seed, epoch, count):
    return np.random.default_rng((seed, ORDER, epoch)).permutation(count)


def bytes_to_floats(picture):
    """Grey levels 0..255 as floats in 0..1."""
    return picture.astype(np.float32) / np.float32(255)


def stack_floats(pictures):
    """Pictures, of grey levels or in 0..1, as one array in 0..1; each is written straight into its place.

    One array for a whole batch: two large ones are given back to the system each time, and fetching them anew took longer than
    all else.
    """
    batch = backend.room((len(pictures), *pictures[0].shape))
    for place, picture in zip(batch, pictures, strict=True):
        np.divide(picture, np.float32(255 if picture.dtype == np.uint8 else 1), out=place, dtype=np.float32)
    return batch


def crop_randomly(rng, whole, damaged, counts, side):
    """Enlarge a picture and its damage to a side, then crop the old size at a random place."""
    height, width = counts.shape
    row, column = rng.integers(0, (side - height + 1, side - width + 1))

    def enlarged(picture, how):
        large = cv2.resize(np.ascontiguousarray(picture), (side, side), interpolation=how)
        return large[row:row + height, column:column + width].reshape(picture.shape)

    return enlarged(whole, cv2.INTER_LINEAR), enlarged(damaged, cv2.INTER_NEAREST), enlarged(counts, cv2.INTER_NEAREST)


def fill_inputs(whole, damaged, mask, start):
    """What a network is shown of a picture that was not prepared: known pixels as they were, the hole as damaged or filled."""
    seen = bytes_to_floats(np.where(mask[..., None], damaged, whole))
    return seen if start in AS_GIVEN else models.get_fill(start)(seen, mask)
