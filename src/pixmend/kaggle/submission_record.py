"""What this machine keeps of a file's submissions: its run's row in leaderboard.csv, and rows of the ledger, submissions.csv."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pixmend.evaluation import leaderboard, ledger
from pixmend.kaggle.submission_client import Limits, Submission


class SubmissionRecord:
    """Both tables, for one run and the file with one tag."""

    def __init__(self, folder: Path, run: str, tag: str) -> None:
        self.run, self.tag = run, tag
        self.table, self.ledger = folder / "leaderboard.csv", ledger.get_path(folder)
        self.sent_at: float | None = None   # of time.monotonic(); None where another process sent the file

    def check_readable(self) -> None:
        """Raise an error if one of the tables is damaged."""
        self.list_sent()
        self.list_rows()

    def list_sent(self) -> list[ledger.SentFile]:
        return ledger.list_sent_files(ledger.read_events(self.ledger))

    def list_refs(self) -> list[str]:
        """Return Kaggle's numbers of the submissions of this file, as far as the ledger has them, oldest first."""
        return [one.ref for one in self.list_sent() if one.file == self.tag and one.ref]

    def list_rows(self) -> list[dict[str, Any]]:
        """Return the rows of the leaderboard whose runs have sent this file."""
        return [row for row in leaderboard.read_leaderboard(self.table) if row.get("sent", "").endswith(self.tag)]

    def add_sent(self, ref: str, message: str, limits: Limits | None) -> None:
        """Record that this process has sent the file just now."""
        self.sent_at = time.monotonic()
        self._start_row(f"{datetime.now(UTC):%Y-%m-%d %H:%M}")
        left: dict[str, Any] = {"left_today": limits.left - 1, "per_day": limits.per_day} if limits and limits.left else {}
        self._add_event(ledger.SENT, ref, message=message, **left)

    def add_earlier(self, found: Submission) -> None:
        """Record a submission that Kaggle lists and no process has recorded: it ended too early, or ran on another machine."""
        self._start_row(found.date[:16].replace("T", " "))
        if ledger.find_sent_file(self.list_sent(), self.tag, found.ref) is None:
            self._add_event(ledger.SENT, found.ref, ledger.format_time(found.date), message=found.description)

    def add_sent_by_hand(self, found: Submission, tag: str) -> None:
        """Add a submission to the ledger that another program sent, of the file with this tag."""
        self._add_event(ledger.SENT, found.ref, ledger.format_time(found.date), file=tag, message=found.description)
        if found.status == "COMPLETE":
            self._add_event(ledger.SCORED, found.ref, file=tag, public=found.public, private=found.private)

    def add_listed_scores(self, known: Sequence[Submission]) -> None:
        """Record scores that Kaggle lists and this machine lacks: those of other files, and private ones that came later."""
        listed = {one.ref: one for one in known if one.status == "COMPLETE"}
        for sent in self.list_sent():
            found = listed.get(sent.ref)
            if not found or (sent.file == self.tag and not sent.is_scored):   # the user waits for the first score of this file
                continue
            scores = {"public": found.public or sent.public, "private": found.private or sent.private}
            if scores != {"public": sent.public, "private": sent.private}:
                ledger.add_event(self.ledger, ledger.SCORED, ref=sent.ref, run=sent.run, file=sent.file, **scores)
                for row in leaderboard.read_leaderboard(self.table):
                    if row.get("sent", "").endswith(sent.file):
                        leaderboard.update_run(self.table, row["run"], **scores, kaggle="complete")

    def list_unrecorded_failures(self, known: Sequence[Submission]) -> list[tuple[ledger.SentFile, Submission]]:
        """Return the submissions of other files that Kaggle could not score while nobody waited, each as it is listed."""
        failed = {one.ref: one for one in known if one.status == "ERROR"}
        return [(sent, failed[sent.ref]) for sent in self.list_sent()
                if sent.ref in failed and sent.file != self.tag and not (sent.failure or sent.is_scored)]

    def add_other_failure(self, sent: ledger.SentFile, found: Submission, reason: str) -> None:
        """Record why another file has no score; a row of the leaderboard that waits for this score says so, too."""
        self._add_event(ledger.FAILED, found.ref, run=sent.run, file=sent.file, message=reason)
        for row in leaderboard.read_leaderboard(self.table):
            if row.get("kaggle") == "pending" and row.get("sent", "").endswith(sent.file):
                leaderboard.update_run(self.table, row["run"], kaggle=_describe_failure(found, reason))

    def add_score(self, found: Submission, rank: int | None) -> None:
        seconds = "" if self.sent_at is None else round(time.monotonic() - self.sent_at)
        self._add_event(ledger.SCORED, found.ref, public=found.public, private=found.private, rank=rank or "", seconds=seconds)
        leaderboard.update_run(self.table, self.run, public=found.public, private=found.private, kaggle="complete")

    def add_failure(self, found: Submission, reason: str) -> None:
        self._add_event(ledger.FAILED, found.ref, message=reason)
        leaderboard.update_run(self.table, self.run, kaggle=_describe_failure(found, reason))

    def _start_row(self, date: str) -> None:
        """Write when this file was sent; a score of another file leaves the row."""
        leaderboard.update_run(self.table, self.run, sent=f"{date} {self.tag}", public="", private="", kaggle="pending")

    def _add_event(self, event: str, ref: str, time: str = "", **columns: Any) -> None:
        ledger.add_event(self.ledger, event, time, **{"ref": ref, "run": self.run, "file": self.tag} | columns)


def _describe_failure(found: Submission, reason: str) -> str:
    return f"{found.status.lower()}: {reason}"
