"""Data that benchmarks measure on, made from the photos inside installed packages: images, batches and whole competitions."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixmend.competitions.photo_reconstruction import CORNER_COLUMNS, get_box_side
from pixmend.data import photos
from pixmend.data.damage import Box, count_boxes, cover_pixels, draw_two_boxes
from pixmend.data.encode import encode_jpeg
from pixmend.data.image_record import ImageRecord
from pixmend.submissions.box_csv import encode_rows
from pixmend.submissions.csv_format import encode_table

SEED = 1
CLASSES = ("Cat", "Elephant", "Horse", "Tiger")
SUBMISSION_HEADER = ("filename_box_pixel", "value")
MANIFEST = Path("competition", "photo_reconstruction", "archive.json")   # in a home; it is written last

Boxes = tuple[Box, Box]
Example = tuple[np.ndarray, np.ndarray, Boxes]   # original image, damaged image, its two boxes


@dataclass(frozen=True)
class Sizes:
    """How much is measured: the sizes of the real competition, or toy sizes that only show that everything runs."""

    side: int = 256
    width: int = 64
    training: int = 80
    test: int = 200
    jpegs: int = 14_000
    rounds: int = 5


TOY_SIZES = Sizes(side=32, width=4, training=12, test=8, jpegs=64, rounds=2)


def cut_images(count: int, side: int) -> list[np.ndarray]:
    """Cut squares of several scales from all embedded photos in turn, and resize each to one side."""
    rng, sources = np.random.default_rng(SEED), photos.list_embedded_photos()
    images = []
    for number, photo in enumerate(sources):
        share = count // len(sources) + (number < count % len(sources))
        for square in photos.cut_squares(rng, photo.decode(), share, side):
            images.append(photos.resize_image(square, (side, side, 3)))
    return [images[number] for number in rng.permutation(count)]


def damage_image(rng: np.random.Generator, image: np.ndarray) -> tuple[np.ndarray, Boxes]:
    """Return the image with two black boxes, and the boxes."""
    boxes = draw_two_boxes(rng, image.shape, get_box_side(image.shape))
    return cover_pixels(image, count_boxes(boxes, image.shape)), boxes


def write_batch(path: Path, count: int, side: int) -> Path:
    """Write a training batch as an .npz file: damaged images, masks and original images, float32 in 0..1."""
    rng = np.random.default_rng(SEED)
    originals = cut_images(count, side)
    damaged, boxes = zip(*(damage_image(rng, image) for image in originals), strict=True)
    masks = np.stack([count_boxes(two_boxes, (side, side)) > 0 for two_boxes in boxes])[..., None]
    np.savez(path, damaged=np.stack(damaged) / np.float32(255), mask=np.float32(masks),
             original=np.stack(originals) / np.float32(255))
    return path


def prepare_competition(home: Path, training: int, test: int, *, side: int, different: int) -> None:
    """Write a competition unless this very one is there; a home with another one, or with a part of one, is deleted first."""
    manifest = home / MANIFEST
    if not manifest.exists() or json.loads(manifest.read_text()) != describe_competition(training, test, side, different):
        shutil.rmtree(home, ignore_errors=True)
        write_competition(home, training, test, side=side, different=different)


def describe_competition(training: int, test: int, side: int, different: int) -> dict[str, Any]:
    """Return what archive.json says of a competition."""
    content = f"{training} and {test} images of {side}, {different} different ones"
    return {"sha256": content, "stamp": [], "origin": "", "made_from": {}, "count": 0, "bytes": 0}


def write_competition(home: Path, training: int, test: int, *, side: int, different: int = 80) -> None:
    """Write a downloaded and unpacked competition; beyond so many different images, files are links to earlier ones."""
    files = (home / MANIFEST).with_name("files")
    rng = np.random.default_rng(SEED)
    examples = [(image, *damage_image(rng, image)) for image in cut_images(different, side)]
    for number, label in enumerate(CLASSES):
        named = {f"{label}-Train ({n}).jpeg": examples[n % different] for n in range(number, training, len(CLASSES))}
        write_training_class(files / "Dataset" / "Training_Data" / label, named)
    tests = {f"Test ({n}).jpeg": examples[-1 - n % different] for n in range(test)}
    write_damaged_images(files / "Dataset" / "Testing_Data", tests)
    write_sample_submission(files / "sample_submission.csv", tests)
    (home / MANIFEST).write_text(json.dumps(describe_competition(training, test, side, different)))


def write_training_class(folder: Path, named: Mapping[str, Example]) -> None:
    write_jpegs(folder / "Unmasked_Train", {name: original for name, (original, _, _) in named.items()})
    write_damaged_images(folder / "Masked_Train", named)


def write_damaged_images(folder: Path, named: Mapping[str, Example]) -> None:
    """Write the damaged images and masked_info.csv, the table of their boxes."""
    write_jpegs(folder, {name: damaged for name, (_, damaged, _) in named.items()})
    rows: list[Sequence[object]] = [("", "filename", *CORNER_COLUMNS)]
    for number, (name, (_, _, boxes)) in enumerate(named.items()):
        rows.append((number, name, *(corner for box in boxes for corner in box[:2])))
    (folder / "masked_info.csv").write_bytes(encode_table(rows))


def write_jpegs(folder: Path, named: Mapping[str, np.ndarray]) -> None:
    """Write JPEG files by name; if an image occurs several times, the later files are links to the first."""
    folder.mkdir(parents=True)
    written: dict[int, Path] = {}
    for name, image in named.items():
        if id(image) in written:
            os.link(written[id(image)], folder / name)
        else:
            written[id(image)] = folder / name
            (folder / name).write_bytes(encode_jpeg(image))


def write_sample_submission(path: Path, named: Mapping[str, Example]) -> None:
    """Write the sample submission: a row of zero for each missing value of the test images."""
    with open(path, "wb") as file:
        file.write(encode_table([SUBMISSION_HEADER]))
        for name, (_, _, boxes) in named.items():
            record = ImageRecord(name, "", name, "test", name, None, boxes)
            zeros = [np.zeros((height, width, 3), np.float32) for _, _, height, width in boxes]
            file.writelines(encode_rows(record, zeros))
