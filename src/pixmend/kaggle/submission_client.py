"""What the `kaggle` command does with submissions: send one, list them, read limits, scores and ranks, download a sent file.

Lists are read as JSON, which kaggle 2.2.4 prints; from 2.2.5 on it also shows and downloads a single submission. Where a command
does not exist in the installed version, the answer is None, and the caller does without it.
"""

import csv
import json
import math
import re
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from pixmend import files
from pixmend.evaluation import leaderboard
from pixmend.kaggle import client
from pixmend.kaggle.client import KaggleError, OnOutput, clean_text

COLUMNS = {"description", "status", "publicScore"}
MAX_TEAMS_ASKED = 5   # teams with our score whose submissions are compared with ours
NOT_POSSIBLE = ("usage", "missing", "forbidden", "rules")   # the version has no such command, or Kaggle has no such submission


@dataclass(frozen=True)
class Submission:
    """A submission as Kaggle shows it; scores are text, empty where there is none."""

    ref: str
    date: str
    description: str
    status: str
    public: str
    private: str
    file_name: str = ""
    error: str = ""


@dataclass(frozen=True)
class Limits:
    """The submissions of the user's team, as Kaggle counts them: made today, made ever, left today.

    `is_final` says that those left are the last ones, because the competition limits how many a team may send in all.
    """

    today: int
    ever: int
    left: int
    is_final: bool = False

    @property
    def per_day(self) -> int:
        return self.today + self.left

    @property
    def is_used_up(self) -> bool:
        """Whether none is left; before a team's first submission Kaggle answers 0 three times, which forbids nothing."""
        return self.left == 0 and self.today + self.ever > 0


def list_submissions(slug: str, *, timeout: float) -> list[Submission]:
    """Return the latest submissions, newest first."""
    arguments = ["competitions", "submissions", "-c", slug]
    try:
        rows = client.read_pages(arguments, slug, timeout=timeout)
    except KaggleError as error:
        if error.kind != "usage":
            raise
        rows = _read_table(arguments, slug, timeout)
    return [Submission(row.get("ref", ""), row.get("date", ""), row.get("description", ""), _read_status(row.get("status", "")),
                       row.get("publicScore", ""), row.get("privateScore", ""), row.get("fileName", "")) for row in rows]


def _read_table(arguments: list[str], slug: str, timeout: float) -> list[dict[str, str]]:
    """Return the rows of a list as CSV, which commands print that are older than JSON; warnings may stand before its header."""
    text = client.run_query([*arguments, "-v", "--page-size", str(client.ROWS_PER_PAGE)], slug, timeout=timeout).out
    lines = list(dropwhile(lambda line: not set(line.split(",")) >= COLUMNS, text.splitlines()))
    if not lines and "No submissions found" not in text:
        raise KaggleError("usage", f"This kaggle command lists submissions in another format. To replace it, {client.INSTALL}.")
    return [{name: clean_text(value or "") for name, value in row.items() if name} for row in csv.DictReader(lines)]


def _read_status(text: str) -> str:
    """Return PENDING, COMPLETE or ERROR, without the name of the type before it."""
    return text.rsplit(".", 1)[-1].upper()


def read_submission(ref: str, slug: str, *, timeout: float) -> Submission | None:
    """Return one submission, however old; None where this version cannot show it, or Kaggle has none with this ref."""
    try:
        text = client.run_query(["competitions", "submission", ref], slug, timeout=timeout).out
    except KaggleError as error:
        if error.kind in NOT_POSSIBLE:
            return None
        raise
    # A line each; a long reason goes on in lines that begin with spaces.
    found = {label: clean_text(value) for label, value in re.findall(r"^([A-Z][A-Za-z ]+): *(.*(?:\n {4,}.*)*)", text, re.M)}
    if found.get("Submission Ref") != ref:
        return None
    return Submission(ref, found.get("Submission Date", ""), found.get("Description", ""), _read_status(found.get("Status", "")),
                      found.get("Public Score", ""), found.get("Private Score", ""), error=found.get("Error", ""))


def get_failure_reason(ref: str, slug: str, *, timeout: float) -> str:
    """Return why Kaggle could not score a submission, or an empty text where it does not say."""
    try:
        if found := read_submission(ref, slug, timeout=timeout):
            return found.error
        program = [sys.executable, "-c", client.API_PROGRAM]   # before 2.2.5 only the Python API knows the reason
        text = client.run_query(["reason", ref], slug, timeout=timeout, program=program).out
    except KaggleError:
        return ""
    return clean_text(text.rpartition("reason:")[2])


