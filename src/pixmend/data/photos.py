"""Photos that contests are made of: those that ship inside scikit-learn and scikit-image, or all of a user's folder.

The photos of a contest's test set never are in its training set, nor are photos of the same source: near twins have one.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2

from pixmend import workers
from pixmend.data import near_duplicates, splits
from pixmend.data.decode import decode_photo
from pixmend.errors import FlagError, UserError
from pixmend.files import file_signature, hash_value
from pixmend.progress import print_message

SCIKIT_LEARN, SCIKIT_IMAGE = ("sklearn", "datasets/images"), ("skimage", "data")
# Photo, where it ships, class, pictures cut from it. In each class one photo gives few: a holdout of whole photos.
TRAINING = (
    ("china.jpg", SCIKIT_LEARN, "Made", 9),
    ("motorcycle_left.png", SCIKIT_IMAGE, "Made", 9),
    ("astronaut.png", SCIKIT_IMAGE, "Made", 9),
    ("rocket.jpg", SCIKIT_IMAGE, "Made", 4),
    ("flower.jpg", SCIKIT_LEARN, "Grown", 10),
    ("ihc.png", SCIKIT_IMAGE, "Grown", 9),
    ("retina.jpg", SCIKIT_IMAGE, "Grown", 4),
    ("hubble_deep_field.jpg", SCIKIT_IMAGE, "Grown", 6),
)
TEST = (("chelsea.png", SCIKIT_IMAGE, "Grown", 6), ("coffee.png", SCIKIT_IMAGE, "Made", 6))

ENDINGS = (".jpeg", ".jpg", ".png")
TEST_SHARE, SEED, FEWEST = 0.15, 20230415, 3
CHUNK = 8


@dataclass(frozen=True)
class Photo:
    """`count` is how many pictures are cut from it; None leaves that to the contest."""

    name: str
    kind: str
    source: str
    split: str
    path: Path
    count: int | None = None

    def picture(self):
        return decode_photo(self.path)


def list_embedded_photos():
    return [Photo(get_photo_name(file), kind, get_photo_name(file), split, find_embedded_photo(file, *where), count)
            for split, photos in (("train", TRAINING), ("test", TEST)) for file, where, kind, count in photos]


def get_photo_name(file):
    return file.split(".")[0].removesuffix("_left")


def find_embedded_photo(file, package, folder):
    """Where a photo lies inside an installed package, which is not imported for it."""
    package = find_spec(package)
    path = Path(package.submodule_search_locations[0], folder, file) if package else Path(file)
    if not path.exists():
        raise UserError(f"The demo's photo {path} is missing; run `pip install -r requirements.txt`.")
    return path


def cut_squares(rng, photo, count, side):
    """Squares of several scales from a photo, one at a time, most of them larger than `side`."""
    short = min(photo.shape[:2])
    for _ in range(count):
        yield cut_random_square(rng, photo, int(rng.integers(min(max(side, short // 2), 3 * short // 4), short + 1)))


def cut_random_square(rng, photo, side):
    row, column = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
    return photo[row:row + side, column:column + side]


def cut_middle_square(photo):
    """As large as the short side lets it be."""
    short = min(photo.shape[:2])
    row, column = ((length - short) // 2 for length in photo.shape[:2])
    return photo[row:row + short, column:column + short]


def resize_image(picture, shape):
    """To a height and width, by the mean of the pixels that become one."""
    return cv2.resize(picture, shape[1::-1], interpolation=cv2.INTER_AREA).reshape(*shape[:2], picture.shape[2])


def list_image_files(folder):
    """The files in a folder and the folders below it whose names say that they are pictures; what is hidden is left alone."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FlagError(f"--photos {folder.absolute()} is no folder.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def hash_folder(folder):
    """A short hash that tells whether the pictures of a folder are still the same ones."""
    return hash_value([[str(path.relative_to(folder)), *file_signature(path)] for path in list_image_files(folder)])


def list_folder_photos(folder, broken):
    """A user's photos, classes by subfolder, with a share of the sources as the test set's."""
    hashed = workers.run_in_chunks(hash_chunk, list_image_files(folder), size=CHUNK, label="look at the photos", unit="photos")
    looked_at = [photo for chunk in hashed for photo in chunk]
    whole = [(path, hashes) for path, hashes, fault in looked_at if not fault]
    for fault in (fault for *_, fault in looked_at if fault):
        if broken == "stop":
            raise UserError(f"{fault} Or leave such pictures out with --broken-images skip.")
        print_message(f"left out: {fault}")
    if not whole:
        raise UserError(f"{Path(folder).absolute()} holds no pictures that end in {', '.join(ENDINGS)}; "
                        "give --photos a folder of photos.")
    return split_photos(Path(folder), *zip(*whole, strict=True))


def hash_chunk(paths):
    """(path, hashes, None) of each photo that can be decoded, (path, None, what is wrong) of the others."""
    found = []
    for path in paths:
        try:
            found.append((path, near_duplicates.hash_image(decode_photo(path)), None))
        except UserError as error:
            found.append((path, None, str(error)))
    return found


def split_photos(folder, paths, hashes):
    names = [path.relative_to(folder) for path in paths]
    kinds = [name.parts[0] if len(name.parts) > 1 else folder.absolute().name for name in names]
    pairs = near_duplicates.find_near_duplicates(*zip(*hashes, strict=True))
    sources = near_duplicates.join_sources([to_readable_text(name) for name in names], pairs)
    if len(set(sources)) < FEWEST:
        raise UserError(f"{folder.absolute()} holds {len(set(sources))} different photos, near twins counted once; "
                        f"at least {FEWEST} are needed, for training, holdout and test.")
    test = splits.choose_holdout(sources, kinds, TEST_SHARE, SEED)
    return [Photo(to_readable_text(name), to_readable_text(kind), source, "test" if source in test else "train", path)
            for name, kind, source, path in zip(names, kinds, sources, paths, strict=True)]


def to_readable_text(name):
    """A file's name as text that can be written anywhere, whatever bytes it is of."""
    return str(name).encode("utf-8", "replace").decode()
