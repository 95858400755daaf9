"""Send a run's CSV to Kaggle, never the same file twice, and record its score in leaderboard.csv and submissions.csv.

Kaggle's list, leaderboard.csv (column `sent`) and .submit/<tag>.json know a file by its tag, the first digits of its SHA-256.
The last one is written before a file is sent, and removed once it is certain whether Kaggle has it.
"""

import hashlib
import re
import time
import zipfile
from pathlib import Path

from pixmend import competitions, files, models, run_file
from pixmend.competitions import settled
from pixmend.config import Settings, flag
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.kaggle import attempts, client, submission_client
from pixmend.kaggle.submission_client import Limits, Submission
from pixmend.kaggle.submission_record import SubmissionRecord
from pixmend.progress import ProgressBar, print_message
from pixmend.scoring.outdated import are_predictions_current
from pixmend.setting_values import format_run_command, format_stage_command
from pixmend.training import run_submissions

SCORE_DELAYS = (2, 4, 8, 15, 30)  # seconds between polls for a score, the last one repeated
TAG = rf"[0-9a-f]{{{leaderboard.DIGITS}}}( |$)"   # after the run's name, at the beginning of a message
MAX_DOWNLOADS = 3   # of earlier submissions, the newest ones, before one is sent
HEARTBEAT_SECONDS = 5  # between two updates of .submit/<tag>.json during an upload


def submit_run(settings: Settings) -> None:
    """Check the run's CSV, then send it to Kaggle, or score it here where the competition's solution is known."""
    competition = competitions.get_competition(settings.competition)
    path = competitions.get_submission_path(settings)
    if models.run_finds_masks(settings):
        raise UserError(f"Run {settings.run!r} finds masks, so there is nothing to submit. Submit a run that predicts inside "
                        f"these masks: train it with --unknown-masks --mask-run {settings.run}.")
    if not path.exists():
        raise UserError(f"Run {settings.run!r} has no submission file ({path}). Write it first: "
                        f"{format_run_command('serialize', settings.run, settings)}")
    run_submissions.check_written(settings, "test")
    competition.submission.check(path, settings.competition_folder / "files")
    check_written_form(settings, path)
    if not are_predictions_current(settings):
        print_message(f"submit: the predictions in {path.name} are of other weights than those of now. To send those of now: "
                      f"{format_run_command('predict', settings.run, settings)}, then serialize.")
    solution = competitions.get_solution_path(settings)
    if solution.exists():
        score_locally(settings, path, solution)
    elif competition.is_synthetic:
        raise UserError(f"{solution} is missing. Make the competition anew: "
                        f"{format_stage_command('download', settings)} --force")
    else:
        with files.try_lock(settings.submissions_folder / ".submit"):
            SubmissionSender(settings, competition.slug, path).run()


def check_written_form(settings: Settings, path: Path) -> None:
    """Refuse a file of another channel order or value scale than a typed flag says, or where none is typed than scores do."""
    right = settled.read_settled(settings)
    for name, written in run_file.read_written_form(settings).items():
        wanted = getattr(settings, name)
        if written == wanted or not (name in settings.typed or right.get(name) == wanted):
            continue
        reason = (f"not {wanted} as this command says" if name in settings.typed else
                  f"but scores have settled {flag(name)} {wanted} ({settled.get_path(settings)})")
        raise UserError(f"{path} was written with {flag(name)} {written}, {reason}. Nothing was sent. Write the file again: "
                        f"{format_run_command('serialize', settings.run, settings, flag(name), str(wanted))}. Or send it as it "
                        f"is, with {flag(name)} {written}.")


def score_locally(settings: Settings, path: Path, solution: Path) -> None:
    """Score a file against a solution on this machine and record both scores."""
    scores = competitions.get_competition(settings.competition).submission.score(path, solution)
    public, private = ("none" if scores[name] is None else f"{scores[name]:.5f}" for name in ("public", "private"))
    leaderboard.update_run(settings.submissions_folder / "leaderboard.csv", settings.run, public=public, private=private)
    print(f"Scored on this machine with {solution}; nothing was sent to Kaggle. Public score {public}, private score {private}.")


