"""The image records of a competition in the order of a dataset's split, as a submission needs them."""

from dataclasses import replace
from typing import Any

from pixmend.competitions import get_competition
from pixmend.config import Settings


def read_records(settings: Settings) -> dict[str, Any]:
    """Return the competition's image records by id; reading them checks its whole sample submission."""
    records = get_competition(settings.competition).read_images(settings.competition_folder / "files", settings.shape)
    return {record.id: record for record in records}


def order_records(settings: Settings, dataset: Any, split: str, records: dict[str, Any]) -> list[Any]:
    """Return the records of a split in the dataset's order; of a holdout with another damage, with that damage's counts."""
    ordered = [records[row.id] for row in dataset.split(split)]
    if settings.damage and split == "holdout":
        return [replace(record, drawn=dataset.hole(row)) for record, row in zip(ordered, dataset.split(split), strict=True)]
    return ordered
