"""The table of all runs of a competition, leaderboard.csv: one row for each run; each stage adds its own columns."""

import csv
import fcntl
from pathlib import Path
from typing import Any

from pixmend.errors import UserError
from pixmend.files import PathLike, atomic_write, hash_file, lock_file

KAGGLE_SCORES = ("public", "private", "kaggle")
DIGITS = 12   # of a file's hash, which identify a sent file in Kaggle's list and in this table


def read_leaderboard(path: PathLike) -> list[dict[str, Any]]:
    """Return the rows as dicts of texts, in the order of the file; an empty list if there is no file."""
    return _load(path)[1]


def make_file_tag(path: PathLike) -> str:
    return hash_file(path)[:DIGITS]


def blank_old_scores(path: PathLike, run: str, file: PathLike) -> dict[str, str]:
    """Return the columns of Kaggle's scores, empty, if those in the row of a run belong to an earlier file than this one."""
    sent = next((row.get("sent", "") for row in read_leaderboard(path) if row["run"] == run), "")
    is_another = bool(sent) and Path(file).exists() and not sent.endswith(make_file_tag(file))
    return dict.fromkeys(KAGGLE_SCORES, "") if is_another else {}


def update_run(path: PathLike, run: str, **columns: Any) -> None:
    """Add or update the row of a run; columns of other stages do not change."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "a+b") as lock:
        lock_file(lock, fcntl.LOCK_EX)
        names, rows = _load(path)
        row = next((row for row in rows if row["run"] == run), None)
        if row is None:
            rows.append(row := {"run": run})
        row.update(columns)
        with atomic_write(path, "w") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys([*names, *columns])), restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _load(path: PathLike) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            names, rows = list(reader.fieldnames or ["run"]), list(reader)
    except FileNotFoundError:
        return ["run"], []
    except (csv.Error, UnicodeDecodeError):
        names, rows = [], []
    if "run" not in names or any(None in row for row in rows):
        raise UserError(f"{path} is not a table with a column `run`. Move it to another folder; the next run writes a new one.")
    return names, rows
