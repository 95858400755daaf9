"""The damaged images with their missing pixels filled by --start, computed once by several processes.

starts/<fill>.npy in the dataset's folder: uint8, (images, height, width, channels), as harmonic.npy, which always exists.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from pixmend import models, workers
from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.data.dataset import Dataset
from pixmend.training import cached_arrays
from pixmend.training.batches import bytes_to_floats

CHUNK = 16   # images


def fill_training_images(settings: Settings, dataset: Dataset) -> None:
    """Fill all images of the dataset as --start says, unless that was done."""
    if settings.start in datasets.UNFILLED or settings.start in datasets.ARRAYS:
        return
    path, count = dataset.start_file(settings.start), len(dataset.counts)

    def write() -> None:
        chunks = workers.run_in_chunks(partial(fill_chunk, settings), range(count), size=CHUNK, label=f"start from {settings.start}")
        cached_arrays.write_array(path, (count, *settings.shape), chunks)

    cached_arrays.write_once([path], cached_arrays.build_cache_key(settings, dataset, ["start"]), write)


def fill_chunk(settings: Settings, numbers: Sequence[int]) -> np.ndarray:
    """Fill some images, in a worker process."""
    dataset, fill = datasets.open_dataset_cached(settings.augment_folder), models.get_fill(settings.start)
    images = [fill(bytes_to_floats(dataset.pictures[number]), dataset.counts[number] > 0) for number in numbers]
    return np.rint(np.stack(images) * 255).astype(np.uint8)
