"""Arrays that are computed once, before the first training that needs them, and stay in the dataset's folder for later runs.

starts/<fill>.npy: uint8, (images, height, width, channels): the damaged images with their missing pixels filled by --start, as
harmonic.npy, which always exists.
damages/<cache key>.npy: uint8, (images, masks per image, height, width, channels + 1): the images of training and holdout, in
order, under new masks: the filled image and, as the last channel, how many submission rows ask for each pixel.

A few images in a row share each of their new masks: filled together, they take a third of the time.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import competitions, files, models, workers
from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.data.array_files import ArrayFile
from pixmend.data.dataset import Dataset
from pixmend.training.batches import DAMAGE, bytes_to_floats, fill_inputs

FILL_CHUNK, DRAW_CHUNK = 16, 4   # images
MOST_PIXELS, LEAST_DRAWS = 16 * 256**2, 64   # of the images with the same new mask; groups of them, if there are as many images


def build_cache_key(settings: Settings, dataset: Dataset, names: Iterable[str] = ()) -> dict[str, Any]:
    """Return what decides such an array: the dataset's images, the start, these settings, and those that shape the damage."""
    extra = {"extra_pictures": dataset.extra_pictures} if dataset.extra_pictures else {}
    return ({name: dataset.cache_key[name] for name in ("archive", "size", "broken")} | extra
            | {name: getattr(settings, name) for name in (*names, *datasets.DAMAGE_SETTINGS)}
            | {"start": models.identify_fill(settings.start)})


def write_once(paths: Sequence[Path], cache_key: dict[str, Any], write: Callable[..., None], *arguments: Any) -> None:
    """Call `write` with these files and arguments, unless they exist with this cache key; other processes wait meanwhile."""
    folder, manifest = paths[0].parent, paths[0].with_suffix(".json")
    folder.mkdir(exist_ok=True)
    with files.wait_for_lock(folder / ".lock"):
        if not files.manifest_matches(manifest, cache_key):
            write(*paths, *arguments)
            files.write_manifest(manifest, cache_key, paths)


def write_array(path: Path, shape: tuple[int, ...], chunks: Iterable[np.ndarray]) -> None:
    """Write an array file of bytes, chunk after chunk; its disk space is reserved first, so that a full disk is noticed now."""
    with files.atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.flush()
        os.truncate(file.name, file.tell() + math.prod(shape))
        files.reserve_space(file.name)
        for chunk in chunks:
            file.write(chunk.tobytes())


def fill_training_images(settings: Settings, dataset: Dataset) -> None:
    """Fill all images of the dataset as --start says, unless that was done."""
    if settings.start in datasets.UNFILLED or settings.start in datasets.ARRAYS:
        return
    path, shape, fill = dataset.start_file(settings.start), (len(dataset.counts), *settings.shape), partial(fill_chunk, settings)
    chunks = workers.run_in_chunks(fill, range(len(dataset.counts)), size=FILL_CHUNK, label=f"start from {settings.start}")
    write_once([path], build_cache_key(settings, dataset), write_array, shape, chunks)


def count_sharing(dataset: Dataset) -> int:
    """Return how many images in a row share a new mask: fewer where there are few, or large ones that would need much memory."""
    _, height, width = dataset.counts.shape
    return max(1, min(MOST_PIXELS // (height * width), dataset.count_originals() // LEAST_DRAWS))


def damage_and_fill(settings: Settings, dataset: Dataset, numbers: Sequence[int],
                    mask: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Damage images by one of their new masks: yield each filled (float32 in 0..1) and damaged, and its counts."""
    competition, sharing = competitions.get_damage_competition(settings), count_sharing(dataset)
    for group, members in groupby(numbers, lambda number: number // sharing):
        originals = [dataset.images[len(dataset.counts) + number] for number in members]
        seed = settings.split_seed, DAMAGE, group, mask
        pairs = [competition.damage_image(np.random.default_rng(seed), original, settings) for original in originals]
        damaged, counts = zip(*pairs, strict=True)
        yield from zip(fill_inputs(originals, damaged, [count > 0 for count in counts], settings.start), damaged, counts,
                       strict=True)


def fill_chunk(settings: Settings, numbers: Sequence[int]) -> np.ndarray:
    """Fill some images, in a worker process."""
    dataset, fill = datasets.open_dataset_cached(settings.augment_folder), models.get_fill(settings.start)
    images = [fill(bytes_to_floats(dataset.images[number]), dataset.counts[number] > 0) for number in numbers]
    return np.rint(np.stack(images) * 255).astype(np.uint8)


def draw_training_masks(settings: Settings, dataset: Dataset) -> ArrayFile:
    """Return every image under each of its new masks, one after the other; they are drawn if they do not exist."""
    cache_key = build_cache_key(settings, dataset, ["masks_per_image", "split_seed"]) | {"sharing": count_sharing(dataset)}
    path = settings.augment_folder / "damages" / f"{files.hash_value(cache_key)}.npy"
    count = dataset.count_originals()
    shape = count, settings.masks_per_image, *settings.shape[:2], settings.channels + 1
    chunks = workers.run_in_chunks(partial(draw_chunk, settings), range(count), size=DRAW_CHUNK, label="damage and fill")
    write_once([path], cache_key, write_array, shape, chunks)
    return ArrayFile(path, axes=2)


def draw_chunk(settings: Settings, numbers: Sequence[int]) -> np.ndarray:
    """Damage and fill some images with all their masks, in a worker process."""
    dataset = datasets.open_dataset_cached(settings.augment_folder)
    drawn = [[np.dstack([np.rint(inputs * 255).astype(np.uint8), counts])
              for inputs, _, counts in damage_and_fill(settings, dataset, numbers, mask)]
             for mask in range(1, settings.masks_per_image + 1)]
    return np.stack(drawn, axis=1)
