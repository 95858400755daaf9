"""Train on Kaggle's own GPU: send this checkout as a kernel, follow it, bring checkpoint and CSV home, score and submit them."""

import os
import re
import shutil
import time
from pathlib import Path

from pixmend import competitions, files, models
from pixmend.config import AUTO, SETTINGS, WEIGHT_SETTINGS, WITHOUT_EFFECT_ON_WEIGHTS, flag, usual_learning_rate
from pixmend.data import archive_manifest, dataset
from pixmend.errors import FlagError, UserError
from pixmend.evaluation import leaderboard
from pixmend.kaggle import client, kernel_client, kernel_output, kernel_script, kernel_sessions
from pixmend.progress import Bar, clock, say
from pixmend.stages import score, submit
from pixmend.training import checkpoints
from pixmend.training.run import BUDGET

TAKES_FLAGS = ("common", "download", "augment", "network", "training", "diffusion", "prediction", "submission")
OF_THIS_MACHINE = {"competition", "run", "home", "force", "quiet"}
PAUSES = (2, 5, 10, 20, 30, 60)  # seconds between looks at a session; the last for ever
WAITING = ("queued", "newscript", "running", "cancelrequested")
NOBODY = "your-name"


def main(settings):
    contest = competitions.get_competition(settings.competition)
    if not models.is_trainable(settings.model):
        kind = "a fill, which" if models.is_fill(settings.model) else "pretrained and"
        raise FlagError(f"--model {settings.model} is {kind} learns nothing; `./run_pipeline.sh --model {settings.model}` "
                        "needs no kernel.")
    for name in ("init_from", "unknown_masks"):
        if getattr(settings, name):
            raise FlagError(f"{flag(name)} is for this machine: a session at Kaggle has no other run to go on from, and "
                            f"--model locate, whose masks are always hidden, brings no file to submit.")
    if settings.folds > 1:
        raise FlagError("--folds is for this machine: a session at Kaggle hands on the state of one run, and each fold has its "
                        "own; leave it out, or train the folds here.")
    if settings.photos:
        raise FlagError("--photos is for this machine: a session at Kaggle has no such folder.")
    if settings.wheels and not re.fullmatch(r"[\w-]+/[\w-]+", settings.wheels):
        raise FlagError(f"--wheels {settings.wheels} names no dataset of Kaggle: owner/name is wanted.")
    with files.only_one(settings.run_folder / ".kernel"):
        Kernel(settings, contest).go()


def given_flags(settings):
    """The settings that a session must be told: its own code fills up the rest as this machine would."""
    names = [name for name in settings.given - OF_THIS_MACHINE if SETTINGS[name].group in TAKES_FLAGS]
    return {name: getattr(settings, name) for name in sorted(names)}


def of_training(flags):
    return {name: value for name, value in flags.items() if name in WEIGHT_SETTINGS and name not in WITHOUT_EFFECT_ON_WEIGHTS}


def kept_as_given(flags):
    """Those that a training writes down as they were typed, and not as the number or the arithmetic that it found out."""
    found_out = {name for name, value in flags.items() if value == AUTO or (SETTINGS[name].auto and value == 0)}
    return {name: value for name, value in of_training(flags).items() if name not in found_out}


def spelled(name, value):
    if isinstance(value, bool):
        return [flag(name) if value else flag(name).replace("--", "--no-", 1)]
    return [flag(name), str(value)]


