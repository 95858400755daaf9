"""Arrays that are computed once, before the first training that needs them, and stay in the dataset's folder for later runs.

starts/<fill>.npy: uint8, (images, height, width, channels): the damaged images with their missing pixels filled by --start, as
harmonic.npy, which always exists.
damages/<cache key>.npy: uint8, (images, masks per image, height, width, channels + 1): the images of training and holdout, in
order, under new masks: the filled image and, as the last channel, how many submission rows ask for each pixel.
"""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import competitions, files, models, workers
from pixmend.competitions.base import Competition
from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.data.array_files import ArrayFile
from pixmend.data.dataset import Dataset
from pixmend.training.batches import DAMAGE, bytes_to_floats, fill_inputs

FILL_CHUNK, DRAW_CHUNK = 16, 4   # images


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


def damage_and_fill(
        settings: Settings, competition: Competition, original: np.ndarray, number: int, mask: int) -> tuple[np.ndarray, ...]:
    """Return the filled (float32 in 0..1) and the damaged image, and its counts; split seed, image and mask decide the damage."""
    rng = np.random.default_rng((settings.split_seed, DAMAGE, number, mask))
    damaged, counts = competition.damage_image(rng, original, settings)
    return fill_inputs(original, damaged, counts > 0, settings.start), damaged, counts


def fill_chunk(settings: Settings, numbers: Sequence[int]) -> np.ndarray:
    """Fill some images, in a worker process."""
    dataset, fill = datasets.open_dataset_cached(settings.augment_folder), models.get_fill(settings.start)
    images = [fill(bytes_to_floats(dataset.images[number]), dataset.counts[number] > 0) for number in numbers]
    return np.rint(np.stack(images) * 255).astype(np.uint8)


def draw_training_masks(settings: Settings, dataset: Dataset) -> ArrayFile:
    """Return every image under each of its new masks, one after the other; they are drawn if they do not exist."""
    cache_key = build_cache_key(settings, dataset, ["masks_per_image", "split_seed"])
    path = settings.augment_folder / "damages" / f"{files.hash_value(cache_key)}.npy"
    count = len(dataset.images) - len(dataset.counts)
    shape = count, settings.masks_per_image, *settings.shape[:2], settings.channels + 1
    chunks = workers.run_in_chunks(partial(draw_chunk, settings), range(count), size=DRAW_CHUNK, label="damage and fill")
    write_once([path], cache_key, write_array, shape, chunks)
    return ArrayFile(path, axes=2)


def draw_chunk(settings: Settings, numbers: Sequence[int]) -> np.ndarray:
    """Damage and fill some images with all their masks, in a worker process."""
    dataset, competition = datasets.open_dataset_cached(settings.augment_folder), competitions.get_damage_competition(settings)
    images = []
    for number in numbers:
        original = dataset.images[len(dataset.counts) + number]
        for mask in range(1, settings.masks_per_image + 1):
            inputs, _, counts = damage_and_fill(settings, competition, original, number, mask)
            images.append(np.dstack([np.rint(inputs * 255).astype(np.uint8), counts]))
    return np.stack(images)
