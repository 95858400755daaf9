"""Competitions that are made here: images cut from photos, damaged, and packed as a download would bring them; with a solution.

The archive holds pictures.csv (id, class, source and split of each image), the sample submission, and PNG files named by id:

train/damaged  train/whole  train/missing   `missing` is white where pixels are missing
test/damaged   test/missing
"""

import pickle
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from pixmend import files, workers
from pixmend.competitions.base import Competition, Shape
from pixmend.config import DownloadSettings, Settings
from pixmend.data import photos
from pixmend.data.archive_manifest import HOLE_COLOUR
from pixmend.data.encode import encode_png
from pixmend.data.image_record import ImageRecord
from pixmend.data.photos import SEED, Photo
from pixmend.errors import DOWNLOAD_AGAIN, UserError
from pixmend.submissions import csv_format, csv_reader

ZIP_DATE = (2023, 4, 15, 0, 0, 0)
PUBLIC_SHARE = 0.4   # of the test images
TABLE, COLUMNS = "pictures.csv", ("id", "class", "source", "split")
MAX_NAME_LENGTH, CHUNK = 40, 2   # letters of a photo's name in an image's id; photos for a worker
QUICK_TRAINING = {"width": 16, "steps": 400, "evaluate_every": 50}   # defaults that suit the few photos inside the packages
# Defaults of Pix2Pix where what is missing is no box, so that a window around it has no use.
WHOLE_IMAGES = {"window": 0.0, "masks_per_image": 0, "batch_size": 4}


@dataclass(frozen=True)
class SyntheticImage:
    """One image cut from a photo: its PNG files by folder, its mask, and the original values of the missing pixels in 0..1."""

    photo: Photo
    files: Mapping[str, bytes]
    mask: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, kw_only=True)
class SyntheticCompetition(Competition):
    """A competition made from photos: those inside installed packages, or a user's own."""

    is_synthetic: ClassVar[bool] = True
    accepts_photos: ClassVar[bool] = True

    def cut_images(self, rng: np.random.Generator, photo: Photo, shape: Shape) -> Iterable[np.ndarray]:
        """Yield the original images cut from a photo, of exactly this shape; by default resized squares."""
        for square in self.cut_squares(rng, photo, shape[0]):
            yield photos.resize_image(photos.convert_channels(square, shape), shape)

    def cut_squares(self, rng: np.random.Generator, photo: Photo, side: int) -> Iterable[np.ndarray]:
        """Yield squares of a photo, to be resized to this side."""
        return photos.cut_squares(rng, photo.decode(), photo.count, side)

    def cache_key(self, settings: DownloadSettings) -> dict[str, Any]:
        """Return the settings, and what tells a user's photos from others."""
        own = {"pictures": photos.hash_folder(settings.photos), "broken": settings.broken_images} if settings.photos else {}
        return {"size": settings.size, HOLE_COLOUR: settings.hole_colour, **own}

    def make_archive(self, folder: Path, settings: Settings) -> None:
        """Write the archive and the solution into a folder; the same photos and settings give the same bytes."""
        if settings.photos:
            photos.check_holds_no_home(settings.photos, settings.home, "--photos")
        found = (photos.list_folder_photos(settings.photos, settings.broken_images) if settings.photos
                 else photos.list_embedded_photos())
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as storage:
            test = ShuffledImages(storage, self._make_images(found, "test", settings))
            with files.atomic_write(folder / f"{self.slug}.zip") as file, zipfile.ZipFile(file, "w") as archive:
                train = self._make_images(found, "train", settings)
                rows = [add_image(archive, number, image) for number, image in enumerate(train, 1)]
                rows += [add_image(archive, number, image) for number, image in enumerate(test, len(rows) + 1)]
                ids = [row[0] for row in rows[-len(test):]]
                add_file(archive, TABLE, csv_format.encode_table([COLUMNS, *rows]), zipfile.ZIP_DEFLATED)
                zeros = (np.zeros_like(image.values) for image in test)
                sample = self.submission.encode(list_records(ids, test), zeros, settings)
                add_large_file(archive, self.submission.sample_name, sample, folder)
            with files.atomic_write(folder / f"solution{self.submission.suffix}") as file:
                values = (image.values for image in test)
                is_public = (number < round(PUBLIC_SHARE * len(test)) for number in range(len(test)))
                file.writelines(self.submission.encode(list_records(ids, test), values, settings, is_public))

    def _make_images(self, found: Sequence[Photo], split: str, settings: Settings) -> Iterator[SyntheticImage]:
        numbered = [(number, photo) for number, photo in enumerate(found) if photo.split == split]
        job = partial(make_chunk, self, settings)
        for chunk in workers.run_in_chunks(job, numbered, size=CHUNK, label=f"make the {split} images", unit="photos"):
            yield from chunk

    def read_images(self, folder: Path, shape: Shape) -> list[ImageRecord]:
        """List the images in the order of their table."""
        with csv_reader.read_lines(folder / TABLE, DOWNLOAD_AGAIN) as table:
            _, names = next(table, (1, []))
            if tuple(names) != COLUMNS:
                raise UserError(f"{folder / TABLE}, line 1: {','.join(names)[:80]!r} is not {','.join(COLUMNS)}; "
                                f"{DOWNLOAD_AGAIN}.")
            records = []
            for line, fields in table:
                if len(fields) != len(COLUMNS) or fields[3] not in ("train", "test"):
                    raise UserError(f"{folder / TABLE}, line {line}: {','.join(fields)[:80]!r} is no image of train or test; "
                                    f"{DOWNLOAD_AGAIN}.")
                id, label, source, split = fields
                paths = {name: str(folder / split / name / f"{id}.png") for name in ("damaged", "missing", "whole")}
                original = paths["whole"] if split == "train" else None
                records.append(ImageRecord(id, label, source, split, paths["damaged"], original, missing=paths["missing"]))
            return records


