"""Decode every picture once, fill its holes, keep a holdout of whole sources apart, and list the 5x variants."""

import contextlib
import shutil
import zlib
from functools import partial
from itertools import chain

import cv2
import numpy as np

from pixmend import competitions, files, workers
from pixmend.data import array_files, augmentation, near_duplicates
from pixmend.data import splits as holdout
from pixmend.data.dataset import (
    ARRAYS,
    DAMAGE_SETTINGS,
    FILLED,
    FOLD,
    SPLIT_SETTINGS,
    Dataset,
    DatasetRow,
    open_dataset_cached,
    write_index,
)
from pixmend.data.decode import decode_image
from pixmend.data.encode import encode_png
from pixmend.errors import UserError
from pixmend.fills.harmonic import fill_harmonic
from pixmend.progress import print_message

CHUNK = 256   # with 16, handing them out took a twentieth of the decoding; with 64, a fiftieth
# Mean difference of the known pixels, in grey levels, above which two files can't be the same picture; JPEG makes 0.4.
OTHER_PICTURE, LINES = 25, 16   # so many lines of pixels say as much as all of them
PREVIEW_PICTURES = 4


def main(settings):
    folder = settings.augment_folder
    with files.try_lock(folder):
        contest = competitions.get_competition(settings.competition)
        archive = files.read_json(settings.competition_folder / "archive.json")
        if archive is None:
            raise UserError(f"{settings.competition_folder} holds no checked archive; run `python -m pixmend download` first.")
        made_from = {"arrays": ARRAYS, "archive": archive["sha256"], "size": settings.size, "broken": settings.broken_images}
        if settings.damage:
            made_from |= {name: getattr(settings, name) for name in DAMAGE_SETTINGS}
        if settings.force or not files.manifest_matches(folder / "pictures.json", made_from):
            prepare_pictures(settings, contest, folder, made_from)
        made_from |= {name: getattr(settings, name) for name in (*SPLIT_SETTINGS, "augment")}
        if settings.force or not files.manifest_matches(folder / "index.json", made_from):
            prepare_index(settings, folder, made_from)
        if settings.materialize:
            materialize(folder)
    print_message(summary(Dataset(folder), folder))


def prepare_pictures(settings, contest, folder, made_from):
    """Decode into files beside, then rename all of them; the receipt comes last."""
    building = folder / "building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    job = partial(prepare_chunk, building, settings)
    results = workers.run_in_chunks(job, entries_by_row(settings, contest, building), size=CHUNK, label="decode and fill")
    listed = [line for chunk in results for line in chunk]
    files.write_json(building / "listed.json", listed)
    for made_later in ("windows", "starts", "damages"):
        shutil.rmtree(folder / made_later, ignore_errors=True)
    names = [*(f"{name}.npy" for name in ARRAYS), "listed.json"]
    for name in names:
        files.fsync_path(building / name)
        files.replace_durably(building / name, folder / name)
    building.rmdir()
    files.write_manifest(folder / "pictures.json", made_from, [folder / name for name in names])


def entries_by_row(settings, contest, building):
    """Each entry with its row and that of its whole picture, test pictures last, once there is room on the disk for all."""
    entries = contest.read_images(settings.competition_folder / "files", settings.shape)
    entries.sort(key=lambda entry: entry.split == "test")
    make_arrays(building, len(entries), sum(entry.split == "train" for entry in entries), settings.shape)
    yield from ((row, len(entries) + row, entry) for row, entry in enumerate(entries))


def make_arrays(folder, entries, whole, shape):
    shapes = {"pictures": (entries + whole, *shape), "counts": (entries, *shape[:2])}
    for name in ARRAYS:
        array_files.make_array_file(folder / f"{name}.npy", shapes.get(name, (entries, *shape)))


def prepare_chunk(folder, settings, by_row):
    """Decode some pictures into their rows; what index.csv needs to know of each comes back."""
    with contextlib.ExitStack() as stack:
        write = {name: stack.enter_context(array_files.open_row_writer(folder / f"{name}.npy")) for name in ARRAYS}
        return [prepared_or_told(row, whole_row, entry, settings, write) for row, whole_row, entry in by_row]


def prepared_or_told(row, whole_row, entry, settings, write):
    try:
        return prepare_one(row, whole_row, entry, settings, write)
    except UserError as error:
        if entry.split == "test":
            raise
        if settings.broken_images == "stop":
            raise UserError(f"{error} Or leave such training pictures out with --broken-images skip.") from None
        return {"id": entry.id, "broken": str(error)}


def prepare_one(row, whole_row, entry, settings, write):
    """Decode one picture into its rows of the arrays, and fill its holes."""
    damaged, counts, whole = stored(row, whole_row, entry, settings, write)
    write[FILLED](row, np.rint(fill_harmonic(damaged / np.float32(255), counts > 0) * 255))
    line = {"id": entry.id, "source": entry.source, "class": entry.kind, "split": entry.split, "damaged": row, "whole": -1}
    if whole is not None:
        line |= {"whole": whole_row, "hashes": [int(h) for h in near_duplicates.hash_image(whole)]}
    return line


def stored(row, whole_row, entry, settings, write):
    """The damaged picture, its counts and, of a training picture, the whole one; each written while it is in the cache."""
    whole = None
    if entry.whole is not None:
        whole = decode_image(entry.whole, settings.shape)
        write["pictures"](whole_row, whole)
    damaged, counts = damaged_of(entry, whole, settings)
    write["pictures"](row, damaged)
    write["counts"](row, counts)
    return damaged, counts, whole


