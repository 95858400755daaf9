"""Values of settings: read from flags and files, checked, and written back as flags."""

import os
import re
import shlex
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixmend.config import AUTO, PATHS, SETTINGS, Settings, SettingSpec, flag
from pixmend.errors import FlagError, suggest

RUN_NAMES = {"run", "init_from", "mask_run", "members"}   # settings whose values name runs
RUN_NAME = re.compile(r"(?![-=+@])(?!\.{1,2}(@|$))[\w.+=-]+(@[1-9]\d*)?")
FILE_NAME = re.compile(r"(?!\.{1,2}$)[\w.+=-]+")
SHARED_RUN = re.compile(r"(hub|kaggle):[^\s\x00-\x1f]+|folder:[^\x00-\x1f]+")
MEMBER_FILE = re.compile(r"file:(?P<test>.+?\.(?:csv|bin))(?:\+(?P<holdout>.+\.(?:csv|bin))|=(?P<weight>0?\.\d*[1-9]\d*))?")
TABLES = ("leaderboard", "submissions")   # of the folder in which RUN.csv is, so no run has these names
OTHER_FILES = re.compile(r".*\.(holdout|new-test-set|(bgr|rgb)-(unit|minmax))", re.IGNORECASE)   # of other runs in that folder
LOG_LIBRARIES = ("tensorboard", "wandb", "mlflow", "trackio")


def parse_value(name: str, value: Any, where: str = "") -> Any:
    """Return a given or stored value as Settings holds it: `auto` as 0, a whole number for a float setting as a float."""
    if SETTINGS[name].auto and value == AUTO:
        return 0
    if SETTINGS[name].auto and value == 0 and not where:
        raise FlagError(f"{flag(name)} 0 is written {flag(name)} {AUTO}.")
    check_value(name, value, where)
    return type(SETTINGS[name].default)(value)


def check_value(name: str, value: Any, where: str = "") -> None:
    """Raise a FlagError unless the setting may have this value; `where` names the file of a stored value."""
    label = f"{where}: {name}" if where else flag(name)
    check_type_and_range(SETTINGS[name], value, label)
    if name in RUN_NAMES:
        check_run_names(name, value, label, is_flag=not where)
    if name == "log" and (unknown := [part for part in split_log_names(value) if part not in LOG_LIBRARIES]):
        raise FlagError(f"{label} {unknown[0]!r} is none of {', '.join(LOG_LIBRARIES)}.{suggest(unknown[0], LOG_LIBRARIES)}")
    if name in ("message", "home") and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise FlagError(f"{label} is not UTF-8 text; got {value!r}.")
    if name == "mask_run" and not value:
        raise FlagError(f"{label} is empty; name the run of a model that finds masks, such as locate.")
    if name == "sweep_name" and value and not FILE_NAME.fullmatch(value):
        raise FlagError(f"{label} {value!r} cannot be a file name; use letters, digits and - _ . + = only.")


def check_type_and_range(spec: SettingSpec, value: Any, label: str) -> None:
    """Raise a FlagError unless the value has the type of the setting and is one of its choices, or within its range."""
    if type(value) is not type(spec.default) and not (isinstance(spec.default, float) and type(value) is int):
        raise FlagError(f"{label} must be of type {type(spec.default).__name__}; got {value!r}.")
    if spec.choices and value not in spec.choices:
        choices = ", ".join(str(choice) for choice in spec.choices if choice != "")
        raise FlagError(f"{label} must be one of {choices}; got {value!r}.{suggest(str(value), spec.choices)}")
    if spec.low is not None and spec.high is not None and not spec.low <= value <= spec.high and not (spec.auto and value == 0):
        raise FlagError(f"{label} must be between {format_number(spec.low)} and {format_number(spec.high)}; "
                        f"got {format_number(value)}.")


def check_run_names(name: str, value: str, label: str, is_flag: bool) -> None:
    """Raise a FlagError unless all runs in the value of a setting can have these names. Only a flag may name a run of others."""
    runs = list_member_runs(label, value) if name == "members" else [value]
    is_flag_of_shared = name == "run" and is_flag and is_shared_run(value)
    if wrong := [run for run in runs if run and not RUN_NAME.fullmatch(run) and not is_flag_of_shared]:
        raise FlagError(f"{label} {wrong[0]!r} cannot be the name of a run; use letters, digits and - _ . + = only, not - = "
                        f"+ at the beginning, and @NUMBER at the end for a snapshot.")
    if name == "run" and not value:
        raise FlagError(f"{label} is empty; name the run, or leave the flag out.")
    if name == "run" and value.lower() in TABLES:   # some file systems do not tell these apart
        raise FlagError(f"{label} {value} cannot be the name of a run, because its submission would replace the table "
                        f"{value}.csv. Choose another one.")
    if name == "run" and is_flag and OTHER_FILES.fullmatch(value):
        raise FlagError(f"{label} {value} cannot be the name of a run, because commands on run {value.rpartition('.')[0]} write "
                        f"{value}.csv. Choose another one.")


