"""Batches of images, each a function of seed and step.

A batch is ((inputs, mask), target, weight), as Keras takes it:
    inputs  float32 in 0..1, (batch, height, width, channels): damaged images, their missing pixels filled as --start says
    mask    float32, (batch, height, width, 1): 1 where a pixel is missing
    target  float32 in 0..1, as inputs: the original images; for a network that finds masks, the mask
    weight  float32, (batch, height, width): how much each pixel counts in the loss; None if all count the same
The same seed and step give the same batch in any process, so a run can continue from any step. Of several processes that train
together, each takes its share of the batch. A compact batch holds bytes where it can, so that it is small enough to be copied to
a device; `steps.expand_batch` makes the same floats of it there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from pixmend import backend, models
from pixmend.competitions.base import Competition
from pixmend.config import Settings, TrainingSettings
from pixmend.data.augmentation import invert_transform, transform_bytes
from pixmend.data.dataset import UNFILLED, Dataset, DatasetRow
from pixmend.fills import FILLS

Batch = tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray | None]
CompactBatch = dict[str, np.ndarray]
Item = tuple[DatasetRow, int]   # a row of the dataset and the number of its drawn mask; 0 is the image's own mask

CONTRAST_WINDOW, LEAST_CONTRAST = (13, 13), 0.02   # pixels; below the least contrast, less of it does not add weight
ORDER, DRAWS, DAMAGE = 0, 1, 2   # keys of independent streams of random numbers


class ImageBatches:
    """Batches of whole training images, with their own masks and with those drawn before training, if there are any."""

    def __init__(self, settings: Settings, dataset: Dataset, competition: Competition,
                 drawn_masks: Sequence[np.ndarray] | None = None) -> None:
        self.settings, self.dataset, self.competition, self.drawn_masks = settings, dataset, competition, drawn_masks
        self.rows, self.masks_per_row = dataset.split("train"), 1 if drawn_masks is None else 1 + settings.masks_per_image
        depends_on_pixels = settings.jitter or settings.noise or settings.contrast_weighting
        self.transforms_on_device = not depends_on_pixels and not settings.fresh_masks
        self.covers_on_device = (settings.fresh_masks and not depends_on_pixels and settings.start in UNFILLED
                                 and competition.hole_value(settings) is not None)

    def get_batch(self, step: int) -> Batch:
        """Return the batch of a step; every row comes once with each of its masks before any comes again."""
        input_images, count_images, target_images = zip(*self._load_images(self.choose_items(step), step), strict=True)
        counts = np.stack(count_images)
        inputs, targets = np.split(stack_floats([*input_images, *target_images]), 2)
        mask = np.greater(counts[..., None], 0, out=backend.allocate_aligned((*counts.shape, 1)))
        if models.finds_masks(self.settings.model):
            targets = mask
        return (inputs, mask), targets, compute_weights(self.settings, inputs, counts)

    def get_compact_batch(self, step: int) -> CompactBatch:
        """Return the batch of a step; where nothing depends on an image's transform, the device applies it."""
        items = self.choose_items(step)
        transforms = np.array([row.variant for row, _ in items], np.uint8)
        upright = [(replace(row, variant=0), mask) for row, mask in items]
        if self.covers_on_device:
            settings, numbers = self.settings, list_positions(self.settings, step)
            masks = (self.competition.draw_mask(self._rng(number), settings.shape, settings) for number in numbers)
            counts = np.stack([invert_transform(mask, row.variant) for mask, (row, _) in zip(masks, items, strict=True)])
            originals = np.stack([self.dataset.read_original(row) for row, _ in upright])
            return {"target": originals, "counts": counts, "transforms": transforms}
        if not self.transforms_on_device:
            upright, transforms = items, np.zeros_like(transforms)
        inputs, counts, targets = map(np.stack, zip(*self._load_images(upright, step), strict=True))
        batch = {"inputs": inputs, "counts": counts, "target": targets, "transforms": transforms}
        weight = compute_weights(self.settings, stack_floats(inputs), counts) if self.settings.contrast_weighting else None
        return batch if weight is None else batch | {"weight": weight}

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng((self.settings.seed, DRAWS, number))

    def choose_items(self, step: int) -> list[Item]:
        """Return the rows of a batch, each with the number of its mask."""
        count, items = len(self.rows) * self.masks_per_row, []
        for number in list_positions(self.settings, step):
            epoch, position = divmod(number, count)
            row, mask = divmod(int(draw_order(self.settings.seed, epoch, count)[position]), self.masks_per_row)
            items.append((self.rows[row], mask))
        return items

    def _load_images(self, items: list[Item], step: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield input, counts and target of each item: uint8, or float32 in 0..1 for inputs that were filled here."""
        settings = self.settings
        for (row, mask), number in zip(items, list_positions(settings, step), strict=True):
            rng = self._rng(number)
            is_drawn = settings.jitter or settings.fresh_masks
            inputs, counts, target = self._draw_image(rng, row) if is_drawn else self._read_image(row, mask)
            if settings.noise:
                inputs = stack_floats([inputs])[0]
                inputs = np.clip(inputs + rng.normal(0, settings.noise, inputs.shape), 0, 1).astype(np.float32)
            yield inputs, counts, target

    def _read_image(self, row: DatasetRow, mask_number: int) -> tuple[np.ndarray, ...]:
        """Read an image with its own mask, or with one that was drawn before training."""
        upright = replace(row, variant=0)
        if mask_number and self.drawn_masks is not None:
            drawn = self.drawn_masks[row.damaged * self.settings.masks_per_image + mask_number - 1]
            inputs, counts = np.ascontiguousarray(drawn[..., :-1]), np.ascontiguousarray(drawn[..., -1])
        else:
            inputs, counts = self.dataset.read_input(upright, self.settings.start), self.dataset.read_counts(upright)
        return tuple(transform_bytes(array, row.variant) for array in (inputs, counts, self.dataset.read_original(upright)))

    def _draw_image(self, rng: np.random.Generator, row: DatasetRow) -> tuple[np.ndarray, ...]:
        """Crop an image at a random place, or damage it anew, or both."""
        settings = self.settings
        target, damaged, counts = self.dataset.read_original(row), self.dataset.read_damaged(row), self.dataset.read_counts(row)
        if settings.jitter:
            target, damaged, counts = crop_randomly(rng, target, damaged, counts, settings.jitter)
        if settings.fresh_masks:
            damaged, counts = self.competition.damage_image(rng, target, settings)
        return fill_inputs([target], [damaged], [counts > 0], settings.start)[0], counts, target


def list_positions(settings: Settings, step: int) -> range:
    """Return the positions, in the endless order of images, of those that this process takes for a step."""
    share = settings.batch_size // settings.of_processes
    first = step * settings.batch_size + settings.process * share
    return range(first, first + share)


@lru_cache(2)
def draw_order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, ORDER, epoch)).permutation(count)


def compute_weights(settings: TrainingSettings, inputs: np.ndarray, counts: np.ndarray) -> np.ndarray | None:
    """Return how much each pixel of a batch counts in the loss; None if all count the same."""
    weight: np.ndarray | None = counts.astype(np.float32) if settings.loss_region == "hole" else None
    if settings.contrast_weighting:
        weight = (1 if weight is None else weight) / np.stack([compute_contrast(image) for image in inputs])
    return weight


def compute_contrast(image: np.ndarray) -> np.ndarray:
    """Return the standard deviation around each pixel, over all channels together: (height, width)."""
    mean, square = (cv2.blur(array, CONTRAST_WINDOW).reshape(image.shape).mean(-1) for array in (image, image**2))
    return np.maximum(np.sqrt(np.maximum(square - mean**2, 0)), LEAST_CONTRAST)


def bytes_to_floats(image: np.ndarray) -> np.ndarray:
    """Convert uint8 to float32 in 0..1."""
    return image.astype(np.float32) / np.float32(255)


def stack_floats(images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return images, uint8 or in 0..1, as float32 in 0..1, in one array: to get memory for each took longer than to convert."""
    batch = backend.allocate_aligned((len(images), *images[0].shape))
    for place, image in zip(batch, images, strict=True):
        np.divide(image, np.float32(255 if image.dtype == np.uint8 else 1), out=place, dtype=np.float32)
    return batch


def crop_randomly(rng: np.random.Generator, target: np.ndarray, damaged: np.ndarray, counts: np.ndarray,
                  side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Enlarge an image and its damage to a side, then cut the original size out at a random place."""
    height, width = counts.shape
    row, column = rng.integers(0, (side - height + 1, side - width + 1))

    def crop(image: np.ndarray, interpolation: int) -> np.ndarray:
        large = cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=interpolation)
        return large[row:row + height, column:column + width].reshape(image.shape)

    return crop(target, cv2.INTER_LINEAR), crop(damaged, cv2.INTER_NEAREST), crop(counts, cv2.INTER_NEAREST)


def fill_inputs(originals: Sequence[np.ndarray], damaged: Sequence[np.ndarray], masks: Sequence[np.ndarray],
                start: str) -> list[np.ndarray]:
    """Return the inputs of newly damaged images, float32 in 0..1: known pixels are the original's, missing ones are filled."""
    inputs = [bytes_to_floats(np.where(mask[..., None], covered, original))
              for original, covered, mask in zip(originals, damaged, masks, strict=True)]
    if start in UNFILLED:
        return inputs
    if FILLS[start].for_images and all(np.array_equal(mask, masks[0]) for mask in masks):
        return FILLS[start].load_for_images()(inputs, masks[0])
    fill = models.get_fill(start)
    return [fill(image, mask) for image, mask in zip(inputs, masks, strict=True)]
