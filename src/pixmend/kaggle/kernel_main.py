"""What runs inside Kaggle's session: files, packages and a former state in place, the stages, and an account of it all.

/kaggle/working, which Kaggle keeps, gets checkpoints/, submissions/ and session.json; all else lies in /kaggle/temp.
(KAGGLE_WORKING_DIR puts another folder, and its neighbours input/ and temp/, in the place of /kaggle/working.)
Only the standard library is imported here; the stages are processes.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from pixmend import files
from pixmend.data import archive_manifest
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.kaggle import kernel_packages

AFTER_TRAINING = ("predict", "serialize", "score")
ACCOUNT = "session.json"
KEPT = ("checkpoints", "submissions")
OF_A_STATE = ("state-*.npz", "best.npz", "history.csv", "run.toml")
PATIENCE = 30  # seconds before a training that was asked to stop is asked again


def run(order, working):
    """The whole session; it ends well wherever a state was reached, so that Kaggle keeps it."""
    deadline = time.monotonic() + 3600 * order["hours"]
    session = Session(order, working)
    session.link_outputs()
    kernel_packages.provide(order, session.inputs)
    session.bring_files()
    session.bring_state()
    session.must("augment")
    finished, failed = session.train(deadline)
    if not session.states():
        raise SystemExit(f"Training reached no state in {order['hours']:g} hours; see the lines above, or give more "
                         "with --kernel-hours.")
    for stage in AFTER_TRAINING:
        failed = failed or ("" if session.stage(stage) == 0 else stage)
    session.leave(finished, failed)


class Session:
    """The folders of a session and what was ordered."""

    def __init__(self, order, working):
        self.order, self.working = order, working
        self.inputs, self.home = working.parent / "input", working.parent / "temp" / "home"
        self.competition = self.home / "competition" / order["contest"]
        self.run_folder = self.working / "checkpoints" / order["place"] / order["run"]
        self.submissions = self.working / "submissions" / order["place"]

    def link_outputs(self):
        """The home of this session is scratch, but for what Kaggle is to keep."""
        self.home.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            (self.working / name).mkdir(parents=True, exist_ok=True)
            if not (self.home / name).is_symlink():
                (self.home / name).symlink_to(self.working / name)

    def command(self, stage):
        flags = ["--home", str(self.home), "--competition", self.order["contest"], "--run", self.order["run"]]
        return [sys.executable, "-m", "pixmend", stage, *flags, *self.order["flags"]]

    def start(self, stage):
        package = Path(__file__).resolve().parents[2]
        return subprocess.Popen(self.command(stage), env={**os.environ, "KERAS_BACKEND": self.order["backend"], "PYTHONPATH": str(package)})

    def stage(self, stage):
        print(f"{stage} ...", flush=True)
        return self.start(stage).wait()

    def must(self, stage):
        if self.stage(stage):
            raise SystemExit(f"The stage {stage} failed; see the lines above.")

    def bring_files(self):
        """The contest's files as Kaggle mounts them, or made here where the contest is made."""
        slug = self.order["slug"]
        if self.order["made_here"]:
            return self.must("download")
        found = [path for pattern in (slug, f"*/{slug}") for path in self.inputs.glob(pattern) if path.is_dir()]
        if not found:
            raise SystemExit(f"{self.inputs} holds no files of {slug}; accept the competition's rules on its page "
                             "and send it again.")
        archive_manifest.adopt(self.competition, found[0], slug, self.order["receipt"])

    def bring_state(self):
        """The checkpoint of the session before, every file as its account says."""
        if not self.order["former"]:
            return
        folder, account = self.former()
        self.run_folder.mkdir(parents=True, exist_ok=True)
        for name, was in account["files"].items():
            if any(Path(name).match(f"checkpoints/*/*/{kind}") for kind in OF_A_STATE):
                shutil.copyfile(folder / name, self.working / name)
                if files.sha256(self.working / name) != was["sha256"]:
                    raise SystemExit(f"{folder / name} is not the file that the session before left; send it again.")
                os.utime(self.working / name, ns=(was["mtime_ns"], was["mtime_ns"]))   # what was made from it is still so
        print(f"Going on from step {account['step']} of the session before.", flush=True)

    def former(self):
        """Where the session before is mounted, and its account."""
        for pattern in ("*", "*/*", "*/*/*"):
            for path in self.inputs.glob(f"{pattern}/{ACCOUNT}"):
                account = files.read_json(path)
                if account.get("tag") == self.order["former"]:
                    return path.parent, account
        raise SystemExit(f"{self.inputs} holds no output of the session before; send it again.")

    def train(self, deadline):
        """Train until all is done or the time is up; (whether it is finished, the stage's name where it failed)."""
        process = self.start("train")
        try:
            code = process.wait(max(0, deadline - time.monotonic()))
            return code == 0, "train" if code else ""
        except subprocess.TimeoutExpired:
            print("The session's time is up; training stops here.", flush=True)
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                continue
        return process.returncode == 0, ""

    def states(self):
        return sorted(self.run_folder.glob("state-*.npz"), reverse=True)

    def leave(self, finished, failed):
        """The account of this session: how far it came, its score, and the hash of every file that goes home."""
        newest, *older = self.states()
        for state in older:
            state.unlink()
        kept = [path for folder in (self.run_folder, self.submissions) for path in sorted(folder.glob("[!.]*"))
                if path.is_file() and path.name != "leaderboard.csv"]
        files.write_json(self.working / ACCOUNT, {
            "tag": self.order["tag"], "step": int(newest.name.split("-")[1]), "finished": finished, "failed": failed,
            "score": self.score(), "files": {str(path.relative_to(self.working)): told(path) for path in kept}})
        if failed:
            print(f"The stage {failed} failed; see the lines above. What was reached is kept.", flush=True)

    def score(self):
        """This run's row of the session's leaderboard."""
        try:
            rows = leaderboard.read(self.submissions / "leaderboard.csv")
        except UserError:
            return {}
        return {name: value for row in rows for name, value in row.items() if name != "run" and value}


def told(path):
    return {"sha256": files.sha256(path), "bytes": path.stat().st_size, "mtime_ns": path.stat().st_mtime_ns}
