"""The scripts of a bundle, prepare_data.py, train.py and predict.py: commands of pixmend with the folders of SETTINGS.json."""

import json
from collections.abc import Sequence

from pixmend import competitions
from pixmend.bundling.model_files import BundledRun, uses_extra_pictures
from pixmend.bundling.source import SOURCE_FOLDER
from pixmend.bundling.unpacked import CLEAN, EXTRA, EXTRA_FOLDER, FOLDERS, MODEL, RAW, SUBMISSION
from pixmend.config import PATHS, SETTINGS, Settings, flag
from pixmend.setting_values import format_flag

PREPARE, TRAIN, PREDICT = "prepare_data.py", "train.py", "predict.py"
DATA_GROUPS = ("common", "download", "augment")
NOT_REPEATED = {"run", "force", "quiet", *PATHS}
TEMPLATE = '''\
"""{purpose}"""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER / "{source}"))
from pixmend.bundling.unpacked import run_commands  # noqa: E402 (found in the folder above)

sys.exit(run_commands(FOLDER, [
{commands}
]))
'''
ENTRY_POINTS = """# Entry points

Each reads its folders from `SETTINGS.json`, which is the only place of paths. The scripts run commands of pixmend, whose source
is in `{source}/`; each command can also be run alone.

1. `python {prepare}` {inputs}, decodes all images, holds out a part, and writes into {clean}.
2. `python {train}` reads the prepared data from {clean}, and writes the weights, and checkpoints meanwhile, into {model}. A
   training that was stopped continues with the same command.
3. `python {predict}` reads the test images from {tests} and the weights from {model}, and writes the submission into
   {submission}. `python {predict} FOLDER` takes another test set. {needed}
"""


def format_entry_points(runs: Sequence[BundledRun]) -> str:
    """Return the text that names the scripts, and which folders each reads and writes."""
    settings = runs[-1].settings
    if is_made_here(settings):
        inputs = f"makes the competition of the photos in {RAW}" if settings.photos else "makes the competition"
        tests, needed = f"{CLEAN}, where `{PREPARE}` has made them,", "That needs neither script before it."
    else:
        inputs, tests, needed = f"reads the competition's files from {RAW}", RAW, "Neither script before it is needed."
    inputs += f", reads the extra pictures from {EXTRA}" if uses_extra_pictures(runs) else ""
    return ENTRY_POINTS.format(source=SOURCE_FOLDER, prepare=PREPARE, train=TRAIN, predict=PREDICT, clean=CLEAN, model=MODEL,
                               submission=SUBMISSION, inputs=inputs, tests=tests, needed=needed)


def is_made_here(settings: Settings) -> bool:
    """Tell whether the competition's files, its test set among them, are made by the scripts."""
    return competitions.get_competition(settings.competition).is_synthetic


def list_folders(runs: Sequence[BundledRun]) -> dict[str, str]:
    """Return the folders of SETTINGS.json, as the archive has them."""
    return FOLDERS | ({EXTRA: EXTRA_FOLDER} if uses_extra_pictures(runs) else {})


def write_scripts(runs: Sequence[BundledRun]) -> dict[str, str]:
    """Return the three scripts by their names."""
    settings = runs[-1].settings
    test = f"*(sys.argv[1:2] or [{json.dumps(get_test_folder(settings))}])"
    return {
        PREPARE: format_script(f"Prepare the training data: read {RAW}, write {CLEAN}.", list_preparations(settings)),
        TRAIN: format_script(f"Train the model from the data in {CLEAN}; the weights are written into {MODEL}.",
                             list_trainings(runs)),
        PREDICT: format_script(f"Predict a test set, that of {RAW} or of the folder that is given, into {SUBMISSION}.",
                               [["predict", "--run", settings.run, "--test-folder"]], test)}


def format_script(purpose: str, commands: Sequence[Sequence[str]], last: str = "") -> str:
    """Return a script; `last` is code for further words of the last command."""
    lines = [json.dumps(words)[1:-1] for words in commands]
    lines[-1] += f", {last}" if last else ""
    return TEMPLATE.format(purpose=purpose, source=SOURCE_FOLDER, commands="\n".join(f"    [{line}]," for line in lines))


def get_test_folder(settings: Settings) -> str:
    """Return the folder with the competition's test set; that of a competition made here is in its prepared data."""
    return f"{CLEAN}/competition/{settings.competition}/files" if is_made_here(settings) else RAW


def list_preparations(settings: Settings) -> list[list[str]]:
    """Return the commands that prepare the data; a competition that is made here has photos in the place of files, or neither."""
    photos = ["--photos", RAW] if settings.photos else []
    place = photos if is_made_here(settings) else ["--from-folder", RAW]
    return [["download", "--run", settings.run, *place], prepare_run(settings)]


def prepare_run(settings: Settings) -> list[str]:
    return ["augment", "--run", settings.trained_folder.name, *list_extra_flags(settings)]


def list_extra_flags(settings: Settings) -> list[str]:
    """Return the flag of a run with extra pictures, whose folder is another one on each machine."""
    return [flag("extra_pictures"), EXTRA] if settings.extra_pictures else []


def list_trainings(runs: Sequence[BundledRun]) -> list[list[str]]:
    """Return the commands that train the runs in their order; the runs of a mix are also predicted and mixed.

    The data is prepared again before a run that needs it otherwise, with other transforms or without the extra pictures.
    """
    commands: list[list[str]] = []
    trained: set[str] = set()
    mixed, prepared = runs[-1], repeat_data_flags(runs[-1].settings)
    for run in runs:
        name, wanted = run.settings.trained_folder.name, repeat_data_flags(run.settings)
        if wanted != prepared:
            commands.append(prepare_run(run.settings))
            prepared = wanted
        if not run.is_mix and name not in trained:
            commands.append(["train", "--run", name, *list_extra_flags(run.settings)])
            trained.add(name)
        if mixed.is_mix and run is not mixed:
            commands.append(["predict", "--run", run.settings.run])
    members = ["ensemble", "--run", mixed.settings.run, "--members", ",".join(mixed.trained.get("members", [])), *prepared]
    return [*commands, members] if mixed.is_mix else commands


def repeat_data_flags(settings: Settings) -> list[str]:
    """Return the flags that decide the prepared data: `ensemble` takes no settings of a run."""
    names = [name for name, spec in SETTINGS.items() if spec.group in DATA_GROUPS and name not in NOT_REPEATED]
    usual = {name: SETTINGS[name].default for name in names} | competitions.get_default_settings(settings)
    repeated = [word for name in names if getattr(settings, name) != usual[name] or name == "competition"
                for word in format_flag(name, getattr(settings, name))]
    return repeated + list_extra_flags(settings)

