"""Send the run's CSV to Kaggle, never the same file twice, and bring its score into leaderboard.csv."""

import hashlib
import time
import zipfile
from datetime import UTC, datetime

from pixmend import competitions, files, models
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.kaggle import client
from pixmend.progress import Bar, say

PAUSES = (2, 4, 8, 15, 30)  # seconds between looks for a score; the last for ever
A_ZIPS_FIRST_DAY = (1980, 1, 1, 0, 0, 0)


def main(settings):
    contest = competitions.get_competition(settings.competition)
    path = competitions.submission_path(settings)
    if models.run_finds_masks(settings):
        raise UserError(f"{settings.run} finds masks and paints nothing, so there is nothing to submit; name a run that paints "
                        f"in them, made with --unknown-masks --mask-run {settings.run}.")
    if not path.exists():
        raise UserError(f"{path} is missing; run `python -m pixmend serialize` with the same flags first.")
    contest.submission.check(path, settings.competition_folder / "files")
    solution = competitions.solution_path(settings)
    if solution.exists():
        return score_here(settings, contest, path, solution)
    if contest.is_synthetic:
        raise UserError(f"{solution} is missing; run `python -m pixmend download --force` with the same flags.")
    with files.only_one(settings.submissions_folder / ".submit"):
        Sending(settings, contest.slug, path).go()


def score_here(settings, contest, path, solution):
    """A contest whose solution lies here has its leaderboard here."""
    scores = contest.submission.score(path, solution)
    public, private = ("none" if scores[name] is None else f"{scores[name]:.5f}" for name in ("public", "private"))
    leaderboard.put(settings.submissions_folder / "leaderboard.csv", settings.run, public=public, private=private)
    print(f"Scored here, nothing was sent to Kaggle ({solution} is the local leaderboard): "
          f"public {public}, private {private}.")


