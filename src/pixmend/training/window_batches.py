"""Batches of windows: every box of every training image, with its own mask and with new ones, cut and scaled before training.

windows/<cache key>.npy in the dataset's folder: uint8, (windows, size, size, 2 * channels + 2). The channels are, one after the
other: the filled image, the share of each cell that is missing, the share that lies in the window's own box, and the original
image. <cache key>-images.npy: the number of each window's image. Both are the same for every network.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby, product
from operator import itemgetter
from pathlib import Path
from typing import IO

import numpy as np

from pixmend import competitions, files, workers
from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.data.array_files import ArrayFile
from pixmend.data.augmentation import apply_transform
from pixmend.data.dataset import Dataset, DatasetRow
from pixmend.data.windows import compute_box_coverage, cut_network_input, cut_window
from pixmend.training import batches, prepared_arrays
from pixmend.training.batches import Batch, CompactBatch, ImageBatches, bytes_to_floats

CHUNK = 16
Job = tuple[DatasetRow, int]   # the number of a row's mask; 0 is the image's own


class WindowBatches:
    """As ImageBatches, of windows instead of images: a batch is a function of seed and step."""

    def __init__(self, settings: Settings, dataset: Dataset) -> None:
        self.settings = settings
        self.windows, images = cut_training_windows(settings, dataset)
        by_image = defaultdict(list)
        for window, image in enumerate(images.tolist()):
            by_image[image].append(window)
        self.items = [(window, row.variant) for row in dataset.split("train") for window in by_image[row.damaged]]

    def get_batch(self, step: int) -> Batch:
        """Return the batch of a step; every window comes once in each of its image's transforms before any comes again."""
        windows = np.stack([apply_transform(self.windows[window], transform) for window, transform in self.choose_items(step)])
        channels = windows.shape[-1] // 2 - 1
        parts = np.split(windows, [channels, channels + 1, channels + 2], axis=-1)
        inputs, mask, weight, target = (batches.stack_floats([part])[0] for part in parts)
        return (inputs, mask), target, weight[..., 0] if self.settings.loss_region == "hole" else None

    def get_compact_batch(self, step: int) -> CompactBatch:
        windows, transforms = zip(*self.choose_items(step), strict=True)
        return {"windows": np.stack([self.windows[window] for window in windows]), "transforms": np.array(transforms, np.uint8)}

    def choose_items(self, step: int) -> list[tuple[int, int]]:
        """Return the number of each window of a batch, and its transform."""
        places = (divmod(number, len(self.items)) for number in batches.list_positions(self.settings, step))
        return [self.items[batches.draw_order(self.settings.seed, epoch, len(self.items))[place]] for epoch, place in places]


BatchSource = ImageBatches | WindowBatches   # what training reads


def cut_training_windows(settings: Settings, dataset: Dataset) -> tuple[ArrayFile, np.ndarray]:
    """Return all windows and the number of each one's image; they are cut if they do not exist."""
    names = "window", "work_size", "masks_per_image", "split_seed"
    cache_key = prepared_arrays.build_cache_key(settings, dataset, names)
    if settings.masks_per_image:
        cache_key["sharing"] = prepared_arrays.count_sharing(dataset)
    if extra := sorted(datasets.list_extra_ids(dataset)):   # the holdout and the folds decide which of the folder's they are
        cache_key["extra_images"] = extra
    path = settings.augment_folder / "windows" / f"{files.hash_value(cache_key)}.npy"
    paths = path, path.with_stem(f"{path.stem}-images")
    prepared_arrays.write_once(paths, cache_key, write_windows, settings, dataset)
    return ArrayFile(path), np.load(paths[1])


def write_windows(windows_path: Path, images_path: Path, settings: Settings, dataset: Dataset) -> None:
    """Write one window after the other; their number is known at the end, and written into the header then."""
    prepared_arrays.fill_training_images(settings, dataset)
    rows = [row for row in dataset.rows if row.variant == 0 and row.split != "test"]
    jobs, sharing = list(product(rows, range(1 + settings.masks_per_image))), prepared_arrays.count_sharing(dataset)
    jobs.sort(key=lambda job: (job[0].damaged // sharing, job[1]))   # what is filled together comes together
    images: list[int] = []
    height, width, channels = settings.input_shape

    def write_header(file: IO[bytes]) -> None:   # NumPy makes it equally long for any number
        shape = (len(images), height, width, 2 * channels + 2)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})

    with files.atomic_write(windows_path) as file:
        write_header(file)
        for chunk in workers.run_in_chunks(partial(cut_chunk, settings), jobs, size=CHUNK, label="cut windows", unit="masks"):
            for window, image in chunk:
                file.write(window.tobytes())
                images.append(image)
        file.seek(0)
        write_header(file)
    with files.atomic_write(images_path) as file:
        np.save(file, np.array(images))


def cut_chunk(settings: Settings, jobs: Sequence[Job]) -> list[tuple[np.ndarray, int]]:
    """Return a window for each box of each job, and its image's number, in a worker process."""
    dataset, found = datasets.open_dataset_cached(settings.augment_folder), []
    for mask, jobs_of_mask in groupby(jobs, itemgetter(1)):
        rows = [row for row, _ in jobs_of_mask]
        for row, image in zip(rows, load_images(settings, dataset, rows, mask), strict=True):
            found += [(window, row.damaged) for window in cut_windows(settings, dataset.read_original(row), *image)]
    return found


def load_images(settings: Settings, dataset: Dataset, rows: Sequence[DatasetRow],
                mask: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the filled (float32 in 0..1) and the damaged image of each row, and its counts; mask 0 is the image's own."""
    if mask:
        yield from prepared_arrays.damage_and_fill(settings, dataset, [row.damaged for row in rows], mask)
        return
    for row in rows:
        yield bytes_to_floats(dataset.read_input(row, settings.start)), dataset.read_damaged(row), dataset.read_counts(row)


def cut_windows(settings: Settings, original: np.ndarray, inputs: np.ndarray, damaged: np.ndarray,
                counts: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the window around each box of an image, as bytes."""
    competition, sides, size = competitions.get_damage_competition(settings), settings.window, settings.work_size
    target = bytes_to_floats(original)
    for box in competition.find_boxes(bytes_to_floats(damaged), counts):
        colours, missing = cut_network_input(inputs, counts > 0, box, sides, size)
        coverage = compute_box_coverage(counts.shape, box, sides, size)
        layers = colours, missing, coverage, cut_window(target, box, sides, size)
        yield np.rint(np.dstack(layers) * 255).astype(np.uint8)