def damaged_of(entry, whole, settings):
    """The damaged picture and its counts; with --damage the damage of a training picture is a new one."""
    damaged, counts = decode_image(entry.damaged, settings.shape), entry.counts(settings.shape)
    if whole is not None:
        _same_picture(entry, damaged, whole, counts)
        if settings.damage:
            rng = np.random.default_rng(zlib.crc32(entry.id.encode()))
            return competitions.get_damage_competition(settings).damage_image(rng, whole, settings)
    return damaged, counts


def _same_picture(entry, damaged, whole, counts):
    every = max(1, len(counts) // LINES)
    known = counts[::every] == 0
    levels = damaged.shape[2] * np.count_nonzero(known)
    if cv2.norm(damaged[::every], whole[::every], cv2.NORM_L1, known.view(np.uint8)) > OTHER_PICTURE * levels:
        raise UserError(f"{entry.damaged} does not show the same picture as {entry.whole}; "
                        f"download the competition again or leave both out with --broken-images skip.")


def prepare_index(settings, folder, made_from):
    write_index(folder / "index.csv", index_rows(settings, files.read_json(folder / "listed.json")))
    with files.atomic_write(folder / "preview.png") as file:
        file.write(encode_png(preview(Dataset(folder), settings.augment)))
    made = ["index.csv", "preview.png", *(f"{name}.npy" for name in ARRAYS)]
    files.write_manifest(folder / "index.json", made_from, [folder / name for name in made])


def index_rows(settings, listed):
    """The rows of all pictures that could be decoded, near twins under one source, and each source in one split."""
    train = [line for line in listed if line.get("split") == "train"]
    if len(train) < 2:
        raise UserError(f"{settings.competition_folder} holds fewer than two training pictures that can be decoded.")
    pairs = near_duplicates.find_near_duplicates(*zip(*(line["hashes"] for line in train), strict=True))
    sources = near_duplicates.join_sources([line["source"] for line in train], pairs)
    split = splits(settings, sources, [line["class"] for line in train])
    test = (line for line in listed if line.get("split") == "test")
    return chain(training_rows(settings, train, sources, split), map(test_row, test))


def training_rows(settings, train, sources, split):
    """A row for each variant of each picture; a holdout's pictures stay as they are."""
    for line, source in zip(train, sources, strict=True):
        for variant in range(1 if split[source] == "holdout" else augmentation.TRANSFORMS_PER_MODE[settings.augment]):
            yield DatasetRow(line["id"], source, line["class"], variant, split[source], line["damaged"], line["whole"])


def test_row(line):
    return DatasetRow(line["id"], line["source"], line["class"], 0, "test", line["damaged"], -1)


def splits(settings, sources, kinds):
    """Where each source goes: to the training set or the holdout, or to one of several folds."""
    found = len(set(sources))
    if found < 2:
        raise UserError(f"{settings.competition_folder} holds training pictures of one source photo, or so alike that they count "
                        f"as one, and such stay together: none can be kept apart to measure on; add other photos.")
    if settings.folds == 1:
        kept = holdout.choose_holdout(sources, kinds, settings.holdout, settings.split_seed)
        return {source: "holdout" if source in kept else "train" for source in sources}
    if settings.folds > found:
        raise UserError(f"{settings.competition_folder} holds training pictures of {found} sources, which stay together, "
                        f"so --folds {settings.folds} is too many; {found} is the most.")
    folds = holdout.assign_folds(sources, kinds, settings.folds, settings.split_seed)
    return {source: f"{FOLD}{fold}" for source, fold in folds.items()}


def preview(prepared, augment):
    """Some training pictures a line each: damaged, filled, whole, and the variants."""
    rows = prepared.split("train")
    rows = rows.only(rows.words("variant") == augmentation.TRANSFORM_NAMES[0])
    rows = rows[::max(1, len(rows) // PREVIEW_PICTURES)][:PREVIEW_PICTURES]
    lines = []
    for row in rows:
        whole = prepared.whole(row)
        shown = [prepared.damaged(row), prepared.seen(row, FILLED)]
        shown += [augmentation.apply_transform(whole, v) for v in range(augmentation.TRANSFORMS_PER_MODE[augment])]
        lines.append(np.concatenate(shown, 1))
    return np.concatenate(lines)


def materialize(folder):
    """The training rows as PNG files: damaged and whole, named by picture and variant."""
    prepared = Dataset(folder)
    job = partial(write_chunk, folder)
    for _ in workers.run_in_chunks(job, prepared.split("train"), size=256, label="write PNG files"):
        pass


def write_chunk(folder, rows):
    prepared = open_dataset_cached(folder)
    for row in rows:
        name = f"{row.id.replace('/', '-')}.{augmentation.TRANSFORM_NAMES[row.variant]}.png"
        for kind, picture in (("damaged", prepared.damaged(row)), ("whole", prepared.whole(row))):
            with files.atomic_write(folder / "png" / kind / name) as file:
                file.write(encode_png(np.ascontiguousarray(picture)))


def summary(prepared, folder):
    train, held, test = (prepared.split(name) for name in ("train", "holdout", "test"))
    broken = [line for line in files.read_json(folder / "listed.json") if "broken" in line]
    left_out = [f"left out: {line['broken']}" for line in broken]
    sizes = [len(view.split("holdout")) for _, view in prepared.views()]
    folds = f" in {len(sizes)} folds of {min(sizes)} to {max(sizes)}" if prepared.folds else ""
    return "\n".join([*left_out, f"augment: {len(train)} training rows, {len(held)} holdout pictures{folds} and {len(test)} test "
                      f"pictures; {folder / 'index.csv'}, {folder / 'preview.png'}"])
