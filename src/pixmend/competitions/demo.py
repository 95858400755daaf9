"""The demo contest: photos that ship inside scikit-learn and scikit-image, cut into pictures, in the real one's format.

Training and test pictures never come from one photo. `make` writes the archive as a download would bring it, and the
solution that a real contest keeps to itself. The same size always gives the same bytes.
"""

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from pixmend import files
from pixmend.competitions import photo_reconstruction
from pixmend.competitions.photo_reconstruction import (
    CORNERS,
    ENDING,
    SAMPLE,
    SCORES,
    TABLE,
    as_sent,
    check,
    cover,
    damage,
    draw_boxes,
    grade,
    missing,
    rows,
    told,
    write,
)
from pixmend.competitions.synthetic import PUBLIC_SHARE, QUICK, SEED, add
from pixmend.data import photos
from pixmend.data.damage import box_counts, covered
from pixmend.data.encode import encode_jpeg, encode_png
from pixmend.data.image_record import Entry
from pixmend.submissions import csv_text

__all__ = ["DEFAULTS", "ENDING", "SAMPLE", "SCORES", "SLUG", "as_sent", "check", "cover", "damage", "grade", "made_from", "make",
           "missing", "read", "told", "write"]

SLUG = "photo-reconstruction-demo"
DEFAULTS = QUICK
HEADER = ("filename_box_pixel", "value")
AS_GRADED = SimpleNamespace(channel_order="bgr", value_scale="unit")
EVERY_PNG = 5


def read(folder, shape):
    """As the real contest, but what may not be torn apart is a photo: `chelsea (3).jpeg` comes from `chelsea`."""
    return [replace(entry, source=Path(entry.id).name.rpartition(" (")[0])
            for entry in photo_reconstruction.read(folder, shape)]


def made_from(settings):
    """What decides the files."""
    return {"size": settings.size}


def make(folder, settings):
    """Write the contest's archive and its hidden solution into a folder."""
    rng = np.random.default_rng(SEED)
    train, test = ([piece for photo in photos.embedded() if photo.split == split for piece in _cut(rng, photo, settings.shape)]
                   for split in ("train", "test"))
    test = [test[number] for number in rng.permutation(len(test))]
    with files.whole_file(Path(folder) / f"{SLUG}.zip") as file:
        file.write(_archive(train, test))
    public = set(rng.permutation(len(test))[:round(PUBLIC_SHARE * len(test))].tolist())
    with files.whole_file(Path(folder) / "solution.csv") as file:
        file.writelines(_solution(test, public))


def _cut(rng, photo, shape):
    """Yield squares of several scales from a photo, as pictures with two boxes each."""
    for number, square in enumerate(photos.squares(rng, photo.picture(), photo.count, shape[0]), 1):
        ending = "jpeg" if number % EVERY_PNG else "png"
        picture = photos.resized(square, shape)
        yield photo.kind, f"{photo.name} ({number}).{ending}", picture, draw_boxes(rng, shape)


def _archive(train, test):
    """The zip's bytes: folders, tables and sample as in the real contest."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for kind in sorted({kind for kind, *_ in train}):
            of_kind = [piece for piece in train if piece[0] == kind]
            folder = f"Dataset/Training_Data/{kind}"
            for _, name, picture, boxes in of_kind:
                add(archive, f"{folder}/Unmasked_Train/{name}", _encoded(name, picture))
                add(archive, f"{folder}/Masked_Train/{name}", _encoded(name, _damaged(picture, boxes)))
            add(archive, f"{folder}/Masked_Train/{TABLE}", _table(of_kind))
        for _, name, picture, boxes in test:
            add(archive, f"Dataset/Testing_Data/{name}", _encoded(name, _damaged(picture, boxes)))
        add(archive, f"Dataset/Testing_Data/{TABLE}", _table(test))
        blank = [(kind, name, np.zeros_like(picture), boxes) for kind, name, picture, boxes in test]
        sample = [csv_text.lines([HEADER]), *(_graded(piece, b"\n") for piece in blank)]
        add(archive, SAMPLE, b"".join(sample), zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def _encoded(name, picture):
    return encode_png(picture) if name.endswith(".png") else encode_jpeg(picture)


def _damaged(picture, boxes):
    return covered(picture, box_counts(boxes, picture.shape))


def _table(pieces):
    rows = [(number, name, *(corner for box in boxes for corner in box[:2]))
            for number, (_, name, _, boxes) in enumerate(pieces)]
    return csv_text.lines([("", "filename", *CORNERS), *rows])


def _solution(test, public):
    yield csv_text.lines([(*HEADER, "Usage")])
    for number, piece in enumerate(test):
        yield _graded(piece, b",Public\n" if number in public else b",Private\n")


def _graded(piece, ending):
    """A whole picture's rows as they are graded."""
    kind, name, picture, boxes = piece
    values = rows(picture / np.float32(255), boxes, AS_GRADED)
    entry = Entry(name, kind, name, "test", name, None, boxes)
    return b"".join(photo_reconstruction.texts([entry], [values], ending))
