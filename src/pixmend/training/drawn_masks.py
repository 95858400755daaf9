"""New masks for the original images, drawn and filled before training, so that no training step waits for a fill.

damages/<cache key>.npy in the dataset's folder: uint8, (images, masks per image, height, width, channels + 1): the filled image
and, as the last channel, how many submission rows ask for each pixel. The images are those of training and holdout, in order.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from pixmend import competitions, files, workers
from pixmend.competitions.base import Competition
from pixmend.config import Settings, flag, format_off
from pixmend.data import dataset as datasets
from pixmend.data.array_files import ArrayFile
from pixmend.data.dataset import Dataset
from pixmend.errors import FlagError
from pixmend.training import cached_arrays
from pixmend.training.batches import DAMAGE, fill_inputs

CHUNK = 4   # images
DRAWN_DURING_TRAINING = ("fresh_masks", "jitter")


def check_settings(settings: Settings) -> None:
    """Refuse settings that draw images during training."""
    for name in DRAWN_DURING_TRAINING:
        if getattr(settings, name):
            raise FlagError(f"{flag(name)} draws images during training, and {flag('masks_per_image')} before it; give {format_off(name)}, "
                            f"or {format_off('masks_per_image')}.")


def draw_training_masks(settings: Settings, dataset: Dataset) -> ArrayFile:
    """Return every image under each of its masks, one after the other; they are drawn if they do not exist."""
    cache_key = cached_arrays.build_cache_key(settings, dataset, ["start", "masks_per_image", "split_seed"])
    path = settings.augment_folder / "damages" / f"{files.hash_value(cache_key)}.npy"
    count = len(dataset.pictures) - len(dataset.counts)
    height, width, channels = settings.shape

    def write() -> None:
        chunks = workers.run_in_chunks(partial(draw_chunk, settings), range(count), size=CHUNK, label="damage and fill")
        cached_arrays.write_array(path, (count, settings.masks_per_image, height, width, channels + 1), chunks)

    cached_arrays.write_once([path], cache_key, write)
    return ArrayFile(path, axes=2)


def draw_chunk(settings: Settings, numbers: Sequence[int]) -> np.ndarray:
    """Damage some images with all their masks, in a worker process."""
    dataset, competition = datasets.open_dataset_cached(settings.augment_folder), competitions.get_damage_competition(settings)
    originals = [dataset.pictures[len(dataset.counts) + number] for number in numbers]
    return np.stack([[damage_and_fill(settings, competition, original, (number, mask)) for mask in range(1, settings.masks_per_image + 1)]
                     for number, original in zip(numbers, originals, strict=True)])


def damage_and_fill(settings: Settings, competition: Competition, original: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Return a newly damaged and filled image with its counts as the last channel; `key` decides the mask."""
    rng = np.random.default_rng((settings.split_seed, DAMAGE, *key))
    damaged, counts = competition.damage_image(rng, original, settings)
    inputs = fill_inputs(original, damaged, counts > 0, settings.start)
    return np.dstack([np.rint(inputs * 255).astype(np.uint8), counts])
