"""Submission files of others as members of an ensemble: read, compared with our own predictions, and stored as a run's are.

A file is named file:THEIRS.csv, with its predictions of the holdout beside it in THEIRS.holdout.csv, as `pixmend serialize`
writes both; or file:THEIRS.csv+HOLDOUT.csv; or file:THEIRS.csv=0.3, with a weight by hand, if there is no file of the holdout.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import competitions, files
from pixmend.config import Settings
from pixmend.data.dataset import Dataset, DatasetRow
from pixmend.data.image_record import ImageRecord
from pixmend.data.paste import paste_values
from pixmend.errors import UserError
from pixmend.progress import print_message, track
from pixmend.setting_values import MEMBER_FILE, format_run_command
from pixmend.submissions import csv_reader, predictions
from pixmend.submissions.csv_reader import Kind
from pixmend.submissions.value_forms import LIMITS, SCALES, Form, from_form, to_form

FOLDER = "files"   # in the folder of the mix, while it is made
CLEARLY_NEARER = 0.8   # by this factor in squared difference from our predictions; reversed channels make 0.6 or less on photos


@dataclass(frozen=True)
class MemberFile:
    """A file of others: its name in --members, its path for each split, and its weight if that is given by hand."""

    name: str
    paths: Mapping[str, Path]
    weight: float | None


@dataclass(frozen=True)
class SplitFile:
    """The part of one split, beside the images and the predictions of a run of ours."""

    path: Path
    split: str
    settings: Settings
    dataset: Dataset
    records: Sequence[ImageRecord]
    run: str

    @property
    def advice(self) -> str:
        """Return the next step after a fault of the file."""
        template = competitions.get_submission_path(replace(self.settings, run=self.run), self.split)
        command = format_run_command("serialize", self.run, self.settings)
        return f"ask for a file with values in 0..1 and the rows of {template}, which `{command}` writes"

    def read(self, label: str) -> Iterator[tuple[DatasetRow, np.ndarray, np.ndarray]]:
        """Yield each row with the file's values of its missing pixels, and the whole image as the run of ours predicts it."""
        rows, ours = self.dataset.split(self.split), self.settings.run_folder.with_name(self.run) / f"{self.split}.npz"
        format_ = competitions.get_submission_format(self.settings, self.split)
        values = format_.read_any_order(self.path, self.records, self.settings, self.advice)
        yield from zip(track(rows, label), values, predictions.read_images(ours, self.dataset, rows), strict=True)


def label_member(name: str) -> str:
    """Return a member's name for tables: that of a file without its folder."""
    found = MEMBER_FILE.fullmatch(name)
    return f"file:{Path(found['test']).name}" if found else name


def find_member_file(name: str) -> MemberFile:
    """Return the file that a member's name means; raise an error if one of its parts is missing."""
    found = MEMBER_FILE.fullmatch(name)
    assert found
    paths, weight = {"test": Path(found["test"]).expanduser()}, float(found["weight"]) if found["weight"] else None
    if weight is None:
        beside = paths["test"].with_suffix(f".holdout{paths['test'].suffix}")
        paths["holdout"] = Path(found["holdout"]).expanduser() if found["holdout"] else beside
    for split, path in paths.items():
        if not path.is_file():
            raise UserError(f"{path} is missing, the file of {name} with predictions of the {split} images. Ask for it; if there "
                            f"is none of the holdout, give a weight by hand: file:{paths['test']}=0.3")
    return MemberFile(name, paths, weight)


def build_cache_key(settings: Settings, member: MemberFile) -> dict[str, Any]:
    """Return what decides a file's part of the mix; hashes, so that a changed file is noticed even if its date stayed."""
    form = competitions.get_submission_format(settings).get_form(settings)
    return {"hashes": {split: files.hash_file(path) for split, path in member.paths.items()}, "weight": member.weight,
            "form": form, "convert": settings.convert_files}


def describe_files(members: Sequence[MemberFile], keys: Mapping[str, Mapping[str, Any]],
                   conversions: Sequence[str]) -> dict[str, list[str]]:
    """Return what the record of a mix says of its files: each with its hash, and what was converted; nothing without files."""
    hashed = [f"{path} sha256 {keys[member.name]['hashes'][split]}" for member in members for split, path in member.paths.items()]
    return {name: found for name, found in (("files", hashed), ("conversions", list(conversions))) if found}


