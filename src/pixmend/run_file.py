"""run.toml, the file of a run: every setting, what training used, versions, hardware and the state of the checkout.

[common] ... [submission]  all settings, by group; `given` at the top lists those that were given as flags
[command]                  settings of one command, such as --force, which only `--config` repeats
[trained]                  what decided the weights, written by training; a run is not continued with other values
[versions] [hardware] [git]  for the record: those with which the training began
"""

import contextlib
import datetime
import json
import os
import platform
import shlex
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pixmend import config, files, processor
from pixmend.config import CHECKOUT, IN_CHECKOUT, RENAMED, SETTINGS, Settings, flag
from pixmend.errors import FlagError, UserError, suggest
from pixmend.run_identity import BUDGET, WEIGHT_SETTINGS
from pixmend.setting_values import check_value, format_auto, format_flag, is_same_value, parse_value

RUN_FILE, FIRST_EDITION = "run.toml", "settings.json"
COMMAND = ("force", "quiet", "dry_run", "resubmit", "submit")
SECRET = {"storage"}   # a database's URL may hold a password
NOT_STORED = {"home", "run", "if_asked", "process", "processes", "submission", "solution", *SECRET, *COMMAND,
              *(name for name, spec in SETTINGS.items()
                if spec.group in ("test set", "mend", "serve", "clean", "publish", "send", "plan"))}
# What manifests tell of a prediction and of a submission: their keys, and the settings that these are.
RECORDED = {"predict.json": {"mode": "predict_mode", "tta": "tta"},
            "serialize.json": {"order": "channel_order", "scale": "value_scale"}}
REMEDY = "Correct it; or delete it, and `pixmend configure` writes it again."   # for a damaged file of a run
FIRST_LINES = ("run", "competition", "channels", "given")
RECORD = ("versions", "hardware", "git")
PACKAGES = ("pixmend", "keras", "tensorflow", "jax", "numpy", "opencv-python-headless", "pandas", "scipy")


def save_run(settings: Settings) -> Path:
    """Write every setting of a run into its folder; what training has written there stays."""
    path = settings.trained_folder / RUN_FILE
    tables: dict[str, Any] = {"run": settings.trained_folder.name, "competition": settings.competition,
                              "channels": settings.channels, "given": sorted(settings.given - NOT_STORED)}
    for name, spec in SETTINGS.items():
        if name not in NOT_STORED:
            tables.setdefault(spec.group.replace(" ", "_"), {})[name] = format_auto(name, getattr(settings, name))
    tables["command"] = {name: getattr(settings, name) for name in COMMAND}
    before = read_tables(path) or {}
    record = {name: before.get(name) for name in RECORD} if "trained" in before else describe_circumstances()
    tables |= record | {"trained": read_trained(settings.trained_folder) or None}
    files.write_text(path, format_toml(tables))
    return path


def save_trained(folder: Path, values: Mapping[str, Any]) -> None:
    """Write into a run's file what decided its weights."""
    tables = read_tables(folder / RUN_FILE) or describe_circumstances()
    files.write_text(folder / RUN_FILE, format_toml(tables | {"trained": dict(values)}))


def forget_trained(folder: Path) -> None:
    """Remove from a run's file what decided its weights, and the record of their training, before it is trained anew."""
    if tables := read_tables(folder / RUN_FILE):
        files.write_text(folder / RUN_FILE, format_toml(tables | dict.fromkeys((*RECORD, "trained"))))
    (folder / FIRST_EDITION).unlink(missing_ok=True)


def read_trained(folder: Path) -> dict[str, Any] | None:
    """Return what decided the weights of a run; None where it has none. Run folders of the first edition are read, too."""
    if tables := read_tables(folder / RUN_FILE):
        return tables.get("trained")
    stored = files.read_json(folder / FIRST_EDITION)
    if stored is None:
        return None
    if not isinstance(stored, dict):
        raise UserError(f"{folder / FIRST_EDITION} is not a file of settings; train the run again: pixmend train --force.")
    return {RENAMED.get(str(name), str(name)): value for name, value in stored.items()}


