"""The dataset in augment/<competition>/: every image decoded once and stored on the disk, with the index that names its rows.

pictures.npy  uint8, rows x height x width x channels: the damaged images, then the original training images; with --damage,
              training and holdout images have the damage of another competition
harmonic.npy  uint8: the damaged images with filled holes, the input of a model with `--start harmonic`
starts/, windows/, damages/   other fills, and what else a training prepares (training/prepared_arrays.py, window_batches.py)
counts.npy    uint8, rows x height x width: how many rows of a submission ask for each pixel (see damage.py)
index.csv     a line for each transform of each image: id, source, class, variant, split, and its rows above; split is
              train, holdout or test, or with `--folds` the fold whose run holds the image out: fold-1, fold-2, ...
"""

import copy
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from pixmend.config import Settings, flag
from pixmend.data import augmentation
from pixmend.data.archive_manifest import HOLE_COLOUR, read_archive_manifest
from pixmend.data.array_files import ArrayFile
from pixmend.errors import UserError
from pixmend.files import atomic_write, hash_value, manifest_matches, read_made_from, read_object, write_json
from pixmend.run_file import add_missing_settings, read_trained
from pixmend.setting_values import format_stage_command, is_same_value

FILLED = "harmonic"
ARRAYS = ("pictures", "counts", FILLED)
UNFILLED = ("none", "given")   # of --start: no fill
SPLIT_SETTINGS = ("holdout", "folds", "split_seed")   # the settings that decide which images are held out
WHOLE_SPLITS, FOLD = ("train", "holdout", "test"), "fold-"
DAMAGE_SETTINGS = ("hole_colour",)   # settings that shape the damage of --damage
PICTURES = "pictures.json"   # in a run folder: which images it was trained on
EXTRA_HASH, EXTRA_COUNT = "extra_pictures", "extra_count"   # in pictures.json: which extra pictures, and how many
EXTRA = "extra:"   # begins the ids of --extra-pictures
NOT_OF_THE_HOLDOUT = ("augment", "extra_pictures", "extra_folder")   # in the cache key: what decides training images only
COLUMNS = ("id", "source", "class", "variant", "split", "damaged", "whole")


def list_fold_folders(folds: int) -> list[str]:
    """Return the names of the folders of weights inside a run's folder: one that is empty, or one for each fold."""
    return [f"{FOLD}{number + 1}" for number in range(folds)] if folds > 1 else [""]


@dataclass(frozen=True)
class DatasetRow:
    """One line of index.csv: `damaged` and `original` are rows of pictures.npy; a test image has no original (-1)."""

    id: str
    source: str
    label: str
    variant: int
    split: str
    damaged: int
    original: int


@dataclass(frozen=True, eq=False, repr=False)
class DatasetRows(Sequence[DatasetRow]):
    """Lines of index.csv; a DatasetRow is created on access, so that a million lines need little memory."""

    columns: Sequence[Any]
    places: np.ndarray   # indices into the columns

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, at: Any) -> Any:
        """Return a DatasetRow, or the DatasetRows of a slice or of a boolean array."""
        if isinstance(at, slice | np.ndarray):
            return DatasetRows(self.columns, self.places[at])
        id, source, label, variant, split, *rows = (column[int(self.places[at])].as_py() for column in self.columns)
        return DatasetRow(id, source, label, augmentation.TRANSFORM_NAMES.index(variant), split, *rows)

    def words(self, name: str) -> np.ndarray:
        """Return a column of few different words as an array of strings."""
        column = self.columns[COLUMNS.index(name)]
        return np.array(column.dictionary.to_pylist(), str)[np.from_dlpack(column.indices)][self.places]


