"""Train a run on Kaggle's GPUs: send one session after another, wait for each, and bring its files home.

A push whose answer is lost may still start a session, so kernels.json says "sending" before it is sent; then Kaggle is asked for
the kernel (which contains the push's tag) until it is certain that it did not arrive.
"""

import shutil
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from pixmend import competitions, files, models
from pixmend.competitions.base import Competition
from pixmend.config import Settings, flag
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.kaggle import attempts, client, kernel_client, kernel_output, kernel_script, kernel_sessions
from pixmend.kaggle.kernel_log import LogFollower
from pixmend.kaggle.kernel_sessions import FAILED, READY, SENDING, SENT, TAKEN, Session, SessionLog, make_ref
from pixmend.progress import ProgressBar, format_duration, print_message
from pixmend.setting_values import format_run_command
from pixmend.training import checkpoints
from pixmend.training.run import check_not_longer, list_changeable_settings

STATUS_DELAYS = (2, 5, 10, 20, 30, 60)  # seconds between polls for a session's status, the last one repeated
RUNNING = ("queued", "newscript", "running", "cancelrequested")
PLACEHOLDER_USER = "your-name"  # of a dry run without a token
FOUND = "Kaggle has this kernel already: nothing is sent."
NEW_SESSION = "The same command sends a new session, from the same checkpoint."


