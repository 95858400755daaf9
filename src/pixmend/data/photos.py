"""Photos for synthetic competitions: those inside packages, or in a user's folder; cut, resized, made grey.

A source, to which near duplicates belong together, is either in the test set or in the training set, never in both.
Images are uint8, height x width x channels.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pixmend import workers
from pixmend.data import near_duplicates, splits
from pixmend.data.decode import decode_photo
from pixmend.errors import FlagError, UserError
from pixmend.files import file_signature, hash_value
from pixmend.progress import print_message

SCIKIT_LEARN, SCIKIT_IMAGE = ("sklearn", "datasets/images"), ("skimage", "data")
# File, package, folder, class and split of each photo, and whether the fill `photos` learned from it.
DEMO_TABLE = Path(__file__).parents[1] / "photographs/photographs.csv"
# File, package, folder, label, split, images cut from it. In each class one photo gives few: a holdout of whole photos.
EMBEDDED = (
    ("china.jpg", *SCIKIT_LEARN, "Made", "train", 9),
    ("motorcycle_left.png", *SCIKIT_IMAGE, "Made", "train", 9),
    ("astronaut.png", *SCIKIT_IMAGE, "Made", "train", 9),
    ("rocket.jpg", *SCIKIT_IMAGE, "Made", "train", 4),
    ("flower.jpg", *SCIKIT_LEARN, "Grown", "train", 10),
    ("ihc.png", *SCIKIT_IMAGE, "Grown", "train", 9),
    ("retina.jpg", *SCIKIT_IMAGE, "Grown", "train", 4),
    ("hubble_deep_field.jpg", *SCIKIT_IMAGE, "Grown", "train", 6),
    ("chelsea.png", *SCIKIT_IMAGE, "Grown", "test", 6), ("coffee.png", *SCIKIT_IMAGE, "Made", "test", 6))

LIGHT = np.array([0.2126, 0.7152, 0.0722])   # weights of red, green and blue in Rec. 709
BEND, SLOPE, POWER, OFFSET = 0.0031308, 12.92, 2.4, 0.055   # of the sRGB curve
ENDINGS = (".jpeg", ".jpg", ".png")
TEST_SHARE, SEED, FEWEST = 0.15, 20230415, 3
CHUNK = 8


@dataclass(frozen=True)
class Photo:
    """A photo file; `count` is how many images are cut from it, None if the competition decides."""

    name: str
    label: str
    source: str
    split: str
    path: Path
    count: int | None = None

    def decode(self) -> np.ndarray:
        return decode_photo(self.path)


def list_embedded_photos() -> list[Photo]:
    return [find_embedded_photo(*row) for row in EMBEDDED]


def list_demo_photos() -> list[Photo]:
    """Return the photos of the demo, each in the training set or in the test set, in the order of their table."""
    return [find_embedded_photo(row["file"], row["package"], row["folder"], row["class"], row["split"])
            for row in read_demo_table()]


def list_learned_sources() -> set[str]:
    """Return the sources of the photos that the fill `photos` learned from."""
    return {get_source(row["file"]) for row in read_demo_table() if row["learned"] == "yes"}


def read_demo_table() -> list[dict[str, str]]:
    with open(DEMO_TABLE, newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def find_embedded_photo(file: str, package: str, folder: str, label: str, split: str, count: int | None = None) -> Photo:
    """Return a photo inside an installed package, which is not imported; of two photos of one scene, `_left` is in use."""
    spec = find_spec(package)
    path = Path(spec.submodule_search_locations[0], folder, file) if spec and spec.submodule_search_locations else Path(file)
    if not path.exists():
        raise UserError(f"The demo's photo {path} is missing; run `pip install -r requirements.txt`.")
    return Photo(get_source(file), label, get_source(file), split, path, count)


def get_source(file: str) -> str:
    """Return what names the photo in a file of an installed package."""
    return file.split(".")[0].removesuffix("_left")


def cut_squares(rng: np.random.Generator, photo: np.ndarray, count: int | None, side: int,
                least: float = 0.5) -> Iterator[np.ndarray]:
    """Yield `count` random squares, most of them larger than `side` and than a share of the photo; or one middle square."""
    if count is None:
        yield cut_middle_square(photo)
        return
    short = min(photo.shape[:2])
    smallest = min(max(side, int(least * short)), 3 * short // 4)
    for _ in range(count):
        yield cut_random_square(rng, photo, int(rng.integers(smallest, short + 1)))


def cut_random_square(rng: np.random.Generator, photo: np.ndarray, side: int) -> np.ndarray:
    row, column = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
    return photo[row:row + side, column:column + side]


def cut_middle_square(photo: np.ndarray) -> np.ndarray:
    """Return the largest square in the middle of a photo."""
    short = min(photo.shape[:2])
    row, column = ((length - short) // 2 for length in photo.shape[:2])
    return photo[row:row + short, column:column + short]


def resize_image(image: np.ndarray, shape: Any) -> np.ndarray:
    """Resize an image to height x width of `shape`; pixels that are merged are averaged."""
    return cv2.resize(image, shape[1::-1], interpolation=cv2.INTER_AREA).reshape(*shape[:2], image.shape[2])


def convert_channels(image: np.ndarray, shape: Any) -> np.ndarray:
    """Return an image in colour or in grey, as `shape` has three channels or one."""
    return convert_to_colour(image) if shape[2] == 3 else convert_to_grey(image)


def convert_to_colour(image: np.ndarray) -> np.ndarray:
    return image if image.shape[2] == 3 else np.repeat(image, 3, 2)


def convert_to_grey(image: np.ndarray) -> np.ndarray:
    """Weight the coded values as Rec. 601, and most programs, do; return height x width x 1."""
    return image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]


def convert_to_grey_by_light(image: np.ndarray) -> np.ndarray:
    """Decode the sRGB curve, weight linear light as an eye does, and encode the curve again; return height x width x 1."""
    if image.shape[2] == 1:
        return image
    values = np.arange(256) / 255
    linear = np.where(values <= SLOPE * BEND, values / SLOPE, ((values + OFFSET) / (1 + OFFSET)) ** POWER)
    light = linear[image] @ LIGHT
    encoded = np.where(light <= BEND, SLOPE * light, (1 + OFFSET) * light ** (1 / POWER) - OFFSET)
    return np.rint(encoded * 255).astype(np.uint8)[..., None]


def list_image_files(folder: str | Path, given_as: str = "--photos") -> list[Path]:
    """Return the files with an image suffix in a folder and its subfolders, without hidden ones."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FlagError(f"{given_as} {folder.absolute()} is no folder.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def check_holds_no_home(folder: str | Path, home: str | Path, given_as: str) -> None:
    """Refuse a folder of the user's in which the home lies: what pixmend writes would be taken for the user's files."""
    folder, home = Path(folder).resolve(), Path(home).resolve()
    if home.is_relative_to(folder):
        raise FlagError(f"{given_as} {folder} holds the home {home}, so what pixmend writes would be taken for your own files. "
                        f"Choose another --home, or move your files into a folder of their own.")