class Kernel:
    """One run on its way over Kaggle's machines, session after session."""

    def __init__(self, settings, contest):
        self.settings, self.competition, self.slug = settings, contest, contest.slug
        self.folder, self.patience = settings.run_folder, settings.kaggle_timeout
        self.work = self.folder / ".kernel"
        self.sessions = kernel_sessions.Sessions(self.folder)
        self.flags = given_flags(settings)
        self.absent = False  # whether Kaggle was just asked, and has no such kernel

    def go(self):
        if self.settings.submit and not archive_manifest.complete(self.competition, self.settings):
            raise UserError(f"--submit checks the file against the sample, and {self.settings.competition_folder} is not "
                            "complete; run `python -m pixmend download` with the same flags first. Nothing was sent.")
        session = self.sessions.under_way()
        if session is None or self.settings.dry_run:
            before = None if self.settings.force else self.sessions.newest_taken()
            changed = self.changed(before) if before else {}
            if before and before["finished"] and not changed:
                say(f"{self.folder} has all its {before['step']} steps from Kaggle.")
                return self.after(before)
            self.refuse_other_flags(changed)
            self.refuse_to_lose()
            session = self.build(before)
        elif session["flags"] != self.flags:
            say("The session that is under way was sent with other flags; it is brought home first.")
        if self.settings.dry_run:
            print(f"Dry run: {self.built(session)} holds kernel.py and kernel-metadata.json, nothing was sent.")
            return None
        if session["state"] == "ready":
            self.send(session)
            print(f"Sent to Kaggle: {kernel_client.get_kernel_url(session['ref'])}")
        return self.after(self.take(session)) if self.follow(session) else None

    def built(self, session):
        return self.work / str(session["number"])

    def local_step(self):
        newest = checkpoints.list_states(self.folder)[:1]
        return int(newest[0].name.split("-")[1]) if newest else -1

    def changed(self, before):
        """Of each flag of the training that is another one than the former session's: what it was, and what it is."""
        chosen = self.settings
        usual = ({name: knob.default for name, knob in SETTINGS.items()} | competitions.get_default_settings(chosen)
                 | models.default_settings(chosen.model) | usual_learning_rate(chosen))
        was, now = usual | before["flags"], usual | self.flags
        return {name: (was[name], now[name]) for name in of_training(now) if was[name] != now[name]}

    def refuse_other_flags(self, changed):
        """At Kaggle, too, a training goes on under its own flags alone; this is said before a session is spent on it."""
        told = ", ".join(f"{flag(name)} {was} (now {now})" for name, (was, now) in sorted(changed.items())
                         if self.settings.schedule != "constant" or name not in BUDGET)
        if told:
            raise UserError(f"{self.folder} was trained at Kaggle with {told}; choose another --run, or --force to begin anew.")

    def refuse_to_lose(self):
        """A state that came from no session cannot be gone on with at Kaggle, and must not be lost to one."""
        taken = self.sessions.newest_taken()
        if self.local_step() > (taken["step"] if taken else -1) and not self.settings.force:
            raise UserError(f"{self.folder} holds step {self.local_step()}, which no kernel has: go on here with `python -m pixmend "
                            "train`, choose another --run, or --force to begin anew at Kaggle.")

    def build(self, before):
        """A session's kernel in a folder of its own, under a name that Kaggle has not given to another push."""
        dry = self.settings.dry_run
        user = NOBODY if dry and client.find_token() is None else kernel_client.get_username(self.slug, timeout=self.patience)
        number = self.sessions.next_number()
        while True:
            ref = kernel_sessions.ref(user, self.settings.place, self.settings.run, number)
            tag = self.write(self.work / str(number), ref, before)
            source = None if dry else kernel_client.read_source(ref, self.slug, timeout=self.patience)
            if source is None or (tag in source and not self.settings.force):
                break
            number += 1
        facts = {"number": number, "ref": ref, "tag": tag, "flags": self.flags, "here": self.local_step()}
        self.absent = source is None
        return facts if dry else self.sessions.add(**facts)

    def write(self, folder, ref, before):
        made_here = self.competition.is_synthetic
        told = kernel_script.metadata(ref, self.settings, competition="" if made_here else self.slug,
                               former=before["ref"] if before else "")
        receipt = archive_manifest.receipt(self.settings.competition_folder)
        known = receipt and {name: receipt[name] for name in ("sha256", "count", "bytes")}
        return kernel_script.write(folder, {
            "contest": self.settings.competition, "place": self.settings.place, "run": self.settings.run, "slug": self.slug,
            "made_here": made_here,
            "flags": [word for name, value in self.flags.items() for word in spelled(name, value)],
            "former": before["tag"] if before else "", "hours": self.settings.kernel_hours, "kernel": ref,
            "internet": self.settings.internet, "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
            "receipt": None if made_here else known}, told)

    def send(self, session):
        """Send once: what Kaggle has already, from a push whose answer was lost, is followed instead."""
        if not self.absent and self.arrived(session):
            say("Kaggle has this very kernel: nothing is sent.")
        elif trouble := self.push(session):
            say("Kaggle did not confirm it; looking for the kernel there.")
            late = not trouble.nothing_sent
            if not (self.arrived(session) or (late and self.arrived(session, after=2))):
                raise UserError(f"{trouble} Kaggle has no such kernel: no session was used up.")
        self.sessions.note(session, state="sent")

    def push(self, session):
        """What went wrong, if anything; a refusal ends this session for good."""
        try:
            return kernel_client.push_kernel(self.built(session), self.slug, timeout=self.patience)
        except kernel_client.PushRefusedError:
            self.sessions.note(session, state="failed")
            raise

    def arrived(self, session, after=0):
        """Whether Kaggle's newest version of the kernel is this very push."""
        time.sleep(after)
        return session["tag"] in (kernel_client.read_source(session["ref"], self.slug, timeout=self.patience) or "")

    def follow(self, session):
        """Wait for the end of a session: True once there is something to take, False where the waiting ended before."""
        try:
            return self.watch(session)
        except (KeyboardInterrupt, client.KaggleError):
            print(f"\n{self.how_to_go_on(session)}")
            raise

    def watch(self, session):
        began, ends = time.monotonic(), 60 * self.settings.follow_minutes if "follow_minutes" in self.settings.given else float("inf")
        with Bar("kernel, at most", round(60 * self.settings.kernel_hours) or 1) as bar:
            for pause in client.iterate_delays(PAUSES, began + ends):
                time.sleep(pause)
                word, message = self.look(session)
                if word not in WAITING:
                    return self.ended(session, word, message)
                minutes = int(time.monotonic() - began) // 60
                bar.advance(min(minutes, bar.total) - bar.done, f"{word}, watched for {clock(time.monotonic() - began)}")
        print(self.how_to_go_on(session))
        return False

    def look(self, session):
        """A broken connection is no reason to give up waiting."""
        try:
            return kernel_client.get_status(session["ref"], self.slug, timeout=self.patience)
        except client.KaggleError as error:
            if error.kind in kernel_client.NOT_THERE:
                self.sessions.note(session, state="failed")
                page = kernel_client.get_kernel_url(session["ref"])
                raise UserError(f"{page} is no longer there; the same command sends a new one.") from None
            if error.kind not in client.TEMPORARY:
                raise
            return "running", ""

    def ended(self, session, word, message):
        """True where the session ended well; what else may have happened is told, and the next command sends a new one."""
        if word == "complete":
            return True
        self.sessions.note(session, state="failed")
        page, again = kernel_client.get_kernel_url(session["ref"]), "the same command sends a new session, from the same checkpoint."
        if word == "cancelacknowledged":
            raise UserError(f"The kernel was cancelled at Kaggle ({page}), and nothing of it is kept; {again}")
        raise UserError(f"The kernel ended with status {word}: {self.reason(session, message)}. See {page}; {again}")

    def reason(self, session, message=""):
        told = [message, kernel_client.read_log_end(session["ref"], self.slug, timeout=self.patience)]
        return "; ".join(text.rstrip(".") for text in told if text) or "Kaggle gives no reason"

    def how_to_go_on(self, session):
        return (f"The kernel goes on at Kaggle, whatever happens here: {kernel_client.get_kernel_url(session['ref'])}. "
                "The same command follows it and brings its files home.")

    def take(self, session):
        """Bring the output home; until all of it is proven, nothing here changes."""
        home, beside = Path(self.settings.home), self.work / "arriving"
        account = kernel_output.fetch(session, beside, home, self.settings, self.slug)
        self.check(session, account, beside)
        with files.only_one(self.folder):
            self.refuse_to_overwrite(session, account)
            kernel_output.move(account, beside, home)
            for state in checkpoints.list_states(self.folder):
                if state.name not in {Path(name).name for name in account["files"]}:
                    state.unlink()
        leaderboard.put(self.settings.submissions_folder / "leaderboard.csv", self.settings.run, **account["score"])
        self.sessions.note(session, state="taken", step=account["step"], finished=account["finished"], failed=account["failed"])
        shutil.rmtree(beside)
        say(f"{len(account['files'])} files of the kernel are here, each as its session wrote it: {self.folder}")
        return session

    def check(self, session, account, beside):
        """What its session wrote will not change: one whose files are refused is not asked for them again."""
        try:
            kernel_output.check(account, beside, self.settings, {"competition": self.settings.competition} | kept_as_given(session["flags"]))
        except UserError:
            self.sessions.note(session, state="failed")
            raise

    def refuse_to_overwrite(self, session, account):
        """A training that went on here while the kernel was at work is not lost to it."""
        here = self.local_step()
        if here > max(account["step"], session["here"]) and not self.settings.force:
            raise UserError(f"{self.folder} has come to step {here} here, and the kernel to step {account['step']}; nothing was "
                            "overwritten: --force takes the kernel's, or go on here with `python -m pixmend train`.")

    def after(self, session):
        """Score and submit as the pipeline does, and say what is left to do."""
        if session.get("failed"):
            raise UserError(f"In the kernel the stage {session['failed']} failed: {self.reason(session)}. Its checkpoint at step "
                            f"{session['step']} is kept in {self.folder}: mend the cause, or go on here with "
                            f"`python -m pixmend {session['failed']}`.")
        self.score()
        if session["finished"]:
            return submit.main(self.settings) if self.settings.submit else None
        print(f"Step {session['step']} of {self.settings.steps}: the same command goes on from there in a new session."
              + " Nothing was submitted: --submit waits for the last step." * self.settings.submit)
        return None

    def score(self):
        """From the files here where the contest is prepared here, else as the session scored them."""
        try:
            dataset.open_for(self.settings)
        except UserError:
            rows = leaderboard.read(self.settings.submissions_folder / "leaderboard.csv")
            row = next((row for row in rows if row["run"] == self.settings.run), {})
            print(f"Holdout RMSE {row.get('holdout_rmse', '?')} as scored in the kernel, {row.get('to_harmonic', '?')} of "
                  f"harmonic; file to submit: {competitions.get_submission_path(self.settings)}")
        else:
            score.main(self.settings)
