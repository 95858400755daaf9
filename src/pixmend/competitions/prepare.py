"""Prepare a competition's dataset: decode every image once, fill its missing pixels, hold out sources, list the transforms.

Images are uint8, height x width x channels. The files are those of data/dataset.py. They are written beside the old ones and
renamed when all are complete; their manifests come last.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pixmend import files, workers
from pixmend.competitions import extra_pictures, get_competition, get_damage_competition
from pixmend.config import Settings
from pixmend.data import array_files, augmentation, near_duplicates, photos, splits
from pixmend.data import dataset as datasets
from pixmend.data.archive_manifest import read_archive_manifest
from pixmend.data.dataset import ARRAYS, FILLED, Dataset, DatasetRow
from pixmend.data.decode import decode_image
from pixmend.data.encode import encode_png
from pixmend.data.image_record import ImageRecord
from pixmend.errors import UserError
from pixmend.fills.harmonic import fill_harmonic
from pixmend.progress import print_message
from pixmend.setting_values import format_stage_command

CHUNK = 256   # images for a worker; with 16, handing them out took a twentieth of the time of decoding
# Mean difference of the known pixels, in grey levels, above which two files show different images; JPEG makes 0.4.
MAX_DIFFERENCE, LINES = 25, 16   # LINES lines of pixels are as reliable as all of them
PREVIEW_IMAGES = 4
PNG_FOLDERS = ("damaged", "whole")   # of --materialize
Writers = Mapping[str, Callable[[int, np.ndarray], None]]   # by array: each writes a row


def prepare_dataset(settings: Settings) -> None:
    """Write augment/<competition>/, or the parts of it that are not up to date."""
    folder = settings.augment_folder
    datasets.check_hole_colour(settings)
    with files.try_lock(folder):
        archive = read_archive_manifest(settings.competition_folder)
        if archive is None:
            raise UserError(f"{settings.competition_folder} has no verified archive. Get it first: "
                            f"{format_stage_command('download', settings)}")
        cache_key = {"arrays": ARRAYS, "archive": archive["sha256"], "size": settings.size, "broken": settings.broken_images}
        if settings.damage:
            cache_key |= {name: getattr(settings, name) for name in datasets.DAMAGE_SETTINGS}
        if settings.extra_pictures:
            cache_key |= {"extra_pictures": photos.hash_folder(settings.extra_pictures, "--extra-pictures")}
        if settings.force or not files.manifest_matches(folder / "pictures.json", cache_key):
            write_arrays(settings, folder, cache_key)
        cache_key = cache_key | {name: getattr(settings, name) for name in (*datasets.SPLIT_SETTINGS, "augment")}
        if settings.extra_pictures:
            cache_key |= {"extra_folder": settings.extra_pictures}
        if settings.force or not files.manifest_matches(folder / "index.json", cache_key):
            write_index_and_preview(settings, folder, cache_key)
        if settings.materialize:
            write_png_files(folder)
    print_message(describe_dataset(Dataset(folder)))


def write_arrays(settings: Settings, folder: Path, cache_key: Mapping[str, Any]) -> None:
    """Decode all images into new array files, then put these in the place of the old ones."""
    names = [*(f"{name}.npy" for name in ARRAYS), "listed.json"]
    with build_in_folder(folder) as building:
        job = partial(write_chunk, building, settings)
        chunks = workers.run_in_chunks(job, number_records(settings, building), size=CHUNK, label="decode and fill")
        files.write_json(building / "listed.json", [line for lines in chunks for line in lines])
        for outdated in ("windows", "starts", "damages"):
            shutil.rmtree(folder / outdated, ignore_errors=True)
        for name in names:
            files.fsync_path(building / name)
            files.replace_durably(building / name, folder / name)
    files.write_manifest(folder / "pictures.json", cache_key, [folder / name for name in names])


@contextlib.contextmanager
def build_in_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder for files that are renamed when they are complete; it is deleted with those that are not."""
    building = folder / "building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


def number_records(settings: Settings, building: Path) -> Iterator[tuple[int, int, ImageRecord]]:
    """Reserve disk space for all images; yield each record with its row and that of its original image, test images last."""
    records = get_competition(settings.competition).read_images(settings.competition_folder / "files", settings.shape)
    if settings.extra_pictures:
        records += extra_pictures.list_records(settings)
    records.sort(key=lambda record: record.split == "test")
    originals = sum(record.split == "train" for record in records)
    shapes = {"pictures": (len(records) + originals, *settings.shape), "counts": (len(records), *settings.shape[:2])}
    for name in ARRAYS:
        array_files.make_array_file(building / f"{name}.npy", shapes.get(name, (len(records), *settings.shape)))
    yield from ((row, len(records) + row, record) for row, record in enumerate(records))