class Dataset:
    """The arrays, opened read-only, and the rows of each split.

    With folds, the run of each fold has its own view of the dataset (see `views`). Without a view, the holdout is what any
    of these runs holds out: every training image once, without a transform. Images are uint8, height x width x channels.
    """

    def __init__(self, folder: str | Path, cache_key: Mapping[str, Any] | None = None) -> None:
        folder = self.folder = Path(folder)
        self.cache_key = holdout_cache_key(cache_key or {})
        self.extra_pictures: str = (cache_key or {}).get("extra_pictures", "")   # a hash of those in it
        self.fold: str | None = None
        self.images = ArrayFile(folder / "pictures.npy")
        self.counts = ArrayFile(folder / "counts.npy")
        self.filled = {FILLED: ArrayFile(self.start_file(FILLED))}
        self.rows = read_index(folder / "index.csv")
        folds = set(np.unique(self.rows.words("split")).tolist()) - set(WHOLE_SPLITS)
        self.folds = sorted(folds, key=lambda fold: int(fold.removeprefix(FOLD)))

    def views(self) -> Iterator[tuple[str, Self]]:
        """Yield (name, dataset) for each run: one with an empty name, or one for each fold, named as in index.csv."""
        if not self.folds:
            yield "", self
        for fold in self.folds:
            view = copy.copy(self)
            view.fold = fold
            yield fold, view

    def split(self, name: str) -> DatasetRows:
        """Return the rows of train, holdout or test; the holdout has no transformed images."""
        splits, as_is = self.rows.words("split"), self.rows.words("variant") == augmentation.TRANSFORM_NAMES[0]
        in_fold = splits == self.fold if self.fold else np.ones(len(splits), bool)
        of_folds = {"train": splits != (self.fold or ""), "holdout": in_fold & as_is, "test": np.zeros(len(splits), bool)}
        return self.rows[np.where(np.isin(splits, WHOLE_SPLITS), splits == name, of_folds[name])]

    def count_originals(self) -> int:
        """Return how many images have an original: those of training and holdout, which are the first ones."""
        return len(self.images) - len(self.counts)

    def read_damaged(self, row: DatasetRow) -> np.ndarray:
        return augmentation.apply_transform(self.images[row.damaged], row.variant)

    def read_original(self, row: DatasetRow) -> np.ndarray:
        return augmentation.apply_transform(self.images[row.original], row.variant)

    def read_counts(self, row: DatasetRow) -> np.ndarray:
        return augmentation.apply_transform(self.counts[row.damaged], row.variant)

    def read_input(self, row: DatasetRow, start: str) -> np.ndarray:
        """Return the input of a network: the damaged image, with its missing pixels filled unless `start` is an unfilled one."""
        if start in UNFILLED:
            return self.read_damaged(row)
        if start not in self.filled:
            self.filled[start] = ArrayFile(self.start_file(start))
        return augmentation.apply_transform(self.filled[start][row.damaged], row.variant)

    def start_file(self, start: str) -> Path:
        return self.folder / f"{start}.npy" if start == FILLED else self.folder / "starts" / f"{start}.npy"


def holdout_cache_key(cache_key: Mapping[str, Any]) -> dict[str, Any]:
    """Return what determines the holdout and test images: everything but the transforms and further training images."""
    return {name: value for name, value in cache_key.items() if name not in NOT_OF_THE_HOLDOUT}


open_dataset_cached = lru_cache(1)(Dataset)   # which all chunks of a worker process share


def read_index(path: Path) -> DatasetRows:
    """Read index.csv; texts and numbers stay in the columns of Arrow."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    memory = pa.system_memory_pool()   # Arrow's own pool does not return tens of MB
    words, number = pa.dictionary(pa.int32(), pa.string()), pa.int64()
    types = dict(zip(COLUMNS, (pa.string(), pa.string(), words, words, words, number, number), strict=True))
    with pa.OSFile(str(path)) as file:
        table = arrow.read_csv(file, memory_pool=memory, parse_options=arrow.ParseOptions(newlines_in_values=True),
                               convert_options=arrow.ConvertOptions(column_types=types, include_columns=COLUMNS, null_values=[]))
    return DatasetRows([column.combine_chunks(memory) for column in table.columns], np.arange(table.num_rows))


def write_index(path: Path, rows: Iterable[DatasetRow]) -> None:
    with atomic_write(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        names = augmentation.TRANSFORM_NAMES
        writer.writerows((r.id, r.source, r.label, names[r.variant], r.split, r.damaged, r.original) for r in rows)


def read_prepared_settings(folder: Path) -> dict[str, Any]:
    """Return the settings with which a dataset was prepared; nothing where there is none."""
    made_from = read_made_from(folder / "index.json")
    found = {name: made_from[name] for name in ("size", *SPLIT_SETTINGS, "augment", *DAMAGE_SETTINGS) if name in made_from}
    return found | ({"extra_pictures": made_from.get("extra_folder", "")} if found else {})


def open_dataset(settings: Settings) -> Dataset:
    """Open the dataset of these settings; raise an error if it is missing or was prepared with other settings."""
    folder = settings.augment_folder
    cache_key = (read_object(folder / "index.json", {"made_from": dict}) or {}).get("made_from", {})
    if cache_key.get("arrays") != list(ARRAYS) or not manifest_matches(folder / "index.json", cache_key):
        raise UserError(f"{folder} has no complete dataset. Prepare it first: {format_stage_command('augment', settings)}")
    for name in ("size", *SPLIT_SETTINGS, "augment", *(DAMAGE_SETTINGS if settings.damage else ())):
        if cache_key.get(name) != getattr(settings, name):
            raise UserError(f"{folder} was prepared with {flag(name)} {cache_key.get(name)}, not {getattr(settings, name)}. "
                            f"Prepare it again: {format_stage_command('augment', settings)}")
    archive = read_archive_manifest(settings.competition_folder)
    if archive and archive["sha256"] != cache_key.get("archive"):
        raise UserError(f"{folder} was prepared from other files than {settings.competition_folder} has now. Prepare it again: "
                        f"{format_stage_command('augment', settings)}; then train and predict again.")
    was, now = cache_key.get("extra_folder", ""), settings.extra_pictures
    if not is_same_value("extra_pictures", was, now):
        prepared, wanted = (f"with --extra-pictures {name}" if name else "without --extra-pictures" for name in (was, now))
        raise UserError(f"{folder} was prepared {prepared}, and this run is {wanted}. Prepare it again: "
                        f"{format_stage_command('augment', settings)}")
    return Dataset(folder, cache_key)


def check_hole_colour(settings: Settings) -> None:
    """Raise an error if new damage would have another colour than that of the files, so that a run learns from other holes."""
    made_from = (read_archive_manifest(settings.competition_folder) or {"made_from": {}})["made_from"]
    colour = made_from.get(HOLE_COLOUR, settings.hole_colour)
    if not settings.damage and colour != settings.hole_colour:
        wanted = f"{flag('hole_colour')} {colour}"
        raise UserError(f"{settings.competition_folder} was made with {wanted}, not {settings.hole_colour}. Give {wanted}, or "
                        f"make it again: {format_stage_command('download', settings)}")


def measure_widest_mask(dataset: Dataset) -> int:
    """Return the largest distance in pixels, across or down, between missing pixels of an image, rounded up to an even number."""
    lines: Iterator[Any] = ((counts > 0).any(axis) for counts in dataset.counts for axis in (0, 1))
    spans = (len(missing) - missing[::-1].argmax() - missing.argmax() for missing in lines if missing.any())
    return -(-int(max(spans, default=0)) // 2) * 2


def hash_split(dataset: Dataset) -> str:
    """Return a hash of which of the competition's images are trained on and which are held out."""
    as_is = dataset.rows.words("variant") == augmentation.TRANSFORM_NAMES[0]
    rows = dataset.rows[as_is & (dataset.rows.words("split") != "test")]
    texts = (rows.columns[COLUMNS.index(name)].take(rows.places).to_pylist() for name in ("id", "source", "split"))
    return hash_value(sorted(row for row in zip(*texts, strict=True) if not row[0].startswith(EXTRA)))


