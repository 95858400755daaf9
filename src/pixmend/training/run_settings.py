"""The settings that decided a run's weights, stored in the run's file."""

import dataclasses
from pathlib import Path
from typing import Any

from pixmend import models, run_file
from pixmend.config import SETTINGS, Settings, check_value, weight_settings
from pixmend.errors import FlagError, UserError


def save_run_settings(folder: Path, settings: Settings) -> None:
    """Store the settings that decide a run's weights."""
    run_file.save_run(settings)
    run_file.save_trained(folder, weight_settings(settings) | {"competition": settings.competition})


def read_run_settings(folder: Path) -> dict[str, Any]:
    """Return a run's stored settings by name; none if there are none."""
    return run_file.read_trained(folder) or {}


def load_run_settings(settings: Settings) -> Settings:
    """Return these settings with a run's stored ones in place of those that decide its weights."""
    folder = settings.trained_folder
    stored = run_file.read_trained(folder)
    if stored is None:
        raise UserError(f"Run {folder.name!r} has no stored settings ({folder / run_file.RUN_FILE}). "
                        f"Train it first: pixmend train --run {folder.name}")
    check_stored(folder / run_file.RUN_FILE, stored)
    # The run's own weights take the place of the encoder's pretrained ones.
    return dataclasses.replace(settings, **run_file.add_missing_settings(stored) | {"encoder_weights": "none"})


def check_stored(path: Path, stored: dict[str, Any]) -> None:
    """Raise an error that names the file if it has settings that no flag could give."""
    unknown = [name for name in stored if name not in SETTINGS]
    if unknown or not models.is_model(stored.get("model", "")):
        raise UserError(f"{path} has settings that this version does not know ({', '.join(unknown) or 'model'}). "
                        f"Train the run anew with --force, or use another --run.")
    try:
        for name, value in stored.items():
            check_value(name, value, str(path))
    except FlagError as error:
        raise UserError(f"{error} Train the run anew with --force, or use another --run.") from None


def copy_run_settings(source: Path, folder: Path) -> None:
    """Store another run's settings in a folder: those of a run for its snapshot."""
    run_file.save_trained(folder, read_run_settings(source))
