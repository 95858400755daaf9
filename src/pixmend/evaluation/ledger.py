"""The ledger of a competition, submissions.csv: what was sent to Kaggle and what became of it, a row for each event.

sent     a file was sent: when, of which run, its tag, its message, and how many submissions the day had left afterwards
scored   Kaggle's scores, the rank, and the seconds from sending to score where this machine waited for it
failed   Kaggle could not score the file; the message says why

Rows are only added, and a row is on the disk completely or not at all. Times are UTC.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pixmend import files
from pixmend.errors import UserError
from pixmend.files import PathLike

SENT, SCORED, FAILED = "sent", "scored", "failed"
EVENTS = (SENT, SCORED, FAILED)
COLUMNS = ("time", "event", "ref", "run", "file", "message", "public", "private", "rank", "seconds", "left_today", "per_day")
TIME = "%Y-%m-%d %H:%M:%S"

Event = dict[str, str]


@dataclass(frozen=True)
class SentFile:
    """A submission with all that is known of it; texts, empty where nothing is known."""

    time: str
    run: str
    file: str
    ref: str = ""
    message: str = ""
    public: str = ""
    private: str = ""
    rank: str = ""
    seconds: str = ""
    failure: str = ""
    is_scored: bool = False

    @property
    def note(self) -> str:
        """Why there is no score, or what the user added to the message."""
        if self.failure:
            return f"failed: {self.failure}"
        own = f"{self.run} {self.file}"   # which a message begins with
        return self.message.removeprefix(own).strip() if self.is_scored else "no score yet"


@dataclass(frozen=True)
class Allowance:
    """How many submissions a day had left after one was sent, and when that was."""

    time: str
    left: int
    per_day: int


def get_path(submissions_folder: Path) -> Path:
    return submissions_folder / "submissions.csv"


def add_event(path: PathLike, event: str, time: str = "", **columns: Any) -> None:
    """Add a row at the end; the rows before it stay as they are, byte for byte."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.wait_for_lock(path.with_name(f".{path.name}.lock")):
        read_events(path)   # nothing is added to a damaged ledger
        before = path.read_bytes() if path.exists() else b""
        row = {"time": time or f"{datetime.now(UTC):{TIME}}", "event": event, **columns}
        names = _read_names(path) if before else list(COLUMNS)
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        if not before:
            writer.writeheader()
        elif not before.endswith(b"\n"):   # as some editors leave it
            text.write("\n")
        writer.writerow(row)
        with files.atomic_write(path) as file:
            file.write(before + text.getvalue().encode())


def format_time(text: str) -> str:
    """Return the time of an answer of Kaggle as the ledger writes it; empty where it has another form."""
    text = text[:19].replace("T", " ")
    try:
        return f"{datetime.strptime(text, TIME):{TIME}}"
    except ValueError:
        return ""


def read_events(path: PathLike) -> list[Event]:
    """Return the rows, oldest first; none where there is no file. A damaged file is a UserError."""
    line = 1
    try:
        names = _read_names(path)
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            events = []
            for row in reader:
                line = reader.line_num
                _check_row(row)
                events.append(row)
        if names and not set(COLUMNS) <= set(names):
            raise ValueError(f"there is no column {next(name for name in COLUMNS if name not in names)}")
        return events
    except FileNotFoundError:
        return []
    except (csv.Error, ValueError) as error:
        raise UserError(f"{path} is damaged, near line {line}: {error}. Move it to another folder: the next submission begins a "
                        "new one, and Kaggle's page has the earlier submissions.") from None


def _read_names(path: PathLike) -> list[str]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file, strict=True), [])


def _check_row(row: dict[Any, Any]) -> None:
    """Raise a ValueError for a row that no event looks like."""
    if None in row or None in row.values():
        raise ValueError("a row has more or fewer cells than the first line")
    if row.get("event") not in EVENTS:
        raise ValueError(f"{row.get('event')!r} is none of {', '.join(EVENTS)}")
    datetime.strptime(row.get("time", ""), TIME)
    if wrong := [name for name in ("left_today", "per_day", "rank", "seconds") if row.get(name) and not row[name].isdigit()]:
        raise ValueError(f"{wrong[0]} is no whole number")


def list_sent_files(events: Sequence[Event]) -> list[SentFile]:
    """Return each submission with its newest score, in the order of their sending; first those whose time is not known."""
    sent: list[SentFile] = []
    for event in events:
        known: dict[str, Any] = {name: event[name] for name in ("run", "file", "ref", "message")}
        if event["event"] == SENT:
            sent.append(SentFile(event["time"], **known))
            continue
        place = find_sent_file(sent, event["file"], event["ref"])
        if place is None:   # it was sent from another machine
            sent.append(SentFile("", **known | {"message": ""}))
            place = len(sent) - 1
        ref = event["ref"] or sent[place].ref
        if event["event"] == FAILED:
            sent[place] = replace(sent[place], ref=ref, failure=event["message"] or "Kaggle gives no reason")
        else:
            score = {name: event[name] for name in ("public", "private")}
            newest = {name: event[name] or getattr(sent[place], name) for name in ("rank", "seconds")}
            sent[place] = replace(sent[place], ref=ref, is_scored=True, failure="", **score, **newest)
    return sorted(sent, key=lambda one: one.time)   # some are recorded only when they are found at Kaggle


def find_sent_file(sent: Sequence[SentFile], tag: str, ref: str) -> int | None:
    """Return the place of a submission by its ref, else of the newest one of this file whose ref is not known yet."""
    places = range(len(sent) - 1, -1, -1)
    same = next((place for place in places if ref and sent[place].ref == ref), None)
    return next((place for place in places if sent[place].file == tag and not sent[place].ref), None) if same is None else same


def find_allowance(events: Sequence[Event]) -> Allowance | None:
    """Return what the newest sending left of its day; None where Kaggle did not say."""
    event = next((event for event in reversed(events) if event["event"] == SENT), None)
    if not event or not event["left_today"] or not event["per_day"]:
        return None
    return Allowance(event["time"], int(event["left_today"]), int(event["per_day"]))


def describe_allowance(allowance: Allowance | None, now: datetime) -> str:
    """Return in words how many submissions are left today, as far as the ledger knows; empty where it does not."""
    if allowance is None:
        return ""
    if allowance.time[:10] != f"{now:%Y-%m-%d}":
        return f"Nothing was sent from here today (UTC). Kaggle allowed {allowance.per_day} submissions on {allowance.time[:10]}."
    return f"Submissions left today: {allowance.left} of {allowance.per_day}, as of {allowance.time[11:16]} UTC."


def format_history(sent: Sequence[SentFile]) -> list[str]:
    """Return the lines of a table with a row for each submission, oldest first."""
    rows = [("sent (UTC)", "run", "file", "public", "private", "rank", "seconds", "note"), *map(_format_row, sent)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _format_row(one: SentFile) -> tuple[str, ...]:
    return tuple(cell or "–" for cell in (one.time[:16], one.run, one.file, one.public, one.private, one.rank,
                                          one.seconds)) + (one.note,)
