"""The demo contest: photos that ship inside scikit-learn and scikit-image, cut into pictures, in the real one's format.

Training and test pictures never come from one photo. `make` writes the archive as a download would bring it, and the
solution that a real contest keeps to itself. The same size always gives the same bytes.
"""

import io
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from src import csv_rows, files
from src.contests import photo_reconstruction
from src.contests.photo_reconstruction import (
    CORNERS,
    SAMPLE,
    TABLE,
    box_side,
    check,
    damage,
    header,
    rows,
    true_rows,
    write,
)
from src.errors import UserError
from src.pictures.damage import box_counts
from src.pictures.encode import encode_jpeg, encode_png
from src.pictures.entry import Entry

__all__ = ["DEFAULTS", "SLUG", "box_side", "check", "damage", "header", "make", "read", "rows", "true_rows", "write"]

SLUG = "photo-reconstruction-demo"
DEFAULTS = {"width": 16, "steps": 400, "check_every": 50}
SEED = 20230415
PUBLIC_SHARE = 0.4
HEADER = ("filename_box_pixel", "value")
AS_GRADED = SimpleNamespace(channel_order="bgr", value_scale="unit")
EVERY_PNG = 5
MOMENT = (2023, 4, 15, 0, 0, 0)
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


def read(folder, shape):
    """As the real contest, but what may not be torn apart is a photo: `chelsea (3).jpeg` comes from `chelsea`."""
    return [replace(entry, source=Path(entry.id).name.rpartition(" (")[0])
            for entry in photo_reconstruction.read(folder, shape)]


def make(folder, settings):
    """Write the contest's archive and its hidden solution into a folder."""
    rng = np.random.default_rng(SEED)
    train, test = ([piece for photo in photos for piece in _cut(rng, *photo, settings.shape)]
                   for photos in (TRAINING, TEST))
    test = [test[number] for number in rng.permutation(len(test))]
    with files.whole_file(Path(folder) / f"{SLUG}.zip") as file:
        file.write(_archive(train, test))
    public = set(rng.permutation(len(test))[:round(PUBLIC_SHARE * len(test))].tolist())
    with files.whole_file(Path(folder) / "solution.csv") as file:
        file.writelines(_solution(test, public))


def _cut(rng, file, where, kind, count, shape):
    """Yield squares of several scales from a photo, as pictures with two boxes each."""
    photo, name = _photo(file, *where), file.split(".")[0].removesuffix("_left")
    short = min(photo.shape[:2])
    for number in range(1, count + 1):
        side = int(rng.integers(min(max(shape[0], short // 2), 3 * short // 4), short + 1))
        row, column = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
        square = photo[row:row + side, column:column + side]
        ending = "jpeg" if number % EVERY_PNG else "png"
        picture = cv2.resize(square, shape[1::-1], interpolation=cv2.INTER_AREA)
        yield kind, f"{name} ({number}).{ending}", picture, damage(rng, shape)


def _photo(name, package, folder):
    """A photo from inside an installed package, which is not imported for it."""
    package = find_spec(package)
    path = Path(package.submodule_search_locations[0], folder, name) if package else Path(name)
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if photo is None:
        raise UserError(f"The demo's photo {path} is missing; run `pip install -r requirements.txt`.")
    return photo


def _archive(train, test):
    """The zip's bytes: folders, tables and sample as in the real contest."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for kind in sorted({kind for kind, *_ in train}):
            of_kind = [piece for piece in train if piece[0] == kind]
            folder = f"Dataset/Training_Data/{kind}"
            for _, name, picture, boxes in of_kind:
                _add(archive, f"{folder}/Unmasked_Train/{name}", _encoded(name, picture))
                _add(archive, f"{folder}/Masked_Train/{name}", _encoded(name, _damaged(picture, boxes)))
            _add(archive, f"{folder}/Masked_Train/{TABLE}", _table(of_kind))
        for _, name, picture, boxes in test:
            _add(archive, f"Dataset/Testing_Data/{name}", _encoded(name, _damaged(picture, boxes)))
        _add(archive, f"Dataset/Testing_Data/{TABLE}", _table(test))
        blank = [(kind, name, np.zeros_like(picture), boxes) for kind, name, picture, boxes in test]
        sample = [csv_rows.lines([HEADER]), *(_graded(piece, b"\n") for piece in blank)]
        _add(archive, SAMPLE, b"".join(sample), zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def _add(archive, name, data, how=zipfile.ZIP_STORED):
    archive.writestr(zipfile.ZipInfo(name, MOMENT), data, how)


def _encoded(name, picture):
    return encode_png(picture) if name.endswith(".png") else encode_jpeg(picture)


def _damaged(picture, boxes):
    return np.where(box_counts(boxes, picture.shape)[..., None] > 0, np.uint8(0), picture)


def _table(pieces):
    rows = [(number, name, *(corner for box in boxes for corner in box[:2]))
            for number, (_, name, _, boxes) in enumerate(pieces)]
    return csv_rows.lines([("", "filename", *CORNERS), *rows])


def _solution(test, public):
    yield csv_rows.lines([(*HEADER, "Usage")])
    for number, piece in enumerate(test):
        yield _graded(piece, b",Public\n" if number in public else b",Private\n")


def _graded(piece, ending):
    """A whole picture's rows as they are graded."""
    kind, name, picture, boxes = piece
    values = rows(picture / np.float32(255), boxes, AS_GRADED)
    entry = Entry(name, kind, name, "test", Path(name), None, boxes)
    return b"".join(photo_reconstruction.texts([entry], [values], ending))
