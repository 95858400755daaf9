"""Photos of the user's own as further training images: damaged as the competition's are, never in holdout or test.

What shows the same photo as a holdout or test image is left out: a network would be trained on what it is scored on.
"""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixmend.config import Settings
from pixmend.data import near_duplicates, photos
from pixmend.data.array_files import ArrayFile
from pixmend.data.dataset import EXTRA, FILLED, Dataset, list_extra_ids
from pixmend.data.decode import decode_photo
from pixmend.data.image_record import ImageRecord
from pixmend.errors import FlagError, UserError

Line = dict[str, Any]   # of listed.json
TURNS = range(4)   # quarter turns: augmentation turns images, too


def list_records(settings: Settings) -> list[ImageRecord]:
    """Return a training image without a damaged file for each photo of the folder; its subfolders are classes."""
    check_own_folder(settings)
    folder, records = Path(settings.extra_pictures), []
    for path in photos.list_image_files(folder, "--extra-pictures"):
        name = path.relative_to(folder)
        id = f"{EXTRA}{photos.to_readable_text(name)}"
        label = photos.to_readable_text(name.parts[0]) if len(name.parts) > 1 else ""
        records.append(ImageRecord(id, label, source=id, split="train", damaged="", original=str(path)))
    if not records:
        raise UserError(f"{folder.absolute()} holds no pictures that end in {', '.join(photos.ENDINGS)}; "
                        "give --extra-pictures a folder of photos, or leave it out.")
    return records


def check_own_folder(settings: Settings) -> None:
    """Refuse what pixmend wrote, and photos that the competition is made of: another crop of a test photo is not recognized."""
    photos.check_holds_no_home(settings.extra_pictures, settings.home, "--extra-pictures")
    if not settings.photos:
        return
    extra, photos_folder = Path(settings.extra_pictures).resolve(), Path(settings.photos).resolve()
    if extra.is_relative_to(photos_folder) or photos_folder.is_relative_to(extra):
        raise FlagError(f"--extra-pictures {extra} and --photos {photos_folder} share photos, so a network would be trained on "
                        f"photos of the holdout and the test images. Give --extra-pictures a folder outside --photos.")


def cut_image(record: ImageRecord, settings: Settings) -> np.ndarray:
    """Return the largest square in the middle of the photo, resized, in colour or grey as the competition's images are."""
    square = photos.cut_middle_square(decode_photo(record.original or ""))
    return photos.resize_image(photos.convert_channels(square, settings.shape), settings.shape)


def hash_views(record: ImageRecord, image: np.ndarray) -> Line:
    """Return the hashes of the whole photo as a square, which a competition may have stretched, and of the turned image."""
    turned = [photos.resize_image(np.rot90(image, turns), image.shape) for turns in TURNS[1:]]
    return {"stretched_hashes": list_hashes(decode_photo(record.original or "")), "turned_hashes": [*map(list_hashes, turned)]}


def list_hashes(image: np.ndarray) -> list[int]:
    return [int(value) for value in near_duplicates.hash_image(image)]


def make_rng(record: ImageRecord) -> np.random.Generator:
    """Return random numbers that depend on the image alone."""
    return np.random.default_rng(zlib.crc32(record.id.encode()))


def find_copies(folder: Path, listed: Sequence[Line], sources: Sequence[str], split_of: Mapping[str, str]) -> set[str]:
    """Return the ids of the extra pictures that show the same photo as an image of the holdout, of a fold or of the test set."""
    extras = [line for line in listed if is_extra(line) and "broken" not in line]
    train = [line for line in listed if line.get("split") == "train" and not is_extra(line)]
    views = [(line["id"], hashes) for line in extras for hashes in [*list_turned(line), line.get("stretched_hashes")] if hashes]
    hashes = [*(line["hashes"] for line in train), *(found for _, found in views)]
    pairs = near_duplicates.find_near_duplicates(*zip(*hashes, strict=True))
    groups = near_duplicates.join_sources([*sources, *(id for id, _ in views)], pairs)
    held = {group for group, source in zip(groups, sources, strict=False) if split_of[source] != "train"}
    copies = {id for (id, _), group in zip(views, groups[len(train):], strict=True) if group in held}
    return copies | find_copies_of_test(folder, extras, [line for line in listed if line.get("split") == "test"])


def list_turned(line: Line) -> list[list[int]]:
    """Return the hashes of an image as it is, and turned once, twice and three times; earlier versions wrote the first only."""
    return [line["hashes"], *line.get("turned_hashes", [])]


def find_copies_of_test(folder: Path, extras: Sequence[Line], test: Sequence[Line]) -> set[str]:
    """Return the ids of the extra pictures that show a test image, of which only the known pixels can be compared."""
    images, counts, filled = (ArrayFile(folder / f"{name}.npy") for name in ("pictures", "counts", FILLED))
    views = [(line, turns, hashes) for line in extras for turns, hashes in zip(TURNS, list_turned(line), strict=False)]
    straight, mirrored = (np.array([hashes[side] for *_, hashes in views], np.uint64) for side in (0, 1))

    def read_view(number: int) -> np.ndarray:
        line, turns, _ = views[number]
        image = images[line["whole"]]
        return photos.resize_image(np.rot90(image, turns), image.shape)

    copies = set()
    for line in test:
        near = near_duplicates.find_copies_of_filled(filled[line["damaged"]], counts[line["damaged"]] > 0, straight, mirrored,
                                                     read_view)
        copies |= {views[number][0]["id"] for number in near}
    return copies


def is_extra(line: Line) -> bool:
    return line["id"].startswith(EXTRA)


def describe(dataset: Dataset, listed: Sequence[Line]) -> list[str]:
    """Return a line on how many were added, and why others were not; nothing for a dataset without any."""
    extras = [line for line in listed if is_extra(line)]
    if not extras:
        return []
    added = len(list_extra_ids(dataset))
    broken = sum("broken" in line for line in extras)
    return [f"extra pictures: {added} of {len(extras)} are training images; {broken} cannot be decoded, and "
            f"{len(extras) - broken - added} are near duplicates of holdout or test images"]
