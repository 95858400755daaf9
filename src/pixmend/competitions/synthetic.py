"""A contest that is made here: pictures from photos, damaged, packed with a hidden solution as a download would come; and read.

Its archive holds pictures.csv (id, class, source and split of each picture), folders of PNG files named by id, and the
sample of a submission:

train/damaged  train/whole  train/missing   `missing` is white where pixels are to be painted
test/damaged   test/missing
"""

import pickle
import re
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pixmend import files, workers
from pixmend.data import photos
from pixmend.data.encode import encode_png
from pixmend.data.image_record import Entry
from pixmend.errors import UserError
from pixmend.submissions import csv_errors, csv_text
from pixmend.submissions.csv_tables import AGAIN

SEED = 20230415
MOMENT = (2023, 4, 15, 0, 0, 0)
PUBLIC_SHARE = 0.4
TABLE, COLUMNS = "pictures.csv", ("id", "class", "source", "split")
LONGEST_NAME = 40   # letters of a photo's name in a picture's id
CHUNK = 2
QUICK = {"width": 16, "steps": 400, "check_every": 50}   # settings that suit so few pictures as the photos inside packages give


@dataclass(frozen=True)
class Piece:
    """One picture cut from a photo: its PNG files by folder, its mask, and what stood there."""

    photo: photos.Photo
    files: dict
    mask: np.ndarray
    truth: np.ndarray


class Shelf(Sequence):
    """Pieces on disk in an order drawn once, each read when it is asked for: those of many photos may not fit into memory."""

    def __init__(self, file, pieces):
        self.file, self.places = file, []
        for piece in pieces:
            self.places.append(file.tell())
            pickle.dump(piece, file)
        self.places = [self.places[number] for number in np.random.default_rng(SEED).permutation(len(self.places))]

    def __len__(self):
        return len(self.places)

    def __getitem__(self, number):
        self.file.seek(self.places[number])
        return pickle.load(self.file)


def made_from(settings):
    """What decides the files of such a contest."""
    pictures = {"pictures": photos.stamps(settings.pictures), "broken": settings.broken} if settings.pictures else {}
    return {"size": settings.size, "filling": settings.filling, **pictures}


def make(folder, settings, slug, cut, damage, form):
    """Write the archive and the hidden solution; `cut` and `damage` are the contest's, `form` is that of its submissions."""
    found = photos.in_folder(settings.pictures, settings.broken) if settings.pictures else photos.embedded()
    cut_from = partial(pieces, settings, cut, damage, found)
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as beside:
        test = Shelf(beside, cut_from("test"))
        with files.whole_file(Path(folder) / f"{slug}.zip") as file, zipfile.ZipFile(file, "w") as archive:
            listed = [put(archive, number, piece) for number, piece in enumerate(cut_from("train"), 1)]
            listed += [put(archive, number, piece) for number, piece in enumerate(test, len(listed) + 1)]
            ids = [id for id, *_ in listed[-len(test):]]
            add(archive, TABLE, csv_text.lines([COLUMNS, *listed]), zipfile.ZIP_DEFLATED)
            blank = (np.zeros_like(piece.truth) for piece in test)
            add_lines(archive, form.SAMPLE, form.sample(holes(ids, test), blank), folder)
        with files.whole_file(Path(folder) / f"solution{form.ENDING}") as file:
            truths = (piece.truth for piece in test)
            file.writelines(form.solution(holes(ids, test), truths, round(PUBLIC_SHARE * len(test))))


def holes(ids, test):
    return ((id, piece.mask) for id, piece in zip(ids, test, strict=True))


def pieces(settings, cut, damage, found, split):
    """The pictures of a split, one at a time."""
    numbered = [(number, photo) for number, photo in enumerate(found) if photo.split == split]
    job = partial(pieces_of_some, settings, cut, damage)
    for chunk in workers.over_chunks(job, numbered, size=CHUNK, label=f"make the {split} pictures", unit="photos"):
        yield from chunk


def pieces_of_some(settings, cut, damage, numbered):
    return [piece(photo, whole, *damage(rng, whole, settings))
            for number, photo in numbered for rng in [np.random.default_rng((SEED, number))]
            for whole in cut(rng, photo, settings.shape)]


def piece(photo, whole, damaged, counts):
    mask = counts > 0
    pictures = {"damaged": damaged, "missing": np.uint8(255 * mask[..., None])}
    if photo.split == "train":
        pictures["whole"] = whole
    return Piece(photo, {folder: encode_png(np.ascontiguousarray(picture)) for folder, picture in pictures.items()}, mask,
                 whole[mask] / np.float32(255))


def put(archive, number, piece):
    """Add a picture's files; its line of the table."""
    photo = piece.photo
    stem = re.sub(r"\W+", "-", Path(photo.name).stem, flags=re.ASCII).strip("-")[:LONGEST_NAME]
    id = f"{number:05}-{stem}" if stem else f"{number:05}"
    for folder, data in piece.files.items():
        add(archive, f"{photo.split}/{folder}/{id}.png", data)
    return id, photo.kind, photo.source, photo.split


def add(archive, name, data, how=zipfile.ZIP_STORED):
    """A file in an archive that has the same bytes each time."""
    archive.writestr(zipfile.ZipInfo(name, MOMENT), data, how)


def add_lines(archive, name, lines, folder):
    """The same of what may not fit into memory; gathered first, since a header that is written ahead depends on its length."""
    member = zipfile.ZipInfo(name, MOMENT)
    member.compress_type = zipfile.ZIP_DEFLATED
    with tempfile.TemporaryFile(dir=folder) as gathered:
        gathered.writelines(lines)
        member.file_size = gathered.tell()
        gathered.seek(0)
        with archive.open(member, "w") as inside:
            shutil.copyfileobj(gathered, inside, files.CHUNK)


def read(folder, shape):
    """The pictures in the order of their table."""
    folder = Path(folder)
    with csv_errors.lines(folder / TABLE, AGAIN) as table:
        _, names = next(table, (1, []))
        if tuple(names) != COLUMNS:
            raise UserError(f"{folder / TABLE}, line 1: {','.join(names)[:80]!r} is not {','.join(COLUMNS)}; {AGAIN}.")
        return [entry(folder, line, fields) for line, fields in table]


def entry(folder, line, fields):
    if len(fields) != len(COLUMNS) or fields[3] not in ("train", "test"):
        raise UserError(f"{folder / TABLE}, line {line}: {','.join(fields)[:80]!r} is no picture of train or test; {AGAIN}.")
    id, kind, source, split = fields
    damaged, missing, whole = (str(folder / split / name / f"{id}.png") for name in ("damaged", "missing", "whole"))
    return Entry(id, kind, source, split, damaged, whole if split == "train" else None, missing=missing)