class SubmissionSender:
    """Sends one file, or finds it at Kaggle, and waits for its score; `command` is what continues after an interruption."""

    def __init__(self, settings: Settings, slug: str, path: Path, command: str = "") -> None:
        self.settings, self.slug, self.path = settings, slug, path
        self.command = command or format_run_command("submit", settings.run, settings)
        self.tag = leaderboard.make_file_tag(path)
        self.record = SubmissionRecord(settings.submissions_folder, settings.run, self.tag)
        self.attempt_path = settings.submissions_folder / ".submit" / f"{self.tag}.json"
        self.timeout = settings.kaggle_timeout
        self.known: list[Submission] = []   # as Kaggle listed them last

    def run(self) -> None:
        """Send the file unless it was sent before, and wait for its score."""
        self.record.check_readable()   # before anything is sent
        if (token := client.find_token()) and token.is_exposed:
            print_message(token.warning)
        earlier = self._find()
        self._record_listed()
        if earlier is None and self._find_sent_by_hand():
            earlier = self._select()
        if attempt := attempts.read_attempt(self.attempt_path):
            if self.settings.dry_run:
                raise UserError(f"It is not known yet whether Kaggle received {self.path}. {self._say_how_to_continue()}")
            if self._settle(attempt, earlier):
                return self._await_score(attempt.earlier)
        if not self.settings.resubmit and self._was_sent(earlier):
            return self._await_score(None)
        limits = submission_client.read_limits(self.slug, timeout=self.timeout)
        if limits and limits.is_used_up:
            raise UserError(f"{submission_client.describe_limits(limits)} Nothing was sent to {self.slug}.")
        print_message(submission_client.describe_limits(limits))
        zipped = self._write_zip()
        if self.settings.dry_run:
            return print(f"Dry run: {zipped} is ready and all checks passed. Nothing was sent.")
        self._send(zipped, earlier.ref if earlier else None, limits)
        return self._await_score(earlier.ref if earlier else None)

    def _record_listed(self) -> None:
        """Record what became of other files, for whose scores nobody waited."""
        self.record.add_listed_scores(self.known)
        for sent, found in self.record.list_unrecorded_failures(self.known):
            self.record.add_other_failure(sent, found, self._get_failure_reason(found))

    def _get_failure_reason(self, found: Submission) -> str:
        return submission_client.get_failure_reason(found.ref, self.slug, timeout=self.timeout) or "Kaggle gives no reason"

    def _find(self, other_than: str | None = None) -> Submission | None:
        """Return the newest submission of this file, or None where there is none or it has the ref `other_than`."""
        self.known = submission_client.list_submissions(self.slug, timeout=self.timeout)
        newest = self._select()
        return newest if newest and newest.ref != other_than else None

    def _select(self) -> Submission | None:
        """Return the newest submission of this file: one that has its tag, or whose ref the ledger has for it."""
        refs, is_this = self.record.list_refs(), re.compile(rf"\S+ {self.tag}( |$)").match   # a note may name other files' tags
        newest = next((one for one in self.known if is_this(one.description) or one.ref in refs), None)
        if newest is None and refs and len(self.known) >= client.ROWS_PER_PAGE:   # later ones have pushed it off the list
            return submission_client.read_submission(refs[-1], self.slug, timeout=self.timeout)
        return newest

    def _find_sent_by_hand(self) -> bool:
        """Add to the ledger what other programs sent under this file's name, up to this very file; tell whether it was found.

        Only the file itself says what it is, so it is downloaded, once, where this version of kaggle can.
        """
        for one in self._list_sent_by_hand()[:MAX_DOWNLOADS]:
            print_message(f"Kaggle has a {one.file_name}, sent {one.date[:16]} by another program. Comparing it with this file.")
            with ProgressBar("download", 100) as bar:
                tag = submission_client.download_tag(one.ref, self.slug, timeout=self.timeout,
                                                     on_output=client.follow_percentage(bar))
            if tag is None:
                print_message("This version of the kaggle command cannot download it, so it is not compared.")
                return False
            if not tag:
                print_message("Kaggle does not give it out, so it is not compared.")
                continue
            self.record.add_sent_by_hand(one, tag)
            if tag == self.tag:
                return True
        return False

    def _list_sent_by_hand(self) -> list[Submission]:
        """Return what was sent under this file's name without a tag, as by `kaggle competitions submit`, and not compared yet."""
        names, refs = {self.path.name, f"{self.path.name}.zip"}, {one.ref for one in self.record.list_sent()}
        others = [one for one in self.known if one.file_name in names and one.ref not in refs]
        ours = re.compile(f"{re.escape(self.settings.run)} {TAG}")
        return [one for one in others if not ours.match(one.description)]

    def _settle(self, attempt: attempts.Attempt, latest: Submission | None) -> bool:
        """Find out what became of an earlier attempt, and return whether Kaggle has its file."""
        is_new = latest is not None and latest.ref != attempt.earlier
        found = latest if is_new else attempts.poll_until_settled(lambda: self._find(attempt.earlier), attempt.settled_at,
                                                                   self.timeout)
        if found:
            print_message(f"Kaggle has received this file ({found.date[:16]}): nothing is sent, only its score is fetched.")
            self.record.add_earlier(found)
        self.attempt_path.unlink(missing_ok=True)
        return found is not None

    def _was_sent(self, earlier: Submission | None) -> bool:
        """Return False for a new file and True for one whose score is still to be fetched; refuse any other one."""
        rows = self.record.list_rows()
        row: dict[str, str] = next((row for row in rows if row["run"] == self.settings.run), {})
        if earlier is None and not rows:
            return False
        if earlier and not row and not self.settings.dry_run:
            self.record.add_earlier(earlier)
        is_pending = not row.get("public") if earlier else row.get("kaggle") == "pending"
        if is_pending and not self.settings.dry_run:
            sent = earlier.date[:16] if earlier else row["sent"]
            print_message(f"Kaggle has this file already (sent {sent}): nothing is sent, only its score is fetched.")
            return True
        sent = f"{earlier.date[:16]}, public score {earlier.public or 'none'}" if earlier else rows[0]["sent"]
        sent += f", private score {earlier.private}" if earlier and earlier.private else ""
        raise UserError(f"{self.path} was submitted before ({sent}). Another time would use up one of today's submissions; "
                        "--resubmit submits it all the same.")

    def _write_zip(self) -> Path:
        """Write the CSV alone into a zip archive, which is about 10 times smaller; the same CSV gives the same bytes."""
        zipped = self.attempt_path.with_name(f"{self.settings.run}.csv.zip")
        member = zipfile.ZipInfo(self.path.name)   # of 1980-01-01
        member.compress_type, member.external_attr, member.file_size = zipfile.ZIP_DEFLATED, 0o644 << 16, 0
        digest, megabytes = hashlib.sha256(), self.path.stat().st_size >> 20
        with (files.atomic_write(zipped) as file, zipfile.ZipFile(file, "w") as archive, open(self.path, "rb") as plain,
              archive.open(member, "w", force_zip64=True) as compressed, ProgressBar("zip", megabytes) as bar):
            while data := plain.read(files.CHUNK):
                digest.update(data)
                compressed.write(data)
                bar.advance(len(data) >> 20)
        if not digest.hexdigest().startswith(self.tag):
            raise UserError(f"{self.path} changed while it was read. Run the same command again.")
        return zipped

    def _send(self, zipped: Path, earlier: str | None, limits: Limits | None) -> None:
        """Send the file once. Where the command does not confirm it, Kaggle's list says whether it arrived."""
        message = " ".join([self.settings.run, self.tag, *self.settings.message.split()])   # one line
        attempts.write_attempt(self.attempt_path, earlier, self.timeout)
        try:
            with ProgressBar("upload", 100) as bar:
                follow = self._follow_upload(client.follow_percentage(bar), earlier)
                ref, failure = submission_client.submit_file(self.slug, zipped, message, timeout=self.timeout, on_output=follow)
        except KeyboardInterrupt as stop:
            attempts.write_attempt(self.attempt_path, earlier)
            stop.add_note(f"It is not known yet whether Kaggle received the file. {self._say_how_to_continue()}")
            raise
        found = None
        if failure:
            attempts.write_attempt(self.attempt_path, earlier)
            found = attempts.find_after_failure(lambda: self._find(earlier), failure, "the file", self._say_how_to_continue())
            if not found:
                self.attempt_path.unlink(missing_ok=True)
                raise UserError(f"{failure} No submission was used up.")
        self.record.add_sent(found.ref if found else ref, message, limits)
        self.attempt_path.unlink(missing_ok=True)
        print(f"Submitted {self.path.name} to {self.slug} as `{message}`.")

    def _follow_upload(self, on_output: client.OnOutput, earlier: str | None) -> client.OnOutput:
        """An upload may take longer than the time within which it is settled, which therefore moves on with it."""
        written = time.monotonic()

        def update(text: str) -> None:
            nonlocal written
            on_output(text)
            if time.monotonic() - written > HEARTBEAT_SECONDS:
                attempts.write_attempt(self.attempt_path, earlier, self.timeout)
                written = time.monotonic()
        return update

    def _await_score(self, earlier: str | None) -> None:
        """Wait for the score. With Ctrl-C, or after --wait-minutes, say how to fetch it later."""
        end = time.monotonic() + 60 * self.settings.wait_minutes
        advice = self._say_how_to_continue()
        if self.settings.resubmit:
            advice += " Without --resubmit, which would send it once more."
        try:
            for delay in client.iterate_delays(SCORE_DELAYS, end) if self.settings.wait_minutes else ():
                time.sleep(delay)
                try:
                    found = self._find(earlier)
                except client.KaggleError as error:   # a lost connection is no reason to stop waiting
                    if error.kind not in client.TEMPORARY:
                        raise
                    continue
                if found and found.status != "PENDING":
                    return self._record_score(found)
        except KeyboardInterrupt as stop:
            stop.add_note(advice)
            raise
        except client.KaggleError:
            print(f"\n{advice}")
            raise
        return print(f"There is no score yet. {advice}")

    def _record_score(self, found: Submission) -> None:
        """Write the score, or why there is none, into the table and onto the screen."""
        if found.status == "COMPLETE":
            rank = submission_client.find_rank(self.slug, self.known, timeout=self.timeout)
            self.record.add_score(found, rank)
            private = found.private or "not published before the competition ends"
            ranked = f" Rank {rank} on the public leaderboard." if rank else ""
            return print(f"Score of {self.settings.run}: public {found.public or 'none'}, private {private}.{ranked}")
        reason = self._get_failure_reason(found)
        self.record.add_failure(found, reason)
        raise UserError(f"Kaggle could not score {self.path.name}: {reason.rstrip('.')}. Correct the file and submit it again. "
                        f"See {client.get_competition_url(self.slug)}/submissions")

    def _say_how_to_continue(self) -> str:
        return (f"`{self.command}` looks for it before it sends anything, "
                f"and fetches its score. All submissions: {client.get_competition_url(self.slug)}/submissions")