def add_missing_settings(stored: Mapping[str, Any], names: Iterable[str] = WEIGHT_SETTINGS) -> dict[str, Any]:
    """Return the stored settings of a run, and for those that did not exist then what runs did before them."""
    earlier = {name: SETTINGS[name].earlier for name in names}
    return {**earlier, "split_seed": stored.get("seed", SETTINGS["seed"].earlier), **stored}


def load_run(path: Path, *, with_command: bool = False) -> Settings:
    """Return the settings that a run's file holds, checked as flags are."""
    tables = read_first_edition(path) if path.name == FIRST_EDITION else read_tables(path)
    if tables is None:
        raise UserError(f"{path} is missing. Write it first: pixmend configure --run NAME")
    with files.explain_damage(path, REMEDY):
        values = collect_values(path, tables, with_command)
        given = frozenset(name for name in tables.get("given", []) if name in SETTINGS)
        channels = int(tables.get("channels", 3))
    for name, value in values.items():
        if name not in SETTINGS:
            version = tables.get("versions", {}).get("pixmend", "(unknown version)")
            raise UserError(f"{path} has a setting {name!r} that this version does not know; it is of pixmend {version}.")
        values[name] = parse_value(name, value, str(path))
    run = str(tables.get("run") or path.parent.name)
    check_value("run", run, str(path))
    values = add_missing_settings(values, [name for name in SETTINGS if name not in NOT_STORED])
    settings = Settings(**values, run=run, channels=channels, given=given, stored=True)
    if find_home(path) and Path(os.path.abspath(path)).parents[1].name != settings.dataset_name:
        raise UserError(f"{path} is the file of a run of {settings.dataset_name}. It belongs into the folder "
                        f"checkpoints/{settings.dataset_name}, or was changed: write it again with `pixmend configure`.")
    return settings


def collect_values(path: Path, tables: Mapping[str, Any], with_command: bool) -> dict[str, Any]:
    """Return the settings in a run's file by name; refuse what a reader would take for a setting and that has no effect."""
    groups = [group.replace(" ", "_") for group in config.GROUPS]
    if unknown := [name for name in tables if name not in (*FIRST_LINES, *groups, "command", "trained", *RECORD)]:
        kind = "table" if isinstance(tables[unknown[0]], dict) else "setting outside all tables,"
        raise UserError(f"{path} has a {kind} {unknown[0]!r} that is not read.{suggest(unknown[0], groups)} {REMEDY}")
    values: dict[str, Any] = {}
    for table in [*groups, *(["command"] if with_command else [])]:
        if twice := [name for name in tables.get(table, {}) if name in values]:
            raise UserError(f"{path} has {twice[0]} in two tables, one of them [{table}]. Keep one of them.")
        values |= tables.get(table, {})
    return values


def read_first_edition(path: Path) -> dict[str, Any]:
    """Return the settings of a run of the first edition in tables; its folder names competition and damage."""
    competition, _, damage = path.parents[1].name.partition("+")
    values = (read_trained(path.parent) or {}) | {"competition": competition, "damage": damage}
    tables: dict[str, Any] = {"run": path.parent.name, "versions": {"pixmend": "1"}}
    for name, value in values.items():
        tables.setdefault(SETTINGS[name].group.replace(" ", "_") if name in SETTINGS else "common", {})[name] = value
    return tables


def read_used_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings with which the run was predicted and its submission written: flags of a stage are not stored."""
    return read_recorded(settings, "predict.json") | read_written_form(settings)


def read_written_form(settings: Settings) -> dict[str, Any]:
    """Return the settings under which a run's submission was written; none where `serialize` has not written it here."""
    return read_recorded(settings, "serialize.json")


def read_recorded(settings: Settings, name: str) -> dict[str, Any]:
    """Return the settings that a stage has recorded in a file of the run."""
    path = settings.run_folder / name
    made_from = files.read_made_from(path)
    recorded = {setting: made_from[key] for key, setting in RECORDED[name].items() if key in made_from}
    for setting, value in recorded.items():
        check_value(setting, value, str(path))
    return recorded


def find_run_file(home: Path, run: str, dataset_name: str | None) -> Path | None:
    """Return the file of a run by its name; in the named competition, or in the only one that has such a run."""
    folder, name = home / "checkpoints", run.partition("@")[0]
    found = []
    for run_folder in [folder / dataset_name / name] if dataset_name else sorted(folder.glob(f"*/{name}")):
        found += [path for path in (run_folder / RUN_FILE, run_folder / FIRST_EDITION) if path.exists()][:1]
    if len(found) > 1:
        places = ", ".join(path.parents[1].name for path in found)
        raise FlagError(f"There is a run {run!r} in several competitions: {places}. Name one with --competition.")
    return found[0] if found else None


