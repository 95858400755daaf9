"""Runs of others: hub:OWNER/NAME, kaggle:OWNER/MODEL/FRAMEWORK/VARIATION or folder:FOLDER becomes a run in a folder of its own.

Only settings.json and model.safetensors are read. Settings are checked as flags are, and weights must fit the network that the
settings build; no code of others runs.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import competitions, files, models, run_file
from pixmend.config import SETTINGS, Settings
from pixmend.errors import FlagError, UserError
from pixmend.run_identity import WEIGHT_SETTINGS
from pixmend.setting_values import check_value, parse_value
from pixmend.sharing import exported_files
from pixmend.sharing.exported_files import SETTINGS_FILE, WEIGHTS
from pixmend.sharing.packages import import_quietly
from pixmend.training import checkpoints

READ = [SETTINGS_FILE, WEIGHTS]
PREDICTION = ("tta", "predict_mode")


def fetch_run(name: str, home: Path) -> Settings:
    """Return the settings of a shared run, whose folder is in a home of its own inside `home`."""
    kind, place = name.split(":", 1)
    folder = Path(place).expanduser() if kind == "folder" else FETCH[kind](place)
    found = exported_files.read_description(folder)
    settings = parse_settings(found, folder / SETTINGS_FILE)
    own = home / "fetched" / files.hash_value([name, found["files"][WEIGHTS]])[:16]
    settings = replace(settings, home=str(own))
    if not checkpoints.get_weights_path(settings.trained_folder).exists():
        weights = read_safetensors(folder / WEIGHTS, found["weights"])
        run_file.save_run(settings)
        run_file.save_trained(settings.trained_folder, {key: getattr(settings, key) for key in WEIGHT_SETTINGS})
        checkpoints.save_weights(checkpoints.get_weights_path(settings.trained_folder), weights, {"step": found["step"]})
    return settings


def parse_settings(found: dict[str, Any], path: Path) -> Settings:
    """Return the settings in settings.json, checked as flags are."""
    stored = run_file.add_missing_settings(found["settings"]) | {name: found["prediction"].get(name, SETTINGS[name].default)
                                                                 for name in PREDICTION}
    try:
        values = {name: parse_value(name, value, str(path)) for name, value in stored.items() if name in SETTINGS}
        check_value("run", found["run"], str(path))
        names = [competitions.get_competition_name(found[part]) if found[part] else "" for part in ("competition", "damage")]
        if unknown := set(stored) - set(values):
            raise FlagError(f"it has a setting {min(unknown)!r} that this version does not know.")
        if not models.is_trainable(values["model"]):
            raise FlagError(f"it names the model {values['model']!r}, which this version cannot build.")
        place = {"competition": names[0], "damage": names[1], "run": found["run"], "channels": found["channels"]}
        return Settings(**values | place, stored=True)
    except (FlagError, UserError, TypeError, ValueError, KeyError) as error:
        raise UserError(f"{path} does not describe a run that this version can use: {error}") from None


def read_safetensors(path: Path, names: list[str]) -> list[np.ndarray]:
    """Return the arrays in the order of their names."""
    with import_quietly():
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    try:
        arrays = load_file(path)
        return [arrays[name] for name in names]
    except (SafetensorError, KeyError, ValueError):
        raise UserError(f"{path} is damaged or lacks weights that {SETTINGS_FILE} names. Get the run again.") from None


def fetch_from_hub(place: str) -> Path:
    """Download the two files of OWNER/NAME or OWNER/NAME@REVISION from the Hugging Face hub; what is here stays."""
    repository, _, revision = place.partition("@")
    with import_quietly():
        from httpx import HTTPError
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    try:
        paths = [Path(hf_hub_download(repository, name, revision=revision or None)) for name in READ]
    except (HTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(f"hub:{place} cannot be fetched: {describe_error(error)}") from None
    return paths[0].parent


def fetch_from_kaggle(place: str) -> Path:
    """Download the two files of OWNER/MODEL/FRAMEWORK/VARIATION, with /VERSION if it ends so, from Kaggle's models."""
    with import_quietly():
        import kagglehub
        from kagglehub.exceptions import KaggleApiHTTPError
    try:
        paths = [Path(kagglehub.model_download(place, path=name)) for name in READ]
    except (KaggleApiHTTPError, ValueError, OSError) as error:
        raise UserError(f"kaggle:{place} cannot be fetched: {describe_error(error)}") from None
    return paths[0].parent


def describe_error(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


FETCH = {"hub": fetch_from_hub, "kaggle": fetch_from_kaggle}
