"""The prepared set in augment/<contest>/: every picture decoded once, kept on the disk, and the index that names its rows.

pictures.npy  uint8, rows x height x width x channels: the damaged pictures, then the whole ones of the training set; with
              --damage, training and holdout pictures are damaged anew as another contest does
harmonic.npy  uint8: the damaged pictures with their holes filled, what a model with `--start harmonic` begins with
starts/       the same of other fills, made when a training first asks for one (see training/starts.py)
windows/, damages/   what a training cuts and damages beforehand (see training/windows.py and damages.py)
counts.npy    uint8, rows x height x width: how many rows of a submission ask for each pixel (see damage.py)
index.csv     a line for each variant of each picture: id, source, class, variant, split, and its rows above; split is
              train, holdout or test, or with `--folds` the fold in which the picture is kept apart: fold-1, fold-2, ...
"""

import copy
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pixmend.config import flag
from pixmend.data import augmentation
from pixmend.data.array_files import ArrayFile
from pixmend.errors import UserError
from pixmend.files import atomic_write, hash_value, manifest_matches, read_json, write_json
from pixmend.run_file import add_missing_settings, read_trained

FILLED = "harmonic"
ARRAYS = ("pictures", "counts", FILLED)
UNFILLED = ("none", "given")   # of --start: no fill
SPLIT_SETTINGS = ("holdout", "folds", "split_seed")   # the knobs that decide what is kept apart
WHOLE_SPLITS, FOLD = ("train", "holdout", "test"), "fold-"
DAMAGE_SETTINGS = ("hole_colour",)   # settings that shape the damage drawn for --damage
PICTURES = "pictures.json"   # of a run: which pictures it has seen
COLUMNS = ("id", "source", "class", "variant", "split", "damaged", "whole")


@dataclass(frozen=True)
class DatasetRow:
    """One line of index.csv: `damaged` and `whole` are row numbers; a test picture has no whole one (-1)."""

    id: str
    source: str
    kind: str
    variant: int
    split: str
    damaged: int
    whole: int


class DatasetRows(Sequence):
    """Lines of index.csv, each made a Row when it is asked for, so that a million of them take little room."""

    def __init__(self, columns, places=None):
        self.columns = columns
        self.places = np.arange(len(columns[0])) if places is None else places   # which of the columns' lines these are

    def __len__(self):
        return len(self.places)

    def __getitem__(self, at):
        if isinstance(at, slice):
            return DatasetRows(self.columns, self.places[at])
        id, source, kind, variant, split, *places = (column[int(self.places[at])].as_py() for column in self.columns)
        return DatasetRow(id, source, kind, augmentation.TRANSFORM_NAMES.index(variant), split, *places)

    def only(self, these):
        """Those of the rows for which an array of truths says so."""
        return DatasetRows(self.columns, self.places[these])

    def texts(self, name):
        """A column of texts as a list."""
        return self.columns[COLUMNS.index(name)].take(self.places).to_pylist()

    def words(self, name):
        """A column of few different words as an array."""
        column = self.columns[COLUMNS.index(name)]
        return np.array(column.dictionary.to_pylist(), str)[np.from_dlpack(column.indices)][self.places]


class Dataset:
    """The arrays, opened read-only, and the rows by split.

    A set in folds is seen by the run of each fold in its own way: see `views`. As opened it is that of all these runs
    together: its holdout is what any of them holds out, which is every training picture once, as is.
    """

    def __init__(self, folder, made_from=None):
        folder = self.folder = Path(folder)
        self.made_from, self.fold = holdout_cache_key(made_from or {}), None
        self.pictures = ArrayFile(folder / "pictures.npy")
        self.counts = ArrayFile(folder / "counts.npy")
        self.filled = {FILLED: ArrayFile(self.start_file(FILLED))}
        self.rows = read_index(folder / "index.csv")
        folds = set(np.unique(self.rows.words("split")).tolist()) - set(WHOLE_SPLITS)
        self.folds = sorted(folds, key=lambda fold: int(fold.removeprefix(FOLD)))

    def views(self):
        """(name, set) of each run that this set asks for: one without a name, or one a fold, named as in index.csv."""
        if not self.folds:
            yield "", self
        for fold in self.folds:
            view = copy.copy(self)
            view.fold = fold
            yield fold, view

    def split(self, name):
        return self.rows.only(find_split(self.rows, name, self.fold))

    def damaged(self, row):
        return augmentation.apply_transform(self.pictures[row.damaged], row.variant)

    def whole(self, row):
        return augmentation.apply_transform(self.pictures[row.whole], row.variant)

    def hole(self, row):
        return augmentation.apply_transform(self.counts[row.damaged], row.variant)

    def seen(self, row, start):
        """What a network is shown: the picture with its hole filled, or as given."""
        if start in UNFILLED:
            return self.damaged(row)
        if start not in self.filled:
            self.filled[start] = ArrayFile(self.start_file(start))
        return augmentation.apply_transform(self.filled[start][row.damaged], row.variant)

    def start_file(self, start):
        return self.folder / f"{start}.npy" if start == FILLED else self.folder / "starts" / f"{start}.npy"


