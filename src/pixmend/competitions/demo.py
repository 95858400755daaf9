"""The demo: photo-reconstruction in small, made from photos inside scikit-learn and scikit-image, with a solution.

Training and test images never come from one photo. The same size always gives the same bytes.
"""

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pixmend import files
from pixmend.competitions import photo_reconstruction as layout
from pixmend.competitions.base import Shape
from pixmend.competitions.photo_reconstruction import SUBMISSION, PhotoReconstruction, get_box_side
from pixmend.competitions.synthetic import PUBLIC_SHARE, QUICK_TRAINING, SEED, SyntheticCompetition, add_file
from pixmend.config import DownloadSettings, Settings
from pixmend.data import photos
from pixmend.data.damage import Box, count_boxes, cover_pixels, draw_two_boxes
from pixmend.data.encode import encode_jpeg, encode_png
from pixmend.data.image_record import ImageRecord
from pixmend.data.photos import Photo
from pixmend.submissions import csv_format

PNG_INTERVAL = 5   # every fifth image of a photo is a PNG, the others are JPEGs


class DemoImage(NamedTuple):
    """One image cut from a photo, uint8, with its file name and its boxes."""

    label: str
    name: str
    original: np.ndarray
    boxes: tuple[Box, Box]


class Demo(PhotoReconstruction, SyntheticCompetition):
    """The format and the damage of photo-reconstruction, in an archive that is made here."""

    accepts_photos: ClassVar[bool] = False

    def read_images(self, folder: Path, shape: Shape) -> list[ImageRecord]:
        """List the images; their source is the photo: `chelsea (3).jpeg` comes from `chelsea`."""
        return [replace(image, source=Path(image.id).name.rpartition(" (")[0]) for image in super().read_images(folder, shape)]

    def cache_key(self, settings: DownloadSettings) -> dict[str, Any]:
        """Only the size decides the files."""
        return {"size": settings.size}

    def make_archive(self, folder: Path, settings: Settings) -> None:
        """Write the archive, laid out as Kaggle's, and the solution."""
        rng = np.random.default_rng(SEED)
        train, test = ([image for photo in photos.list_embedded_photos() if photo.split == split
                        for image in self.make_images(rng, photo, settings.shape)] for split in ("train", "test"))
        test = [test[number] for number in rng.permutation(len(test))]
        with files.atomic_write(folder / f"{self.slug}.zip") as file, zipfile.ZipFile(file, "w") as archive:
            pack_images(archive, train, test, settings)
        public = set(rng.permutation(len(test))[:round(PUBLIC_SHARE * len(test))].tolist())
        is_public = [number in public for number in range(len(test))]
        with files.atomic_write(folder / "solution.csv") as file:
            file.writelines(encode_submission(test, [image.original for image in test], settings, is_public))

    def make_images(self, rng: np.random.Generator, photo: Photo, shape: Shape) -> Iterable[DemoImage]:
        for number, image in enumerate(self.cut_images(rng, photo, shape), 1):
            suffix = "jpeg" if number % PNG_INTERVAL else "png"
            boxes = draw_two_boxes(rng, shape, get_box_side(shape))
            yield DemoImage(photo.label, f"{photo.name} ({number}).{suffix}", image, boxes)


def pack_images(archive: zipfile.ZipFile, train: Sequence[DemoImage], test: Sequence[DemoImage], settings: Settings) -> None:
    for label in sorted({image.label for image in train}):
        of_class = [image for image in train if image.label == label]
        folder = f"{layout.TRAIN}/{label}"
        for image in of_class:
            add_file(archive, f"{folder}/{layout.ORIGINAL}/{image.name}", encode_image(image.name, image.original))
            add_file(archive, f"{folder}/{layout.DAMAGED}/{image.name}", encode_damaged(image))
        add_file(archive, f"{folder}/{layout.DAMAGED}/{layout.TABLE}", encode_table(of_class))
    for image in test:
        add_file(archive, f"{layout.TEST}/{image.name}", encode_damaged(image))
    add_file(archive, f"{layout.TEST}/{layout.TABLE}", encode_table(test))
    black = [np.zeros_like(image.original) for image in test]
    add_file(archive, SUBMISSION.sample_name, b"".join(encode_submission(test, black, settings)), zipfile.ZIP_DEFLATED)


def encode_image(name: str, image: np.ndarray) -> bytes:
    return encode_png(image) if name.endswith(".png") else encode_jpeg(image)


def encode_damaged(image: DemoImage) -> bytes:
    return encode_image(image.name, cover_pixels(image.original, count_boxes(image.boxes, image.original.shape)))


def encode_table(images: Sequence[DemoImage]) -> bytes:
    rows = [(number, image.name, *(corner for box in image.boxes for corner in box[:2])) for number, image in enumerate(images)]
    return csv_format.encode_table([("", layout.NAME_COLUMN, *layout.CORNER_COLUMNS), *rows])


def encode_submission(images: Sequence[DemoImage], pixels: Sequence[np.ndarray], settings: Settings,
                      is_public: Sequence[bool] | None = None) -> Iterable[bytes]:
    """Return a submission with the pixels, uint8, of each image: blue first and values in 0..1, as they are scored."""
    as_scored = replace(settings, channel_order="bgr", value_scale="unit")
    records = [ImageRecord(image.name, image.label, image.name, "test", image.name, None, image.boxes) for image in images]
    values = SUBMISSION.missing_values(records, (image / np.float32(255) for image in pixels), as_scored)
    return SUBMISSION.encode(records, values, as_scored, is_public)


DEMO = Demo(slug="photo-reconstruction-demo", submission=SUBMISSION, defaults=QUICK_TRAINING)