def write_chunk(folder: Path, settings: Settings, numbered: Iterable[tuple[int, int, ImageRecord]]) -> list[dict[str, Any]]:
    """Decode some images into their rows, in a worker process; return what the index needs to know of each."""
    lines = []
    with contextlib.ExitStack() as stack:
        writers = {name: stack.enter_context(array_files.open_row_writer(folder / f"{name}.npy")) for name in ARRAYS}
        for row, original_row, record in numbered:
            try:
                lines.append(write_image(row, original_row, record, settings, writers))
            except UserError as error:
                if record.split == "test":
                    raise
                if settings.broken_images == "stop" and record.damaged:
                    raise UserError(f"{error} Or leave such training images out with --broken-images skip.") from None
                lines.append({"id": record.id, "broken": str(error)})
    return lines


def write_image(row: int, original_row: int, record: ImageRecord, settings: Settings, writers: Writers) -> dict[str, Any]:
    """Decode one image into its rows and fill its missing pixels; return its entry in listed.json."""
    damaged, counts, original = store_image(row, original_row, record, settings, writers)
    writers[FILLED](row, np.rint(fill_harmonic(damaged / np.float32(255), counts > 0) * 255))
    line = {"id": record.id, "source": record.source, "class": record.label, "split": record.split, "damaged": row, "whole": -1}
    if original is not None:
        line |= {"whole": original_row, "hashes": extra_pictures.list_hashes(original)}
        line |= {} if record.damaged else extra_pictures.hash_views(record, original)
    return line


def store_image(row: int, original_row: int, record: ImageRecord, settings: Settings,
                writers: Writers) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Decode one image and write it; return the damaged image, its counts, and the original of a training image."""
    original = read_original(record, settings)
    if original is not None:   # written at once, while it is in the processor's cache
        writers["pictures"](original_row, original)
    damaged, counts = read_damaged(record, original, settings)
    writers["pictures"](row, damaged)
    writers["counts"](row, counts)
    return damaged, counts, original


def read_original(record: ImageRecord, settings: Settings) -> np.ndarray | None:
    """Return the original of a training image; one without a damaged file is a photo, from which it is cut."""
    if record.original is None:
        return None
    return decode_image(record.original, settings.shape) if record.damaged else extra_pictures.cut_image(record, settings)


def read_damaged(record: ImageRecord, original: np.ndarray | None, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the damaged image and its counts: damaged anew with --damage, and where there is no damaged file."""
    found = read_damaged_file(record, original, settings) if record.damaged else None
    if found and not (settings.damage and original is not None):
        return found
    assert original is not None
    return get_damage_competition(settings).damage_image(extra_pictures.make_rng(record), original, settings)