def read_limits(slug: str, *, timeout: float) -> Limits | None:
    """Return how many submissions were made and are left, or None if this version of the command cannot say."""
    try:
        text = client.run_query(["competitions", "submission-limits", slug, "--json"], slug, timeout=timeout).out
        found = json.JSONDecoder().raw_decode(text[text.index("{"):])[0]   # warnings may stand before it, and zeros are left out
        today, ever, left = (int(found.get(name, 0)) for name in ("numToday", "numTotal", "numAllowedNow"))
        return Limits(today, ever, left, is_final=bool(found.get("limitedByTotal")))
    except KaggleError as error:
        if error.kind != "usage":
            raise
    except ValueError:
        pass
    return None


def describe_limits(limits: Limits | None) -> str:
    if limits is None:
        return "Submissions left today: this version of the kaggle command does not say."
    if limits.is_final:
        return (f"Submissions left: {limits.left or 'none'}. The competition limits how many a team may send in all, and "
                f"{limits.ever} are sent: there are no new ones tomorrow.")
    if limits.is_used_up:
        return f"Submissions left today: none ({limits.today} used). There are new ones after midnight UTC."
    left = f"{limits.left} of {limits.per_day}" if limits.left else "not known before the first one"
    return f"Submissions left today: {left}."


def submit_file(slug: str, file: Path, message: str, *, timeout: float,
                on_output: OnOutput | None = None) -> tuple[str, KaggleError | None]:
    """Send a file once. Return its ref, where kaggle prints it, and a failure, after which Kaggle may have it all the same."""
    arguments = ["competitions", "submit", "-c", slug, "-f", str(file), f"--message={message}"]
    output, failure = client.run_once(arguments, slug, "Successfully submitted", timeout=timeout, on_output=on_output)
    ref = re.search(r"^Submission ref: (\d+)", output, re.M)
    return ref[1] if ref else "", failure


def download_tag(ref: str, slug: str, *, timeout: float, on_output: OnOutput | None = None) -> str | None:
    """Return the tag of the CSV that was sent as a submission, packed or not.

    None where this version cannot download one, and an empty text where Kaggle does not give out this one.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["competitions", "submission-download", ref, "-p", folder, "--force"]
        try:
            client.run_query(arguments, slug, timeout=timeout, on_output=on_output)
        except KaggleError as error:
            if error.kind in NOT_POSSIBLE:
                return None if error.kind == "usage" else ""
            raise
        path = next((path for path in Path(folder).iterdir() if path.is_file()), None)
        return _make_content_tag(path) if path else ""


def _make_content_tag(path: Path) -> str:
    """Return the tag of a file, or of the only file in an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            if len(members := archive.infolist()) == 1:
                with archive.open(members[0]) as file:
                    return files.hash_stream(file)[:leaderboard.DIGITS]
    except zipfile.BadZipFile:
        pass
    return leaderboard.make_file_tag(path)


def find_rank(slug: str, submissions: Sequence[Submission], *, timeout: float) -> int | None:
    """Return the team's place on the public leaderboard, or None where it cannot be told for certain.

    kaggle does not say which team is the user's: it is the one with the lowest of the user's scores that has a submission of
    the user. The score alone is not enough, because another team may have the same one.
    """
    scores = {one.ref: score for one in submissions if math.isfinite(score := _read_score(one.public))}
    if not scores:
        return None
    arguments = ["competitions", "leaderboard", "-c", slug, "--show"]
    try:
        teams = enumerate(client.read_pages(arguments, slug, timeout=timeout), 1)
        same = [(place, row["teamId"]) for place, row in teams if _read_score(row.get("score", "")) == min(scores.values())]
        return next((place for place, team in same[:MAX_TEAMS_ASKED] if scores.keys() & _list_refs(team, slug, timeout)), None)
    except KaggleError:
        return None


def _list_refs(team: str, slug: str, timeout: float) -> set[str]:
    """Return the refs of a team's submissions that are public: in most competitions that on the leaderboard."""
    return {row.get("id", "") for row in client.read_rows(["competitions", "team-submissions", team], slug, timeout=timeout)}


def _read_score(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
