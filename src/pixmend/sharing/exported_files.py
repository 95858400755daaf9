"""Names and contents of the files of an exported run.

settings.json describes the run: its settings, the names and shapes of its weights in order, what was measured, and the sha256 of
the other files. It and model.safetensors are all that is read back; neither holds code.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixmend import files
from pixmend.errors import UserError

KERAS, ONNX, WEIGHTS, SETTINGS_FILE, CARD, PICTURE = (
    "model.keras", "model.onnx", "model.safetensors", "settings.json", "README.md", "before-after.jpg")
FORMAT = 1
FIELDS = {"format": int, "run": str, "competition": str, "damage": str, "channels": int, "step": int, "settings": dict,
          "prediction": dict, "weights": [str], "files": {str: str}}


def write_description(folder: Path, values: Mapping[str, Any]) -> None:
    """Write settings.json last, with the sha256 of every other file."""
    hashes = {path.name: files.hash_file(path) for path in sorted(folder.iterdir())}
    files.write_json(folder / SETTINGS_FILE, {**values, "format": FORMAT, "files": hashes})


def read_description(folder: Path) -> dict[str, Any]:
    """Return what settings.json says; the weights beside it must be those it was written with."""
    path = folder / SETTINGS_FILE
    found = files.read_object(path, FIELDS)
    if found is None:
        raise UserError(f"{folder} is not an exported run: it has no {SETTINGS_FILE}. `pixmend export --run NAME` makes one.")
    if found["format"] != FORMAT:
        raise UserError(f"{path} has the format {found['format']}; this version reads {FORMAT}. Use the version that wrote it.")
    if not (folder / WEIGHTS).is_file() or files.hash_file(folder / WEIGHTS) != found["files"].get(WEIGHTS):
        raise UserError(f"{folder / WEIGHTS} is missing or not the file that {SETTINGS_FILE} describes. Get the run again.")
    return found