class ShuffledImages(Sequence):
    """Images on disk in a fixed random order, read one by one: those of many photos may not fit into memory."""

    def __init__(self, file: BinaryIO, images: Iterable[SyntheticImage]) -> None:
        self.file = file
        positions = []
        for image in images:
            positions.append(file.tell())
            pickle.dump(image, file)
        self.positions = [positions[number] for number in np.random.default_rng(SEED).permutation(len(positions))]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, number: Any) -> Any:
        self.file.seek(self.positions[number])
        return pickle.load(self.file)


def make_chunk(competition: SyntheticCompetition, settings: Settings,
               numbered: Iterable[tuple[int, Photo]]) -> list[SyntheticImage]:
    """Cut and damage the images of some photos, in a worker process; the original of a test image stays out."""
    made = []
    for number, photo in numbered:
        rng = np.random.default_rng((SEED, number))
        for original in list(competition.cut_images(rng, photo, settings.shape)):   # all are drawn before their damage
            damaged, counts = competition.damage_image(rng, original, settings)
            mask = counts > 0
            images = {"damaged": np.ascontiguousarray(damaged), "missing": np.uint8(255) * mask[..., None]}
            if photo.split == "train":
                images["whole"] = np.ascontiguousarray(original)
            encoded = {folder: encode_png(image) for folder, image in images.items()}
            made.append(SyntheticImage(photo, encoded, mask, original[mask] / np.float32(255)))
    return made


def list_records(ids: Iterable[str], images: Iterable[SyntheticImage]) -> Iterator[ImageRecord]:
    """Yield what a submission's writer must know of each test image."""
    for id, image in zip(ids, images, strict=True):
        yield ImageRecord(id, label="", source="", split="test", damaged="", original=None, drawn=image.mask.astype(np.uint8))


def add_image(archive: zipfile.ZipFile, number: int, image: SyntheticImage) -> tuple[str, str, str, str]:
    """Add an image's files to the archive; return its row of the table."""
    photo = image.photo
    stem = re.sub(r"\W+", "-", Path(photo.name).stem, flags=re.ASCII).strip("-")[:MAX_NAME_LENGTH]
    id = f"{number:05}-{stem}" if stem else f"{number:05}"
    for folder, data in image.files.items():
        add_file(archive, f"{photo.split}/{folder}/{id}.png", data)
    return id, photo.label, photo.source, photo.split


def add_file(archive: zipfile.ZipFile, name: str, data: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    """Add a file to an archive that has the same bytes each time."""
    archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), data, compression)


def add_large_file(archive: zipfile.ZipFile, name: str, pieces: Iterable[bytes], folder: Path) -> None:
    """Add a compressed file that may not fit into memory; its size must be known before its header is written."""
    member = zipfile.ZipInfo(name, ZIP_DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    with tempfile.TemporaryFile(dir=folder) as storage:
        storage.writelines(pieces)
        member.file_size = storage.tell()
        storage.seek(0)
        with archive.open(member, "w") as inside:
            shutil.copyfileobj(storage, inside, files.CHUNK)
