"""What the benchmarks measure on, made here: pictures cut from the photos inside packages, and contests of them on disk."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixmend.competitions import photo_reconstruction
from pixmend.competitions.photo_reconstruction import get_box_side
from pixmend.data import photos
from pixmend.data.damage import count_boxes, cover_pixels, draw_two_boxes
from pixmend.data.encode import encode_jpeg
from pixmend.data.image_record import ImageRecord
from pixmend.submissions.box_csv import encode_rows
from pixmend.submissions.csv_format import encode_table as lines

SEED = 1
KINDS = ("Cat", "Elephant", "Horse", "Tiger")
HEADER = ("filename_box_pixel", "value")


@dataclass(frozen=True)
class Sizes:
    """How much is measured: the real competition's sizes, or toys that show in seconds that all of it runs."""

    side: int = 256
    width: int = 64
    training: int = 80
    test: int = 200
    jpegs: int = 14_000
    rounds: int = 5


TOYS = Sizes(side=32, width=4, training=12, test=8, jpegs=64, rounds=2)


def pictures(count, side):
    """Squares of several scales from all photos in turn, each shrunk to a side."""
    rng, found = np.random.default_rng(SEED), photos.list_embedded_photos()
    shares = [count // len(found) + (place < count % len(found)) for place in range(len(found))]
    cut = [photos.resize_image(square, (side, side, 3)) for photo, share in zip(found, shares, strict=True)
           for square in photos.cut_squares(rng, photo.decode(), share, side)]
    return [cut[place] for place in rng.permutation(count)]


def damaged(rng, picture):
    """A picture with two boxes, black; and their places."""
    boxes = draw_two_boxes(rng, picture.shape, get_box_side(picture.shape))
    return cover_pixels(picture, count_boxes(boxes, picture.shape)), boxes


def batch(path, count, side):
    """A training batch as a file: what is seen, the mask and the whole pictures, floats in 0..1."""
    rng = np.random.default_rng(SEED)
    whole = pictures(count, side)
    seen, boxes = zip(*(damaged(rng, picture) for picture in whole), strict=True)
    mask = np.stack([count_boxes(both, (side, side)) > 0 for both in boxes])[..., None]
    np.savez(path, seen=np.stack(seen) / np.float32(255), mask=np.float32(mask), whole=np.stack(whole) / np.float32(255))
    return path


def contest(home, training, test, *, side, different=80):
    """A checked and unpacked competition; so many of its pictures are different ones, the others are links to those."""
    files = Path(home) / "competition" / "photo_reconstruction" / "files"
    rng = np.random.default_rng(SEED)
    ready = [(picture, *damaged(rng, picture)) for picture in pictures(different, side)]
    for number, kind in enumerate(KINDS):
        folder = files / "Dataset" / "Training_Data" / kind
        rows = [(f"{kind}-Train ({n}).jpeg", ready[n % different]) for n in range(number, training, len(KINDS))]
        put(folder / "Unmasked_Train", {name: whole for name, (whole, _, _) in rows})
        put(folder / "Masked_Train", {name: seen for name, (_, seen, _) in rows})
        table(folder / "Masked_Train", {name: boxes for name, (_, _, boxes) in rows})
    rows = [(f"Test ({n}).jpeg", ready[-1 - n % different]) for n in range(test)]
    put(files / "Dataset" / "Testing_Data", {name: seen for name, (_, seen, _) in rows})
    table(files / "Dataset" / "Testing_Data", {name: boxes for name, (_, _, boxes) in rows})
    sample(files / "sample_submission.csv", {name: boxes for name, (_, _, boxes) in rows})
    manifest = {"sha256": f"{training} and {test}", "stamp": [], "origin": "", "made_from": {}, "count": 0, "bytes": 0}
    (files.parent / "archive.json").write_text(json.dumps(manifest))


def put(folder, named):
    """JPEG files by name; of equal pictures the later ones are links to the first."""
    folder.mkdir(parents=True)
    first = {}
    for name, picture in named.items():
        if id(picture) in first:
            os.link(first[id(picture)], folder / name)
        else:
            first[id(picture)] = folder / name
            (folder / name).write_bytes(encode_jpeg(picture))


def table(folder, boxes):
    rows = [(n, name, *(corner for box in both for corner in box[:2])) for n, (name, both) in enumerate(boxes.items())]
    (folder / "masked_info.csv").write_bytes(lines([("", "filename", *photo_reconstruction.CORNER_COLUMNS), *rows]))


def entries(boxes):
    return [ImageRecord(name, "", name, "test", name, None, both) for name, both in boxes.items()]


def sample(path, boxes):
    with open(path, "wb") as file:
        file.write(lines([HEADER]))
        for entry in entries(boxes):
            file.writelines(encode_rows(entry, [np.zeros((height, width, 3), np.float32) for *_, height, width in entry.boxes]))
