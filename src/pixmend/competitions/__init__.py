"""The registry of competitions: one line each, imported when it is first used; and what a run's settings take from it."""

import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pixmend.competitions.base import Competition
from pixmend.config import Settings
from pixmend.data.dataset import Dataset
from pixmend.data.image_record import ImageRecord
from pixmend.errors import FlagError, UserError, suggest
from pixmend.evaluation.metrics import Metric, sum_all_squared_errors
from pixmend.submissions.pixel_csv import PixelCsv
from pixmend.submissions.submission_format import SubmissionFormat

COMPETITIONS = {
    "demo": "pixmend.competitions.demo:DEMO",
    "depixelation": "pixmend.competitions.depixelation:DEPIXELATION",
    "hidden_areas": "pixmend.competitions.hidden_areas:HIDDEN_AREAS",
    "landscapes": "pixmend.competitions.landscapes:LANDSCAPES",
    "missing_pixels": "pixmend.competitions.missing_pixels:MISSING_PIXELS",
    "photo_reconstruction": "pixmend.competitions.photo_reconstruction:PHOTO_RECONSTRUCTION",
}
DAMAGE_DEFAULTS = ("model", "start")   # defaults that depend on the damage
WHOLE_RMSE = Metric(sum_all_squared_errors, "RMSE over the whole image", root=True)


def get_competition_name(text: str) -> str:
    """Return the name in the registry; Kaggle's spelling, with hyphens, is accepted."""
    name = text.replace("-", "_")
    if name not in COMPETITIONS:
        raise FlagError(f"There is no competition {text!r}.{suggest(name, COMPETITIONS)} There are: {', '.join(COMPETITIONS)}.")
    return name


@cache
def get_competition(name: str) -> Competition:
    target = COMPETITIONS[get_competition_name(name)]
    try:
        return pkgutil.resolve_name(target)
    except TypeError as error:   # raised by Python for a class without a method that it must have
        raise UserError(f"The competition {name} ({target}) is incomplete: {error}.") from error


def get_damage_competition(settings: Settings) -> Competition:
    """Return the competition whose damage and metrics count: that of --damage, where it is given."""
    return get_competition(settings.damage or settings.competition)


def get_default_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that the competition changes; those that depend on the damage are the damage's."""
    own, damage = get_competition(settings.competition).defaults, get_damage_competition(settings).defaults
    return ({name: value for name, value in own.items() if name not in DAMAGE_DEFAULTS}
            | {name: value for name, value in damage.items() if name in DAMAGE_DEFAULTS})


def get_extra_metrics(settings: Settings) -> Mapping[str, Metric]:
    """Return the metrics besides the RMSE; where masks are unknown, the RMSE of whole images is one of them."""
    return dict(get_damage_competition(settings).metrics) | ({"whole_rmse": WHOLE_RMSE} if settings.unknown_masks else {})


def get_submission_format(settings: Settings, split: str = "test") -> SubmissionFormat:
    """Return the format of a split's submission; of a holdout with another competition's damage, a table by pixel."""
    return PixelCsv() if settings.damage and split == "holdout" else get_competition(settings.competition).submission


def leaves_settings_open(settings: Settings) -> bool:
    """Tell whether a competition at Kaggle does not say what --channel-order and --value-scale are."""
    competition = get_competition(settings.competition)
    return competition.submission.has_value_settings and not competition.is_synthetic


def get_submission_path(settings: Settings, split: str = "test") -> Path:
    middle = "" if split == "test" else f".{split}"
    return settings.submissions_folder / f"{settings.run}{middle}{get_submission_format(settings, split).suffix}"


def get_solution_path(settings: Settings) -> Path:
    """Return the path of the solution, which only synthetic competitions have."""
    return settings.competition_folder / f"solution{get_competition(settings.competition).submission.suffix}"


def read_records(settings: Settings) -> dict[str, ImageRecord]:
    """Return the competition's image records by id; reading them checks its whole sample submission."""
    records = get_competition(settings.competition).read_images(settings.competition_folder / "files", settings.shape)
    return {record.id: record for record in records}


def order_records(settings: Settings, dataset: Dataset, split: str, records: Mapping[str, ImageRecord]) -> list[ImageRecord]:
    """Return the records of a split in the dataset's order; of a holdout with another damage, with that damage's counts."""
    rows = dataset.split(split)
    if settings.damage and split == "holdout":
        return [replace(records[row.id], drawn=dataset.read_counts(row)) for row in rows]
    return [records[row.id] for row in rows]


def check_photos_accepted(settings: Settings) -> None:
    """Refuse a user's photos for a competition that is not made from photos."""
    if settings.photos and not get_competition(settings.competition).accepts_photos:
        raise FlagError(f"--photos is for competitions that are made from photos; {settings.competition} has its own images.")