@contextlib.contextmanager
def unpack_files(settings: Settings, dataset: Dataset, members: Sequence[MemberFile],
                 run: str) -> Iterator[tuple[list[Path], list[str]]]:
    """Make a folder for each file, with predictions as a run has them, while the mix is made; and say what was converted.

    `run` is one of our own, with which the files are compared.
    """
    folder = settings.run_folder / FOLDER
    shutil.rmtree(folder, ignore_errors=True)   # of a command that was killed
    records = competitions.read_records(settings) if members else {}
    folders, conversions = [folder / str(number) for number in range(len(members))], []
    try:
        for member, target in zip(members, folders, strict=True):
            parts = [SplitFile(path, split, settings, dataset, competitions.order_records(settings, dataset, split, records), run)
                     for split, path in member.paths.items()]
            forms = find_forms(parts)
            conversions += [line for part, form in zip(parts, forms, strict=True) for line in store_split(part, form, target)]
        yield folders, conversions
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def store_split(file: SplitFile, form: Form, folder: Path) -> list[str]:
    """Write the predictions of one split from values of a form; return what was converted, if anything was."""

    def restore() -> Iterator[np.ndarray]:
        for row, values, image in file.read(f"read {file.path.name}"):
            mask = file.dataset.read_counts(row) > 0
            yield paste_values(image, mask, from_form(values, form, image))

    masks = ((row.id, file.dataset.read_counts(row) > 0) for row in file.dataset.split(file.split))
    predictions.write_predictions(folder / f"{file.split}.npz", restore(), masks, {"set": file.dataset.cache_key})
    if form == (stated := get_stated_form(file)):
        return []
    print_message(f"ensemble: {file.path} was converted: it has {form}, and not {stated}.")
    return [f"{file.path}: {form}"]


def get_stated_form(file: SplitFile) -> Form:
    """Return the form that the settings say."""
    return competitions.get_submission_format(file.settings, file.split).get_form(file.settings)


def find_forms(files_of_member: Sequence[SplitFile]) -> list[Form]:
    """Return the form of each of a member's files; all must differ in the same way from what the settings say of their splits.

    A weight of one form would be wrong for another. With --damage the files of the two splits have different formats.
    """
    forms = [find_form(file) for file in files_of_member]
    if len({compare_forms(form, get_stated_form(file)) for form, file in zip(forms, files_of_member, strict=True)}) > 1:
        described = " and ".join(f"{file.path} seems to have {form}" for form, file in zip(forms, files_of_member, strict=True))
        raise UserError(f"{described}. Ask for two files that were written in the same way.")
    return forms


def compare_forms(form: Form, stated: Form) -> tuple[bool, str]:
    """Return in what a form differs from the stated one: whether the channels are reversed, and its scale if that is another."""
    return form.order != stated.order, form.scale if form.scale != stated.scale else ""


def find_form(file: SplitFile) -> Form:
    """Return the form of a file's values: that of the settings, or with --convert-files the one that is clearly right."""
    stated = get_stated_form(file)
    differences, least, most = measure_differences(file, stated)
    fitting = [form for form in differences if least < 0 or most > 1 or LIMITS[form.scale] == (0, 1)]
    nearest = min(fitting, key=lambda form: differences[form])
    if differences[nearest] < CLEARLY_NEARER * differences[stated]:
        if file.settings.convert_files:
            return nearest
        raise UserError(f"{file.path} seems to have {nearest}, and not {stated} as your settings say: in that form it is "
                        f"{np.sqrt(differences[nearest]):.4f} away from the predictions of run {file.run!r}, in yours "
                        f"{np.sqrt(differences[stated]):.4f} (RMS). Ask whose is right; --convert-files converts it.")
    low, high = LIMITS[stated.scale]
    if least < low or most > high:
        first, second = csv_reader.read_header(file.path, 2, file.advice)
        csv_reader.check_rows(file.path, {first: Kind.TEXT, second: Kind.UNIT}, file.advice)
    return stated


def measure_differences(file: SplitFile, stated: Form) -> tuple[dict[Form, float], float, float]:
    """Return the mean squared difference from our predictions, in 0..1, for each form; and the lowest and the highest value.

    Our predictions are brought into each form, not the file's values out of it: that would shrink their errors, too.
    """
    forms = [stated, *(Form(order, scale) for scale in SCALES for order in (stated.order, "bgr", "rgb"))]
    sums, count, least, most = dict.fromkeys(forms, 0.0), 0, np.inf, -np.inf
    for row, values, image in file.read(f"compare {file.path.name}"):
        ours = image[file.dataset.read_counts(row) > 0]
        for form in sums:
            low, high = LIMITS[form.scale]
            sums[form] += float(np.square((values - to_form(ours, form, image)) / (high - low)).sum())
        count, least, most = count + values.size, min(least, values.min()), max(most, values.max())
    return {form: total / count for form, total in sums.items()}, float(least), float(most)