def read_damaged_file(record: ImageRecord, original: np.ndarray | None, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the damaged image in a file, whose known pixels must agree with the original, and its counts."""
    damaged, counts = decode_image(record.damaged, settings.shape), record.counts(settings.shape)
    if original is None:
        return damaged, counts
    every = max(1, len(counts) // LINES)
    known = counts[::every] == 0
    difference = cv2.norm(damaged[::every], original[::every], cv2.NORM_L1, known.view(np.uint8))
    if difference > MAX_DIFFERENCE * damaged.shape[2] * np.count_nonzero(known):
        raise UserError(f"{record.damaged} does not show the same image as {record.original}. Download the competition again.")
    return damaged, counts


def write_index_and_preview(settings: Settings, folder: Path, cache_key: Mapping[str, Any]) -> None:
    """Write index.csv, which says what is held out, and preview.png."""
    if (folder / "png").exists():   # training images of the earlier index, some of which may be held out now
        shutil.rmtree(folder / "png")
    datasets.write_index(folder / "index.csv", make_index(settings, files.read_json(folder / "listed.json")))
    with files.atomic_write(folder / "preview.png") as file:
        file.write(encode_png(draw_preview(Dataset(folder), settings.augment)))
    names = ["index.csv", "preview.png", *(f"{name}.npy" for name in ARRAYS)]
    files.write_manifest(folder / "index.json", cache_key, [folder / name for name in names])


def make_index(settings: Settings, listed: list[dict[str, Any]]) -> Iterator[DatasetRow]:
    """Yield a row for each image that could be decoded, and for each transform of a training image; twins have one source."""
    train = [line for line in listed if line.get("split") == "train" and not extra_pictures.is_extra(line)]
    if len(train) < 2:
        raise UserError(f"{settings.competition_folder} has fewer than two training images that can be decoded.")
    pairs = near_duplicates.find_near_duplicates(*zip(*(line["hashes"] for line in train), strict=True))
    sources = near_duplicates.join_sources([line["source"] for line in train], pairs)
    split_of = assign_splits(settings, sources, [line["class"] for line in train])
    for line, source in zip(train, sources, strict=True):
        transforms = 1 if split_of[source] == "holdout" else augmentation.TRANSFORMS_PER_MODE[settings.augment]
        for transform in range(transforms):
            yield make_row(line, source, transform, split_of[source])
    yield from list_extra_rows(settings, listed, sources, split_of)
    for line in listed:
        if line.get("split") == "test":
            yield make_row(line, line["source"], 0, "test")


def make_row(line: Mapping[str, Any], source: str, transform: int, split: str) -> DatasetRow:
    """Return the row of an image in listed.json under a transform."""
    return DatasetRow(line["id"], source, line["class"], transform, split, damaged=line["damaged"], original=line["whole"])


def list_extra_rows(settings: Settings, listed: list[dict[str, Any]], sources: list[str],
                    split_of: Mapping[str, str]) -> Iterator[DatasetRow]:
    """Yield a row for each transform of each extra picture, all for training, except copies of holdout and test images."""
    extras = [line for line in listed if extra_pictures.is_extra(line) and "broken" not in line]
    copies = extra_pictures.find_copies(settings.augment_folder, listed, sources, split_of) if extras else set()
    for line in extras:
        for transform in range(augmentation.TRANSFORMS_PER_MODE[settings.augment]) if line["id"] not in copies else ():
            yield make_row(line, line["source"], transform, "train")


def assign_splits(settings: Settings, sources: list[str], labels: list[str]) -> dict[str, str]:
    """Return the split of each source: train or holdout, or one of several folds."""
    found = len(set(sources))
    if found < 2:
        raise UserError(f"{settings.competition_folder} has training images of one source photo only (near duplicates count as "
                        f"one), and these stay together, so nothing can be held out. Add other photos.")
    if settings.folds == 1:
        holdout = splits.choose_holdout(sources, labels, settings.holdout, settings.split_seed)
        return {source: "holdout" if source in holdout else "train" for source in sources}
    if settings.folds > found:
        raise UserError(f"{settings.competition_folder} has training images of {found} sources, which stay together, so --folds "
                        f"{settings.folds} is too many. Use {found} at most.")
    folds = splits.assign_folds(sources, labels, settings.folds, settings.split_seed)
    return {source: f"{datasets.FOLD}{fold}" for source, fold in folds.items()}


def draw_preview(dataset: Dataset, augment: str) -> np.ndarray:
    """Return one image with some training images, a line each: damaged, filled, original, and the transforms."""
    rows = dataset.split("train")
    rows = rows[rows.words("variant") == augmentation.TRANSFORM_NAMES[0]]
    rows = rows[::max(1, len(rows) // PREVIEW_IMAGES)][:PREVIEW_IMAGES]
    lines = []
    for row in rows:
        original = dataset.read_original(row)
        transformed = [augmentation.apply_transform(original, n) for n in range(augmentation.TRANSFORMS_PER_MODE[augment])]
        lines.append(np.concatenate([dataset.read_damaged(row), dataset.read_input(row, FILLED), *transformed], 1))
    return np.concatenate(lines)


def write_png_files(folder: Path) -> None:
    """Write the training images as PNG files into png/, in the place of earlier ones, when all of them are written."""
    with build_in_folder(folder) as building:
        for name in PNG_FOLDERS:
            (building / name).mkdir()
        list(workers.run_in_chunks(partial(write_png_chunk, folder, building), Dataset(folder).split("train"), size=CHUNK,
                                   label="write PNG files"))
        files.fsync_folder(building)
        shutil.rmtree(folder / "png", ignore_errors=True)
        files.replace_durably(building, folder / "png")


def write_png_chunk(folder: Path, building: Path, rows: Iterable[DatasetRow]) -> None:
    """Write some training rows as PNG files, damaged and original, named by image and transform, in a worker process."""
    dataset = datasets.open_dataset_cached(folder)
    for row in rows:
        name = f"{row.id.replace('/', '-')}.{augmentation.TRANSFORM_NAMES[row.variant]}.png"
        for subfolder, image in zip(PNG_FOLDERS, (dataset.read_damaged(row), dataset.read_original(row)), strict=True):
            (building / subfolder / name).write_bytes(encode_png(np.ascontiguousarray(image)))


def describe_dataset(dataset: Dataset) -> str:
    """Return the numbers of rows and images, and the images that were left out."""
    folder = dataset.folder
    train, holdout, test = (dataset.split(name) for name in ("train", "holdout", "test"))
    listed = files.read_json(folder / "listed.json")
    left_out = [f"left out: {line['broken']}" for line in listed if "broken" in line]
    sizes = [len(view.split("holdout")) for _, view in dataset.views()]
    folds = f" in {len(sizes)} folds of {min(sizes)} to {max(sizes)}" if dataset.folds else ""
    left_out += extra_pictures.describe(dataset, listed)
    return "\n".join([*left_out, f"augment: {len(train)} training rows, {len(holdout)} holdout images{folds} and {len(test)} "
                                 f"test images; {folder / 'index.csv'}, {folder / 'preview.png'}"])