def list_extra_ids(dataset: Dataset) -> set[str]:
    """Return the ids of the extra pictures that are training images."""
    from pyarrow import compute

    ids = dataset.rows.columns[0]
    return set(ids.filter(compute.starts_with(ids, EXTRA)).to_pylist())


def hash_dataset(dataset: Dataset) -> str:
    """Return a hash of its images; all processes of a training and all trials of a sweep must have the same."""
    extra = sorted(list_extra_ids(dataset))
    return hash_value([dataset.cache_key, extra] if extra else dataset.cache_key)


def write_split(folder: Path, dataset: Dataset) -> None:
    """Write into a run folder what `check_same_images` and `check_same_extra_pictures` compare, and what documents tell."""
    extra = {EXTRA_HASH: dataset.extra_pictures, EXTRA_COUNT: len(list_extra_ids(dataset))} if dataset.extra_pictures else {}
    write_json(folder / PICTURES, {"split": hash_split(dataset)} | extra)


def count_extra_pictures(folder: Path) -> int:
    """Return on how many extra pictures the run in a folder was trained; 0 where that was not recorded."""
    return (read_object(folder / PICTURES, {"split": str}) or {}).get(EXTRA_COUNT, 0)


def check_same_images(dataset: Dataset, folder: Path) -> None:
    """Raise an error if a run was trained on other images, because these may include the present holdout."""
    stored = read_object(folder / PICTURES, {"split": str})
    if stored and stored["split"] != hash_split(dataset):
        raise UserError(f"{folder} was trained on other images or another split than {dataset.folder} has now, so its training "
                        f"images may include the holdout. Choose another --run, or train again with --force.")


def check_same_extra_pictures(dataset: Dataset, folder: Path) -> None:
    """Raise an error if a run would continue with other extra pictures than it was trained on until now.

    An unpacked bundle does not say which they were.
    """
    stored = read_object(folder / PICTURES, {"split": str}) or {}
    if stored.get(EXTRA_HASH, dataset.extra_pictures) != dataset.extra_pictures:
        raise UserError(f"{folder} was trained with other files in --extra-pictures than {dataset.folder} has now. "
                        f"Choose another --run, or train again with --force.")


def check_same_split(settings: Settings, dataset: Dataset, run: str) -> None:
    """Raise an error if a run was trained on another split, because its training images may include the present holdout."""
    folder = settings.run_folder.with_name(run)
    stored = read_trained(folder)
    before = add_missing_settings(stored) if stored else {}
    for name in SPLIT_SETTINGS if stored else ():
        if (was := before[name]) != (now := getattr(settings, name)):
            raise UserError(f"{run} was trained with {flag(name)} {was}, so its training images may include the holdout. "
                            f"Use {flag(name)} {was} from `pixmend augment` on, or train again with {flag(name)} {now}.")
    check_same_images(dataset, folder)
