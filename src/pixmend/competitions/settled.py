"""What scores at Kaggle have told about a competition's submissions, in settled.json: defaults of its later runs."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixmend import competitions, files
from pixmend.config import SETTINGS, Settings, flag
from pixmend.errors import UserError
from pixmend.setting_values import check_value

FIELDS = {"answers": {str: str}, "scores": {str: float}, "run": str}


def get_path(settings: Settings) -> Path:
    """Return the path of the file, which runs with another damage share."""
    return Path(settings.home) / "submissions" / settings.competition / "settled.json"


def write_settled(settings: Settings, answers: Mapping[str, str], scores: Mapping[str, float]) -> Path:
    """Add the settings that scores of this run tell to those that were known before, and write down these scores."""
    known = read_settled(settings) | dict(answers)
    files.write_json(get_path(settings), {"answers": known, "scores": scores, "run": settings.run})
    return get_path(settings)


def read_settled(settings: Settings) -> dict[str, str]:
    """Return the settings that are known; none where there is no file, or where the competition leaves nothing open."""
    path = get_path(settings)
    if not competitions.leaves_settings_open(settings):
        return {}
    answers: dict[str, str] = (files.read_object(path, FIELDS) or {"answers": {}})["answers"]
    for name, value in answers.items():
        if name not in SETTINGS or SETTINGS[name].group != "submission":
            raise UserError(f"{path} names {name!r}, which is no setting of submissions. Delete it, then run `pixmend settle`.")
        check_value(name, value, str(path))
    return answers


def apply_settled(settings: Settings, chosen: Collection[str]) -> tuple[Settings, str]:
    """Return the settings as if what is known had been given as flags, except for those that the user chose.

    With them goes a line that says what is used; of a run with a file of its own, what differs from the file.
    """
    known: dict[str, Any] = {name: value for name, value in read_settled(settings).items() if name not in chosen}
    new = {name: value for name, value in known.items() if not (settings.stored and getattr(settings, name) == value)}
    flags = " ".join(f"{flag(name)} {value}" for name, value in new.items())
    line = f"Using {flags}, as scores have settled ({get_path(settings)}). A flag changes it." if new else ""
    return replace(settings, **known, given=settings.given.union(known)), line