class Sending:
    """One file on its way to Kaggle, known there by the first digits of its hash."""

    def __init__(self, settings, slug, path):
        self.settings, self.slug, self.path = settings, slug, path
        self.digits = leaderboard.digits(path)
        self.board = settings.submissions_folder / "leaderboard.csv"
        self.patience = settings.kaggle_timeout

    def go(self):
        earlier = self.look()
        if not self.settings.resubmit:
            self.refuse_twice(earlier)
        if earlier is None or self.settings.resubmit:
            self.have_some_left()
            zipped = self.zip()
            if self.settings.dry_run:
                print(f"Dry run: {zipped} is ready, all checks passed, nothing was sent.")
                return
            self.send(zipped, earlier)
        self.await_score(earlier if self.settings.resubmit else None)

    def look(self):
        return client.find(self.slug, self.digits, patience=self.patience)

    def refuse_twice(self, earlier):
        """Refuse what Kaggle or our own table knows; a submission whose score isn't here yet is waited for instead."""
        rows = [row for row in leaderboard.read(self.board) if row.get("sent", "").endswith(self.digits)]
        if earlier is None and not rows:
            return
        row = next((row for row in rows if row["run"] == self.settings.run), {})
        if earlier and not row.get("public") and not self.settings.dry_run:
            say(f"Kaggle has this very file since {earlier.date[:16]}: nothing is sent, only its score is fetched.")
            return
        since = f"on {earlier.date[:16]}, public score {earlier.public or 'none'}" if earlier else rows[0]["sent"]
        raise UserError(f"{self.path} was submitted before ({since}) and a second time would cost one of the day's "
                        "submissions; --resubmit does it all the same.")

    def have_some_left(self):
        left = client.limits(self.slug, patience=self.patience)
        if left is None:
            say("This version of kaggle does not tell how many submissions are left today.")
        elif left.used_up:
            raise UserError(f"No submissions are left today for {self.slug} ({left.today} used); "
                            "nothing was sent: run the same command again after midnight UTC.")
        else:
            say(f"Submissions left today: {left.remaining or 'not known before the first one'}.")

    def zip(self):
        """The CSV alone in a zip archive, the same bytes each time: some 10 times less to send."""
        zipped = self.settings.submissions_folder / ".submit" / f"{self.settings.run}.csv.zip"
        member = zipfile.ZipInfo(self.path.name, A_ZIPS_FIRST_DAY)
        member.compress_type, member.external_attr, member.file_size = zipfile.ZIP_DEFLATED, 0o644 << 16, 0
        digest = hashlib.sha256()
        with (files.whole_file(zipped) as file, zipfile.ZipFile(file, "w") as packed, open(self.path, "rb") as plain,
              packed.open(member, "w", force_zip64=True) as inside, Bar("zip", self.path.stat().st_size >> 20) as bar):
            while data := plain.read(files.CHUNK):
                digest.update(data)
                inside.write(data)
                bar.advance(len(data) >> 20)
        if not digest.hexdigest().startswith(self.digits):
            raise UserError(f"{self.path} changed while it was read; run the same command again.")
        return zipped

    def send(self, zipped, earlier):
        """Send once; whatever the command says, it is Kaggle's list that tells whether it arrived."""
        message = f"{self.settings.run} {self.digits} {self.settings.message}".strip()
        try:
            with Bar("upload", 100) as bar:
                trouble = client.submit(self.slug, zipped, message, patience=self.patience,
                                            heard=client.percent(bar))
        except KeyboardInterrupt:
            print("\nIt is not known whether Kaggle got the file; the same command looks for it before it sends.")
            raise
        if trouble and not self.arrived(trouble, earlier):
            raise UserError(f"{trouble} Kaggle lists no new submission of this file: none was used up.")
        self.note(sent=f"{datetime.now(UTC):%Y-%m-%d %H:%M} {self.digits}", public="", private="", kaggle="pending")
        print(f"Submitted {self.path.name} to {self.slug} as `{message}`.")

    def arrived(self, trouble, earlier):
        """Look for a submission whose answer was lost."""
        say("Kaggle did not confirm it; looking for the submission on its list.")
        try:
            found = self.newer(earlier)
            late = trouble.kind in client.MAY_ARRIVE_LATE
            return found or (late and self.newer(earlier, after=client.SECOND_LOOK))
        except client.KaggleError:
            raise UserError(f"{trouble} Whether Kaggle got the file is not known: the same command looks for it before "
                            f"it sends, or see {client.page(self.slug)}/submissions.") from None

    def newer(self, earlier, after=0):
        """The submission of this file that is not the earlier one, or None."""
        time.sleep(after)
        found = self.look()
        return found if found and (earlier is None or found.ref != earlier.ref) else None

    def if_reachable(self, earlier):
        """The same while waiting, when a broken connection is no reason to give up."""
        try:
            return self.newer(earlier)
        except client.KaggleError as error:
            if error.kind not in client.PASSING:
                raise
            return None

    def await_score(self, earlier):
        """Wait for the score; with Ctrl-C or at the deadline say how to look again."""
        ends = time.monotonic() + 60 * self.settings.wait_minutes
        try:
            for pause in client.pauses(PAUSES, ends) if self.settings.wait_minutes else ():
                time.sleep(pause)
                found = self.if_reachable(earlier)
                if found and found.status != "PENDING":
                    return self.take(found)
        except (KeyboardInterrupt, client.KaggleError):
            print(f"\n{self.how_to_look()}")
            raise
        print(f"There is no score yet. {self.how_to_look()}")

    def take(self, found):
        """A score, or why there is none, into the table and onto the screen."""
        if found.status == "COMPLETE":
            self.note(public=found.public, private=found.private, kaggle="complete")
            public, private = found.public or "none", found.private or "not shown before the contest ends"
            print(f"Score of {self.settings.run}: public {public}, private {private}.")
            return
        reason = client.reason(found.ref, self.slug, patience=self.patience) or "no reason given"
        self.note(kaggle=f"{found.status.lower()}: {reason}")
        raise UserError(f"Kaggle could not score {self.path.name}: {reason.rstrip('.')}; see "
                        f"{client.page(self.slug)}/submissions, mend the file and submit it anew.")

    def note(self, **columns):
        leaderboard.put(self.board, self.settings.run, **columns)

    def how_to_look(self):
        chosen = self.settings
        elsewhere = "".join(f" --{name} {getattr(chosen, name)}" for name in ("damage", "home") if name in chosen.given)
        return (f"Look again with `python -m pixmend submit --competition {chosen.competition} --run {chosen.run}{elsewhere}` "
                f"(it sends nothing twice), or at {client.page(self.slug)}/submissions.")
