"""What the scripts of an unpacked bundle do: read SETTINGS.json, and run commands of pixmend with its folders.

CLEAN_DATA_DIR is the home of pixmend; the trained models and the submissions in it are links to MODEL_DIR and SUBMISSION_DIR.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pixmend import files
from pixmend.errors import UserError

SETTINGS_FILE = "SETTINGS.json"
RAW, CLEAN, MODEL, SUBMISSION = "RAW_DATA_DIR", "CLEAN_DATA_DIR", "MODEL_DIR", "SUBMISSION_DIR"
FOLDERS = {RAW: "raw", CLEAN: "work", MODEL: "model", SUBMISSION: "submissions"}   # as the archive has them
EXTRA, EXTRA_FOLDER = "EXTRA_DATA_DIR", "extra"   # one more folder, of a model that was trained with --extra-pictures
LINKS = {"checkpoints": MODEL, "submissions": SUBMISSION}
SOURCE = Path(__file__).resolve().parents[2]


def run_commands(folder: Path, commands: Sequence[Sequence[str]]) -> int:
    """Run commands one after another, until one fails; return its exit code. RAW_DATA_DIR and so on stand for their folders."""
    needed = [*FOLDERS, EXTRA] if any(EXTRA in words for words in commands) else list(FOLDERS)
    try:
        folders = read_folders(folder, needed)
        link_folders(folders)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    for name, *flags in commands:
        words = [name, "--home", str(folders[CLEAN]), *(insert_folder(word, folders) for word in flags)]
        if code := subprocess.run([sys.executable, "-m", "pixmend", *words], env={**os.environ, "PYTHONPATH": path}).returncode:
            return code
    return 0


def read_folders(folder: Path, needed: Sequence[str]) -> dict[str, Path]:
    """Return the needed folders of SETTINGS.json; relative ones are inside the folder of the scripts."""
    path = folder / SETTINGS_FILE
    try:
        found = files.read_object(path, dict.fromkeys(needed, str))
    except UserError:
        found = None
    if found is None:
        raise UserError(f"{path} is missing or damaged. It needs a text for each of {', '.join(needed)}. Take it from the "
                        "archive again.")
    return {name: folder / found[name] for name in needed}


def link_folders(folders: Mapping[str, Path]) -> None:
    """Make the folders, and link those of the models and the submissions into the home."""
    for name, target in LINKS.items():
        link, place = folders[CLEAN] / name, folders[target].resolve()
        for needed in (place, link.parent):
            needed.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            raise UserError(f"{link} is no link. Name another folder for {CLEAN} in {SETTINGS_FILE}.")
        link.symlink_to(place)


def insert_folder(word: str, folders: Mapping[str, Path]) -> str:
    """Return a word of a command with the folder itself in the place of its name at the beginning."""
    name, slash, rest = word.partition("/")
    return str(folders[name] / rest) if name in folders else f"{name}{slash}{rest}"
