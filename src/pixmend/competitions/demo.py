"""The demo: photo-reconstruction in small, made from photographs that come with pixmend and its libraries, with a solution.

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
from pixmend.competitions.synthetic import PUBLIC_SHARE, QUICK_TRAINING, SEED, SyntheticCompetition, add_file, add_large_file
from pixmend.config import DownloadSettings, Settings
from pixmend.data import photos
from pixmend.data.damage import Box, count_boxes, cover_pixels, draw_two_boxes
from pixmend.data.encode import encode_jpeg, encode_png
from pixmend.data.image_record import ImageRecord
from pixmend.submissions import csv_format

EDITION = 2   # another one replaces a demo that was made before
PNG_INTERVAL = 5   # every fifth image of a photo is a PNG, the others are JPEGs
IMAGES_PER_PHOTO = {"train": 10, "test": 6}
TRIAL_SIZE, IMAGES_PER_PHOTO_IN_A_TRIAL = 64, 2   # smaller images are for trying the stages, not for learning
SMALLEST = 200   # pixels of a photo along the side of an image
# 31 photos teach a network only so much: after more steps window_mlp gets worse.
FEW_PHOTOS: dict[str, dict[str, Any]] = {
    "window_mlp": {"start": "smooth", "masks_per_image": 7, "width": 512, "steps": 200, "evaluate_every": 50},
    "window_unet": {"masks_per_image": 7, "steps": 800, "evaluate_every": 200}}


class DemoImage(NamedTuple):
    """One image cut from a photo, uint8, with its file name and its boxes."""

    label: str
    name: str
    original: np.ndarray
    boxes: tuple[Box, Box]


class Demo(layout.PhotoReconstruction, SyntheticCompetition):
    """The format and the damage of photo-reconstruction, in an archive that is made here."""

    accepts_photos: ClassVar[bool] = False
    runs_at_kaggle: ClassVar[bool] = False   # its photographs are not in the kernel

    def read_images(self, folder: Path, shape: Shape) -> list[ImageRecord]:
        """List the images; their source is the photo: `chelsea (3).jpeg` comes from `chelsea`."""
        return [replace(image, source=Path(image.id).name.rpartition(" (")[0]) for image in super().read_images(folder, shape)]

    def cache_key(self, settings: DownloadSettings) -> dict[str, Any]:
        """Only the size decides the files, in one edition of the demo."""
        return {"size": settings.size, "edition": EDITION}

    def make_archive(self, folder: Path, settings: Settings) -> None:
        """Write the archive, laid out as Kaggle's, and the solution."""
        rng, test = np.random.default_rng(SEED), list(self.make_split("test", settings.shape))
        test = [test[number] for number in rng.permutation(len(test))]
        with files.atomic_write(folder / f"{self.slug}.zip") as file, zipfile.ZipFile(file, "w") as archive:
            pack_images(archive, "train", self.make_split("train", settings.shape))
            pack_images(archive, "test", test)
            black = (np.zeros_like(image.original) for image in test)
            add_large_file(archive, layout.SUBMISSION.sample_name, encode_submission(test, black, settings), folder)
        is_public = np.isin(np.arange(len(test)), rng.permutation(len(test))[:round(PUBLIC_SHARE * len(test))]).tolist()
        with files.atomic_write(folder / "solution.csv") as file:
            file.writelines(encode_submission(test, (image.original for image in test), settings, is_public))

    def cut_squares(self, rng: np.random.Generator, photo: photos.Photo, side: int) -> Iterable[np.ndarray]:
        """Yield squares of many scales, the largest as large as the photo; none is enlarged, if the photo is large enough."""
        return photos.cut_squares(rng, photo.decode(), count_images(photo.split, side), max(side, SMALLEST), least=0)

    def make_split(self, split: str, shape: Shape) -> Iterable[DemoImage]:
        """Yield the images of all photos of a split."""
        for number, photo in enumerate(photos.list_demo_photos()):
            if photo.split == split:
                yield from self.make_images(np.random.default_rng((SEED, number)), photo, shape)

    def make_images(self, rng: np.random.Generator, photo: photos.Photo, shape: Shape) -> Iterable[DemoImage]:
        for number, image in enumerate(self.cut_images(rng, photo, shape), 1):
            suffix = "jpeg" if number % min(PNG_INTERVAL, count_images(photo.split, shape[0])) else "png"
            boxes = draw_two_boxes(rng, shape, layout.get_box_side(shape))
            yield DemoImage(photo.label, f"{photo.name} ({number}).{suffix}", image, boxes)


def count_images(split: str, side: int) -> int:
    """Return how many images are cut from a photo of a split."""
    return IMAGES_PER_PHOTO[split] if side >= TRIAL_SIZE else IMAGES_PER_PHOTO_IN_A_TRIAL


def pack_images(archive: zipfile.ZipFile, split: str, images: Iterable[DemoImage]) -> None:
    """Add the images of a split one by one, and then a table for each folder of damaged images."""
    tables: dict[str, list[tuple[Any, ...]]] = {}
    for image in images:
        encode = encode_png if image.name.endswith(".png") else encode_jpeg
        folder = f"{layout.TRAIN}/{image.label}/{layout.DAMAGED}" if split == "train" else layout.TEST
        if split == "train":
            add_file(archive, f"{layout.TRAIN}/{image.label}/{layout.ORIGINAL}/{image.name}", encode(image.original))
        damaged = cover_pixels(image.original, count_boxes(image.boxes, image.original.shape))
        add_file(archive, f"{folder}/{image.name}", encode(damaged))
        rows = tables.setdefault(folder, [("", layout.NAME_COLUMN, *layout.CORNER_COLUMNS)])
        rows.append((len(rows) - 1, image.name, *(corner for box in image.boxes for corner in box[:2])))
    for folder, rows in sorted(tables.items()):
        add_file(archive, f"{folder}/{layout.TABLE}", csv_format.encode_table(rows))


def encode_submission(images: Sequence[DemoImage], pixels: Iterable[np.ndarray], settings: Settings,
                      is_public: Sequence[bool] | None = None) -> Iterable[bytes]:
    """Return a submission with the pixels, uint8, of each image: blue first and values in 0..1, as they are scored."""
    as_scored = replace(settings, channel_order="bgr", value_scale="unit")
    records = [ImageRecord(image.name, image.label, source=image.name, split="test", damaged=image.name, original=None,
                           boxes=image.boxes) for image in images]
    values = layout.SUBMISSION.missing_values(records, (image / np.float32(255) for image in pixels), as_scored)
    return layout.SUBMISSION.encode(records, values, as_scored, is_public)


DEMO = Demo(slug="photo-reconstruction-demo", submission=layout.SUBMISSION, defaults=QUICK_TRAINING,
            model_defaults=FEW_PHOTOS)
