"""The stand-in of the competition in memory: pictures decoded and filled by all cores, near-duplicates kept in one split.

A `Part` is one split: damaged, whole and smooth are (count, 256, 256, 3) uint8 RGB; corners is (count, 2, 2) int, the row and
column of each box; the box side is 75 at 256. Test pictures come with their truth from the folder truth/.
"""

import csv
import io
import zipfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import cv2
import numpy as np

from pixmend.data.near_duplicates import find_near_duplicates, hash_image, join_sources
from pixmend.data.splits import choose_holdout
from pixmend.fills.harmonic import fill_harmonic
from pixmend.fills.smooth import fill_smooth

ARCHIVE, TRUTH, TABLE = "photo-reconstruction.zip", "truth", "masked_info.csv"
TRAINING, TESTING = "Dataset/Training_Data/", "Dataset/Testing_Data/"
SHARE, SPLIT_SEED = 0.1, 1   # the augment stage's own defaults
CORNERS = ("box1_row", "box1_col", "box2_row", "box2_col")
SPLITS = ("train", "holdout", "test")


@dataclass
class Part:
    names: list
    damaged: np.ndarray
    whole: np.ndarray
    corners: np.ndarray
    smooth: np.ndarray

    @property
    def side(self):
        return box_side(self.damaged.shape[1])

    def counts(self):
        """How often the grader asks for each pixel: (count, size, size) uint8."""
        counts = np.zeros(self.damaged.shape[:3], np.uint8)
        for one, corners in zip(counts, self.corners, strict=True):
            for row, column in corners:
                one[row:row + self.side, column:column + self.side] += 1
        return counts


def box_side(size):
    return round(75 * size / 256)


def prepare(data, cores, kept=None):
    """The three splits of a folder that build.py wrote; read again from `kept` where it has them."""
    if kept and (kept / "test.npz").exists():
        return {split: read(kept / f"{split}.npz") for split in SPLITS}
    parts = split_up(*decoded(data, cores))
    for split, part in parts.items() if kept else ():
        kept.mkdir(parents=True, exist_ok=True)
        np.savez(kept / f"{split}.npz", **vars(part))
    return parts


def read(path):
    with np.load(path) as file:
        return Part(**{name: file[name] for name in file.files})


def decoded(data, cores):
    """(class, id, corners) of every picture, and what `open_one` makes of each; test pictures come last, without a class."""
    with zipfile.ZipFile(data / ARCHIVE) as archive:
        listed = entries(archive)
    with get_context("spawn").Pool(cores) as pool:
        made = pool.map(partial(open_some, data), [listed[at:at + 32] for at in range(0, len(listed), 32)], chunksize=1)
    return listed, [one for some in made for one in some]


def entries(archive):
    """As photo_reconstruction.read lists them: class by class in the order of their tables, then the test pictures."""
    folders = sorted({name.split("/")[2] for name in archive.namelist() if name.startswith(TRAINING)})
    rows = {kind: table(archive, f"{TRAINING}{kind}/Masked_Train/{TABLE}") for kind in folders}
    rows[""] = table(archive, TESTING + TABLE)
    uses = Counter(name for of_kind in rows.values() for name, _ in of_kind)
    return [(kind, name if uses[name] == 1 or not kind else f"{kind}/{name}", name, corners)
            for kind, of_kind in rows.items() for name, corners in of_kind]


def table(archive, path):
    lines = csv.DictReader(io.TextIOWrapper(archive.open(path), "utf-8-sig"))
    return [(line["filename"], np.array([int(line[name]) for name in CORNERS]).reshape(2, 2)) for line in lines]


def open_some(data, listed):
    cv2.setNumThreads(1)
    with zipfile.ZipFile(data / ARCHIVE) as archive:
        return [open_one(data, archive, *one) for one in listed]


def open_one(data, archive, kind, _, name, corners):
    """A picture as given, whole, and filled; with the hashes of the whole one."""
    if kind:
        damaged, whole = (rgb(archive.read(f"{TRAINING}{kind}/{folder}/{name}")) for folder in ("Masked_Train", "Unmasked_Train"))
    else:
        damaged = rgb(archive.read(TESTING + name))
        whole = rgb((data / TRUTH / name).with_suffix(".png").read_bytes())
    return damaged, whole, in_levels(fill_smooth(unit(damaged), mask_of(corners, len(damaged)))), hash_image(whole)


def rgb(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def unit(picture):
    return picture / np.float32(255)


def in_levels(picture):
    return np.uint8(np.rint(picture * 255))


def mask_of(corners, size):
    mask, side = np.zeros((size, size), bool), box_side(size)
    for row, column in corners:
        mask[row:row + side, column:column + side] = True
    return mask


def split_up(listed, made):
    """The parts: holdout by whole sources with near-duplicates joined, as the augment stage does."""
    kinds, ids = [one[0] for one in listed], [one[1] for one in listed]
    training = [place for place, kind in enumerate(kinds) if kind]
    pairs = find_near_duplicates(*zip(*(made[place][3] for place in training), strict=True))
    sources = join_sources([ids[place] for place in training], pairs)
    kept = choose_holdout(sources, [kinds[place] for place in training], SHARE, SPLIT_SEED)
    split = dict.fromkeys(range(len(listed)), "test")
    split |= {place: "holdout" if source in kept else "train" for place, source in zip(training, sources, strict=True)}
    return {name: part_of(listed, made, [place for place in split if split[place] == name]) for name in SPLITS}


def part_of(listed, made, places):
    places = sorted(places)
    damaged, whole, filled = (np.stack([made[place][at] for place in places]) for at in range(3))
    return Part([listed[place][1] for place in places], damaged, whole, np.stack([listed[place][3] for place in places]), filled)


def harmonic_of(part, cores):
    """The exact harmonic fill of a split, in 0..1."""
    with get_context("spawn").Pool(cores) as pool:
        return np.stack(pool.starmap(fill_harmonic, [(unit(one), mask_of(corners, len(one)))
                                                for one, corners in zip(part.damaged, part.corners, strict=True)], chunksize=8))
