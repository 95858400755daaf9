"""The table of all runs of a contest, leaderboard.csv: one row a run, each stage adds the columns that it knows."""

import csv
import fcntl
from pathlib import Path

from pixmend.errors import UserError
from pixmend.files import atomic_write, hash_file

DIGITS = 12   # of a file's hash, by which Kaggle's list and this table know what was sent


def read_leaderboard(path):
    """The rows as dicts of text, in the file's order; none where there is no file yet."""
    return _load(path)[1]


def make_file_tag(path):
    return hash_file(path)[:DIGITS]


def has_scores_of_another_file(path, run, file):
    """Whether Kaggle's scores in the row of a run are those of a file that was sent before this one took its place."""
    sent = next((row.get("sent", "") for row in read_leaderboard(path) if row["run"] == run), "")
    return bool(sent) and not sent.endswith(make_file_tag(file))


def update_run(path, run, **columns):
    """Add or update the row of a run; what other stages wrote into it stays."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        names, rows = _load(path)
        row = next((row for row in rows if row["run"] == run), None)
        if row is None:
            rows.append(row := {"run": run})
        row.update(columns)
        _save(path, list(dict.fromkeys([*names, *columns])), rows)


def _load(path):
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            names, rows = list(reader.fieldnames or ["run"]), list(reader)
    except FileNotFoundError:
        return ["run"], []
    except (csv.Error, UnicodeDecodeError):
        names, rows = [], []
    if "run" not in names or any(None in row for row in rows):
        raise UserError(f"{path} is not a table with a column `run`; move it away, and the next run starts a new one.")
    return names, rows


def _save(path, names, rows):
    with atomic_write(path, "w") as file:
        writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
