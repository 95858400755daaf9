"""The settings of a run, stored beside its weights."""

import dataclasses
from pathlib import Path
from typing import Any

from pixmend import files, models
from pixmend.config import KNOBS, Settings, as_stored, of_the_run
from pixmend.errors import UserError

NAME = "settings.json"


def save_run_settings(folder: Path, settings: Settings) -> None:
    """Store the settings that decide a run's weights."""
    files.write_json(folder / NAME, of_the_run(settings) | {"competition": settings.competition})


def read_run_settings(folder: Path) -> dict[str, Any]:
    """Return a run's stored settings by name; none if there are none."""
    return files.read_json(folder / NAME) or {}


def load_run_settings(settings: Settings) -> Settings:
    """Return these settings with a run's stored ones in place of those that decide its weights."""
    path = settings.trained_folder / NAME
    stored = files.read_json(path)
    if stored is None:
        run = settings.trained_folder.name
        raise UserError(f"Run {run!r} has no stored settings ({path}). Train it first: pixmend train --run {run}")
    unknown = [name for name, value in stored.items() if name not in KNOBS or type(value) is not type(KNOBS[name].default)]
    if unknown or not models.is_model(stored.get("model", "")):
        raise UserError(f"{path} has settings that this version does not know ({', '.join(unknown) or 'model'}). "
                        f"Train the run anew with --force, or use another --run.")
    # The run's own weights take the place of the encoder's pretrained ones.
    return dataclasses.replace(settings, **as_stored(stored) | {"encoder_weights": "none"})


def copy_run_settings(source: Path, folder: Path) -> None:
    """Store another run's settings in a folder: those of a run for its snapshot."""
    files.write_json(folder / NAME, read_run_settings(source))