def find_split(rows, split, fold):
    """Which rows are in a split of the run of this fold: a fold's pictures are its holdout as they are, and never variants."""
    splits, as_is = rows.words("split"), rows.words("variant") == augmentation.TRANSFORM_NAMES[0]
    held = splits == fold if fold else np.ones(len(rows), bool)
    of_folds = {"train": splits != (fold or ""), "holdout": held & as_is, "test": np.zeros(len(rows), bool)}[split]
    return np.where(np.isin(splits, WHOLE_SPLITS), splits == split, of_folds)


def holdout_cache_key(made_from):
    """What decides a set's holdout and test pictures: all but the variants of its training pictures."""
    return {name: value for name, value in made_from.items() if name != "augment"}


@lru_cache(1)
def open_dataset_cached(folder):
    """The prepared set for a worker process, whose many chunks share it."""
    return Dataset(folder)


def read_index(path):
    """The rows; text and numbers stay in columns as Arrow has read them."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    memory = pa.system_memory_pool()   # Arrow's own keeps tens of MB that it has used once
    words, number = pa.dictionary(pa.int32(), pa.string()), pa.int64()
    types = dict(zip(COLUMNS, (pa.string(), pa.string(), words, words, words, number, number), strict=True))
    with pa.OSFile(str(path)) as file:
        table = arrow.read_csv(file, memory_pool=memory, parse_options=arrow.ParseOptions(newlines_in_values=True),
                               convert_options=arrow.ConvertOptions(column_types=types, include_columns=COLUMNS, null_values=[]))
    return DatasetRows([column.combine_chunks(memory) for column in table.columns])


def write_index(path, rows):
    with atomic_write(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((r.id, r.source, r.kind, augmentation.TRANSFORM_NAMES[r.variant], r.split, r.damaged, r.whole) for r in rows)


def open_dataset(settings):
    """The prepared set of these settings; one made under other flags is refused by name."""
    folder = settings.augment_folder
    made = (read_json(folder / "index.json") or {}).get("made_from", {})
    if made.get("arrays") != list(ARRAYS) or not manifest_matches(folder / "index.json", made):
        raise UserError(f"{folder} holds no finished prepared set; run `python -m pixmend augment` with the same flags.")
    for name in ("size", *SPLIT_SETTINGS, "augment", *(DAMAGE_SETTINGS if settings.damage else ())):
        if made.get(name) != getattr(settings, name):
            raise UserError(f"{folder} was made with {flag(name)} {made.get(name)}, not {getattr(settings, name)}; "
                            f"run `python -m pixmend augment` with the same flags.")
    return Dataset(folder, made)


def measure_widest_mask(ready):
    """Pixels, across or down, from the first missing one of a picture to its last; an even number, as squares are halved."""
    lines = ((counts > 0).any(axis) for counts in ready.counts for axis in (0, 1))
    spans = (len(there) - there[::-1].argmax() - there.argmax() for there in lines if there.any())
    return -(-int(max(spans, default=0)) // 2) * 2


def hash_split(ready):
    """A hash of which pictures are trained on and which are kept apart."""
    rows = ready.rows.only((ready.rows.words("variant") == augmentation.TRANSFORM_NAMES[0]) & (ready.rows.words("split") != "test"))
    return hash_value(sorted(zip(*map(rows.texts, ("id", "source", "split")), strict=True)))


def write_split(folder, ready):
    """Put down beside a run what `refuse_other_pictures` looks at."""
    write_json(folder / PICTURES, {"split": hash_split(ready)})


def check_same_images(ready, folder):
    """A run that learnt from other pictures than the prepared set's may have seen what is now held out."""
    stored = read_json(folder / PICTURES)
    if stored and stored["split"] != hash_split(ready):
        raise UserError(f"{folder} was trained on other pictures than {ready.folder} now holds, or with others kept apart, and "
                        f"may have seen its holdout; choose another --run, or train it anew with --force.")


def check_same_split(settings, ready, run):
    """A run that was trained on another split than these settings' may have seen what is now held out."""
    folder = settings.run_folder.with_name(run)
    stored = read_trained(folder)
    for name in SPLIT_SETTINGS if stored else ():
        if (was := add_missing_settings(stored)[name]) != (now := getattr(settings, name)):
            raise UserError(f"{run} was trained with {flag(name)} {was}, so it has seen pictures that are kept apart now; run "
                            f"`python -m pixmend augment` and what follows with {flag(name)} {was}, or train anew with {now}.")
    check_same_images(ready, folder)