def hash_folder(folder: str | Path, given_as: str = "--photos") -> str:
    """Return a short hash that changes when an image file of the folder changes."""
    return hash_value([[str(path.relative_to(folder)), *file_signature(path)] for path in list_image_files(folder, given_as)])


def list_folder_photos(folder: str | Path, broken: str) -> list[Photo]:
    """Return a user's photos: each subfolder is a class, and a share of the sources is the test set."""
    hashed = workers.run_in_chunks(hash_chunk, list_image_files(folder), size=CHUNK, label="look at the photos", unit="photos")
    hashed_photos = [photo for chunk in hashed for photo in chunk]
    readable = [(path, hashes) for path, hashes, fault in hashed_photos if not fault]
    for fault in (fault for *_, fault in hashed_photos if fault):
        if broken == "stop":
            raise UserError(f"{fault} Or leave such pictures out with --broken-images skip.")
        print_message(f"left out: {fault}")
    if not readable:
        raise UserError(f"{Path(folder).absolute()} holds no pictures that end in {', '.join(ENDINGS)}; "
                        "give --photos a folder of photos.")
    return split_photos(Path(folder), *zip(*readable, strict=True))


def hash_chunk(paths: Sequence[Path]) -> list[tuple[Path, Any, str | None]]:
    """Return (path, hashes, None) of each photo that can be decoded, and (path, None, error message) of the others."""
    found: list[tuple[Path, Any, str | None]] = []
    for path in paths:
        try:
            found.append((path, near_duplicates.hash_image(decode_photo(path)), None))
        except UserError as error:
            found.append((path, None, str(error)))
    return found


def split_photos(folder: Path, paths: Sequence[Path], hashes: Sequence[Any]) -> list[Photo]:
    """Return the photos with their classes and sources, each source in the training set or in the test set."""
    names = [path.relative_to(folder) for path in paths]
    labels = [name.parts[0] if len(name.parts) > 1 else folder.absolute().name for name in names]
    pairs = near_duplicates.find_near_duplicates(*zip(*hashes, strict=True))
    sources = near_duplicates.join_sources([to_readable_text(name) for name in names], pairs)
    if len(set(sources)) < FEWEST:
        raise UserError(f"{folder.absolute()} holds {len(set(sources))} different photos, near twins counted once; "
                        f"at least {FEWEST} are needed, for training, holdout and test.")
    test = splits.choose_holdout(sources, labels, TEST_SHARE, SEED)
    return [Photo(to_readable_text(name), to_readable_text(label), source, "test" if source in test else "train", path)
            for name, label, source, path in zip(names, labels, sources, paths, strict=True)]


def to_readable_text(name: str | Path) -> str:
    """Return a file name as valid UTF-8 text, with a question mark for each invalid byte."""
    return str(name).encode("utf-8", "replace").decode()