def find_home(path: Path) -> Path | None:
    """Return the home that a run's file lies in, if it lies in the folder of its run."""
    parents = Path(os.path.abspath(path)).parents   # links stay: `checkpoints` may be one
    return parents[3] if len(parents) > 3 and parents[2].name == "checkpoints" else None


def read_tables(path: Path) -> dict[str, Any] | None:
    """Return the tables of a TOML file; None where there is no file."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))   # some editors add a byte order mark
        if wrong := [name for name in (*RECORD, "trained") if not isinstance(tables.get(name, {}), dict)]:
            raise UserError(f"{path} is damaged: {wrong[0]} is no table. {REMEDY}")
        return tables
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not valid TOML ({error}). {REMEDY}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, not a file of settings.") from None


def format_toml(tables: Mapping[str, Any]) -> str:
    """Return TOML for values and for tables of values; a value of None is left out."""
    def lines(values: Mapping[str, Any]) -> list[str]:
        written = {name: value for name, value in values.items() if value is not None and not isinstance(value, Mapping)}
        return [f"{name} = {format_value(value)}" for name, value in written.items()]

    text = ["# Every setting of this run. Later stages need only its name: pixmend predict --run NAME", *lines(tables)]
    for name, table in tables.items():
        if isinstance(table, Mapping):
            text += ["", f"[{name}]", *lines(table)]
    return "\n".join(text) + "\n"


def format_value(value: Any) -> str:
    """Return a value in TOML. JSON's escapes are TOML's, except for characters outside the first plane and for DEL."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(format_value, value))}]"
    if isinstance(value, (int, float)):
        return str(value).lower()   # true and false
    if any("\ud800" <= letter <= "\udfff" for letter in value):   # bytes of a path that are not UTF-8
        raise UserError(f"{value!r} is not UTF-8, so a run's file cannot hold it. Give the file or folder another name.")
    escaped = (f"\\U{ord(letter):08X}" if letter > "\uffff" or letter == "\x7f" else json.dumps(letter)[1:-1] for letter in value)
    return f'"{"".join(escaped)}"'


def describe_circumstances() -> dict[str, Any]:
    """Return the tables of a run's file that are for the record."""
    hardware = {"processor": processor.get_name(), "cores": os.cpu_count() or 0, "system": platform.platform()}
    return {"versions": list_versions(), "hardware": hardware, "git": describe_checkout()}


def list_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def describe_checkout() -> dict[str, Any]:
    """Return commit and date of the checkout, and whether files differ from the commit; empty outside a checkout."""
    checkout = {"commit": run_git("rev-parse", "--short", "HEAD"),
                "dirty": bool(run_git("status", "--porcelain", "--untracked-files=no"))} if IN_CHECKOUT else {}
    return {**checkout, "date": datetime.date.today().isoformat()}


def format_commit(checkout: Mapping[str, Any]) -> str:
    """Return the commit of a described checkout, with a mark if files differ from it; empty outside a checkout."""
    return f"{checkout.get('commit', '')}{'+changes' if checkout.get('dirty') else ''}"


def run_git(*words: str) -> str:
    try:
        return subprocess.run(["git", *words], cwd=CHECKOUT, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""


def check_same_as_trained(settings: Settings, names: set[str]) -> None:
    """Raise an error if flags of this command contradict what the run was trained with."""
    trained = read_trained(settings.trained_folder) or {}
    # Its budget and the transforms of training images have no effect after training.
    for name in sorted(names & trained.keys() & set(WEIGHT_SETTINGS) - {*BUDGET, "augment"}):
        value = getattr(settings, name)
        if format_auto(name, value) != config.AUTO and not is_same_value(name, trained[name], value):
            raise UserError(f"Run {settings.trained_folder.name!r} was trained with {flag(name)} {trained[name]}, not {value}. "
                            f"Leave the flag out, or train another run: pixmend train --run NAME "
                            f"{shlex.join(format_flag(name, value))}")