class KernelRunner:
    """One run that is trained at Kaggle, session after session."""

    def __init__(self, settings: Settings, competition: Competition) -> None:
        # A session does not have the weights of `photos`.
        untrained = replace(settings, init_from="", given=settings.given | {"init_from"})
        self.settings, self.slug = models.apply_model_defaults(untrained), competition.slug
        self.folder, self.timeout = settings.run_folder, settings.kaggle_timeout
        self.work = self.folder / ".kernel"
        self.log = SessionLog(self.folder)
        self.flags = kernel_sessions.select_flags(settings)

    def run(self) -> Session | None:
        """Send a session, or follow the one that was sent, and bring it home; None if it has not ended, or nothing was sent."""
        if self.settings.save_only and not self.settings.dry_run:
            self._save()
            return None
        session = None if self.settings.dry_run else self._find_active()
        if session is None:
            before = None if self.settings.force else self.log.get_newest_taken()
            changes = kernel_sessions.find_changes(self.settings, before.flags) if before else {}
            if before and before.finished and not changes:
                print_message(f"{self.folder} has all its {before.step} steps from Kaggle.")
                return before
            self._check_resumable(changes)
            session = self._build_session(before)
        elif session.flags != self.flags:
            print_message("The session that is at work was sent with other flags. It is brought home first.")
        if self.settings.dry_run:
            print(f"Dry run: {self.work / str(session.number)} contains kernel.py and kernel-metadata.json. Nothing was sent.")
            return None
        if session.state == READY:
            session = self._send(session)
            print(f"Sent to Kaggle: {session.url}")
        return self._take(session) if self._follow(session) else None

    def _find_active(self) -> Session | None:
        """Return the session that Kaggle has and whose output is not here yet; one that may still arrive is waited for.

        Where there is none, the next one is built with the flags of this command, whatever was built before.
        """
        session = self.log.get_active()
        if session is None or session.state == SENT:
            return session
        if attempts.poll_until_settled(lambda: self._has_arrived(session) or None, session.settled_at, self.timeout):
            print_message(FOUND)
            return self.log.save(session, state=SENT)
        self._check_account(session)
        self.log.save(session, state=READY, settled_at=0.0)
        return None

    def _check_account(self, session: Session) -> None:
        """Refuse to give up a session of another account: Kaggle shows a private kernel to its owner only."""
        owner, user = session.ref.split("/")[0], kernel_client.get_username(self.slug, timeout=self.timeout)
        if user != owner:
            raise UserError(f"{session.url} was sent by the account {owner}, and the token of this machine is one of {user}, to "
                            f"whom Kaggle does not show it. Use a token of {owner}, or choose another --run.")

    def _save(self) -> None:
        """Save the kernel at Kaggle under a name of its own, without running it; it is no session, so nothing follows it."""
        user = kernel_client.get_username(self.slug, timeout=self.timeout)
        ref = make_ref(user, self.settings.dataset_name, self.settings.run, 0)
        kernel_script.write_kernel(self.work / "0", ref, self.settings, self.flags, self.log.get_newest_taken())
        kernel_client.save_kernel(self.work / "0", self.slug, timeout=self.timeout)
        print(f"Saved at Kaggle without running it: https://www.kaggle.com/code/{ref}. No session was used up.")

    def _get_local_step(self) -> int:
        newest = checkpoints.list_states(self.folder)[:1]
        return int(newest[0].name.split("-")[1]) if newest else -1

    def _check_resumable(self, changes: dict[str, tuple[Any, Any]]) -> None:
        """Refuse, before a session is used up, to continue under other settings or to replace a training of this machine."""
        changeable = list_changeable_settings(self.settings)
        forbidden = [f"{flag(name)} {then} (now {now})" for name, (then, now) in sorted(changes.items())
                     if name not in changeable]
        if forbidden:
            raise UserError(f"{self.folder} was trained at Kaggle with {', '.join(forbidden)}. Choose another --run, or --force "
                            "to start anew.")
        taken, step = self.log.get_newest_taken(), self._get_local_step()
        if step > (taken.step if taken else -1) and not self.settings.force:
            raise UserError(f"{self.folder} contains step {step}, trained on this machine; a session at Kaggle cannot continue "
                            f"from it. Continue here with `{self._format_training()}`, choose another --run, or --force to start "
                            "anew at Kaggle.")
        if taken and not self.settings.force:
            check_not_longer(self.settings, [self.folder])

    def _build_session(self, before: Session | None) -> Session:
        """Write a session's kernel into a folder of its own, under a name that Kaggle has not given to another push."""
        user, dry = PLACEHOLDER_USER, self.settings.dry_run
        if not dry or client.find_token():
            user = kernel_client.get_username(self.slug, timeout=self.timeout)
        for number in count(self.log.get_next_number()):
            ref = make_ref(user, self.settings.dataset_name, self.settings.run, number)
            tag = kernel_script.write_kernel(self.work / str(number), ref, self.settings, self.flags, before)
            source = None if dry else kernel_client.read_source(ref, self.slug, timeout=self.timeout)
            if source is None or (tag in source and not self.settings.force):
                break
        if source is not None:   # its record was lost
            print_message(FOUND)
        session = Session(number, ref, tag, self.flags, self._get_local_step(), READY if source is None else SENT)
        return session if dry else self.log.save(session)

    def _send(self, session: Session) -> Session:
        """Push the kernel once. Where the answer is lost, Kaggle is asked whether it has the kernel."""
        self._check_quota()
        session = self.log.save(session, state=SENDING, settled_at=attempts.get_settling_time(self.timeout))
        try:
            failure = kernel_client.push_kernel(self.work / str(session.number), self.slug, timeout=self.timeout)
        except UserError:
            self.log.save(session, state=FAILED)
            raise
        if failure:
            session = self.log.save(session, settled_at=attempts.get_settling_time())
            advice = f"The same command looks for it before it sends anything. See also {session.url}"
            if not attempts.find_after_failure(lambda: self._has_arrived(session) or None, failure, "the kernel", advice):
                self.log.save(session, state=READY, settled_at=0.0)
                raise UserError(f"{failure} Kaggle has no such kernel, so no session was used up.")
        return self.log.save(session, state=SENT)

    def _check_quota(self) -> None:
        """Refuse to send a session that Kaggle could not run, and warn of one that would be ended before its files are kept."""
        quota = kernel_client.read_quota(self.settings.accelerator, self.slug, timeout=self.timeout)
        if quota is None:
            return
        if quota.left <= 0:
            when = f"at {quota.refilled_at} UTC" if quota.refilled_at else "within a week"
            raise UserError(f"{quota}. Nothing was sent. There are new hours {when}; meanwhile train here: "
                            f"{self._format_training()}")
        print_message(f"{quota}.")
        if quota.left < self.settings.kernel_hours:
            print_message(f"That is less than --kernel-hours {self.settings.kernel_hours:g}: Kaggle may end the session and keep "
                          f"nothing of it. A session that stops in time: --kernel-hours {max(0.01, 0.9 * quota.left):.2g}")

    def _has_arrived(self, session: Session) -> bool:
        """Return whether Kaggle's newest version of the kernel is this very push."""
        return session.tag in (kernel_client.read_source(session.ref, self.slug, timeout=self.timeout) or "")

    def _follow(self, session: Session) -> bool:
        """Wait for the end of a session. True: there is something to take; False: the waiting ended first."""
        how_to_continue = (f"The kernel continues at Kaggle, whatever happens here: {session.url}. "
                           "The same command follows it and brings its files home.")
        start, log = time.monotonic(), LogFollower(session.ref, self.slug)
        end = start + 60 * self.settings.follow_minutes
        try:
            with ProgressBar("kernel, at most", round(60 * self.settings.kernel_hours) or 1) as bar:
                for delay in client.iterate_delays(STATUS_DELAYS, end):
                    time.sleep(delay)
                    if (status := self._get_status(session)) == "complete":
                        return True
                    waited = time.monotonic() - start
                    bar.advance(min(int(waited) // 60, bar.total) - bar.done, f"{status}, waiting for {format_duration(waited)}")
                    if status == "running":
                        log.follow(end)
        except (KeyboardInterrupt, client.KaggleError):
            print(f"\n{how_to_continue}")
            raise
        print(how_to_continue)
        return False

    def _get_status(self, session: Session) -> str:
        """Return "complete" or one of RUNNING, also where no status can be had of a kernel that exists; refuse other ends."""
        try:
            status, message = kernel_client.get_status(session.ref, self.slug, timeout=self.timeout)
        except client.KaggleError as error:
            if error.kind in kernel_client.NOT_THERE and not self._has_arrived(session):
                self._check_account(session)
                self.log.save(session, state=FAILED)
                raise UserError(f"{session.url} no longer exists. {NEW_SESSION}") from None
            if error.kind not in (*client.TEMPORARY, *kernel_client.NOT_THERE):
                raise
            return "running"
        if status in (*RUNNING, "complete"):
            return status
        self.log.save(session, state=FAILED)
        if status == "cancelacknowledged":
            raise UserError(f"The kernel was cancelled at Kaggle ({session.url}), which keeps nothing of it. {NEW_SESSION}")
        raise UserError(f"The kernel ended with status {status}: {self.get_reason(session, message)}. See {session.url}. "
                        f"{NEW_SESSION}")

    def get_reason(self, session: Session, message: str = "") -> str:
        """Return Kaggle's message and the end of the log as one text."""
        texts = [message, kernel_client.read_log_end(session.ref, self.slug, timeout=self.timeout)]
        return "; ".join(text.rstrip(".") for text in texts if text) or "Kaggle gives no reason"

    def _take(self, session: Session) -> Session:
        """Bring the output home; nothing on this machine changes until all of it is verified."""
        home, arriving = Path(self.settings.home), self.work / "arriving"
        report = kernel_output.download_files(session, arriving, home, self.settings, self.slug)
        try:  # the output of a session does not change: one that is refused is not downloaded again
            stored = {"competition": self.settings.competition} | kernel_sessions.select_stored(session.flags)
            kernel_output.check_files(report, arriving, self.settings, stored)
        except UserError:
            self.log.save(session, state=FAILED)
            raise
        self._move_files(report, arriving, session.local_step)
        board, run = self.settings.submissions_folder / "leaderboard.csv", self.settings.run
        old = leaderboard.blank_old_scores(board, run, competitions.get_submission_path(self.settings))
        leaderboard.update_run(board, run, **old | report["score"])
        session = self.log.save(session, state=TAKEN, **{name: report[name] for name in ("step", "finished", "failed")})
        shutil.rmtree(arriving)
        print_message(f"{len(report['files'])} files of the kernel are here, verified: {self.folder}")
        return session

    def _format_training(self) -> str:
        return format_run_command("train", self.settings.run, self.settings)

    def _move_files(self, report: dict[str, Any], arriving: Path, sent_step: int) -> None:
        """Move verified files into the home, and delete older states; refuse where training went further here meanwhile."""
        with files.try_lock(self.folder):
            local_step = self._get_local_step()
            if local_step > max(report["step"], sent_step) and not self.settings.force:
                raise UserError(f"{self.folder} is at step {local_step} on this machine, and the kernel at {report['step']}. To "
                                f"continue here: {self._format_training()}; --force takes the kernel's files.")
            kernel_output.move_files(report, arriving, Path(self.settings.home))
            for state in checkpoints.list_states(self.folder):
                if state.name not in {Path(name).name for name in report["files"]}:
                    state.unlink()