def is_same_value(name: str, one: Any, other: Any) -> bool:
    """Tell whether two values of a setting are the same; those of a path may be spelled differently, such as `photos/`."""
    are_paths = name in PATHS and one and other
    return bool(one == other or (are_paths and os.path.abspath(str(one)) == os.path.abspath(str(other))))


def format_flag(name: str, value: Any) -> list[str]:
    """Return the words of a flag with its value, from which `parse_value` gives this value again."""
    if isinstance(value, bool):
        return [flag(name) if value else format_off(name)]
    if value == "":
        return [f"{flag(name)}="]   # one word, so that no later one is taken for the value
    is_short = isinstance(value, float) and float(f"{value:g}") == value
    return [flag(name), f"{value:g}" if is_short else str(format_auto(name, value))]


def format_off(name: str) -> str:
    """Return the flag that turns a setting off."""
    return flag(name).replace("--", "--no-", 1) if isinstance(SETTINGS[name].default, bool) else f"{flag(name)} 0"


def format_auto(name: str, value: Any) -> Any:
    """Return a value as a file and a message show it: 0 of an automatic setting as `auto`."""
    return AUTO if SETTINGS[name].auto and value == 0 else value


def format_number(value: float) -> str:
    """Return a number with all its digits: 100,000,000 and not 1e+08."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def is_shared_run(name: str) -> bool:
    """Tell whether a name means a run that was exported: at a hub, at Kaggle or in a folder."""
    return bool(SHARED_RUN.fullmatch(name))


def split_log_names(text: str) -> list[str]:
    """Return the names of the libraries in --log, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def split_members(text: str) -> list[str]:
    """Return the runs and files in --members, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def list_member_runs(label: str, text: str) -> list[str]:
    """Return the members that are runs; raise a FlagError for one that begins as a file and is none."""
    members = split_members(text)
    if wrong := [member for member in members if member.startswith("file:") and not MEMBER_FILE.fullmatch(member)]:
        raise FlagError(f"{label} {wrong[0]!r}: write file:THEIRS.csv, with THEIRS.holdout.csv beside it; or "
                        f"file:THEIRS.csv+HOLDOUT.csv; or file:THEIRS.csv=0.3, with a weight between 0 and 1.")
    return [member for member in members if not MEMBER_FILE.fullmatch(member)]


def format_command(words: Sequence[str], settings: Settings, names: Container[str]) -> str:
    """Return a command with the flags of these settings that are given."""
    given = [name for name in SETTINGS if name in settings.given and name in names]
    return shlex.join([*words, *(word for name in given for word in format_flag(name, getattr(settings, name)))])


def format_run_command(command: str, run: str, settings: Settings, *words: str) -> str:
    """Return a command on a run, with its competition and home: others may have a run of this name."""
    names = frozenset(name for name in ("damage", "home") if getattr(settings, name) != getattr(Settings, name))
    first = ["pixmend", command, "--run", run, "--competition", settings.competition]
    return " ".join([format_command(first, replace(settings, given=names), names), *map(shlex.quote, words)])


def format_folder_command(command: str, folder: Path, *words: str) -> str:
    """Return a command on the run in HOME/checkpoints/COMPETITION/RUN, or in a folder within it, such as that of a fold."""
    for place in (folder, *folder.parents):
        if place.parent.parent.name == "checkpoints":
            competition, _, damage = place.parent.name.partition("+")
            settings = Settings(home=str(place.parents[2]), competition=competition, damage=damage)
            return format_run_command(command, place.name, settings, *words)
    return shlex.join(["pixmend", command, "--run", folder.name, *words])


def format_stage_command(stage: str, settings: Settings) -> str:
    """Return the command of a stage on the same data: with the flags that decide them, but for those in the run's file."""
    names = {name for name, spec in SETTINGS.items() if spec.group in ("download", "augment")} | {"damage", "home"}
    wanted = replace(settings, given=settings.typed if settings.stored else settings.given)
    run = ["--run", settings.run] if settings.stored or "run" in settings.given else []
    return format_command(["pixmend", stage, "--competition", settings.competition, *run], wanted, names)
