"""What runs inside Kaggle's session: put packages, files and an earlier state in place, run the stages, and write a report.

/kaggle/working, which Kaggle keeps, gets checkpoints/, submissions/ and session.json; everything else is in /kaggle/temp.
(KAGGLE_WORKING_DIR replaces /kaggle/working by another folder, and input/ and temp/ by its neighbours.)
Packages of Kaggle are used where they can be imported; pip installs the others at our versions. Before it did, none is known
to be there, so only the standard library is imported here; the stages are processes.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pixmend import files
from pixmend.data import archive_manifest
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard

STAGES_AFTER_TRAINING = ("predict", "serialize", "score")
REPORT = "session.json"
OUTPUT_FOLDERS = ("checkpoints", "submissions")
STATE_FILES = ("state-*.npz", "best.npz", "history.csv", "run.toml")
STOP_INTERVAL = 30  # seconds before a training that was asked to stop is asked again
IMPORT_PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        print("missing:", name, "|", error)
"""


def run_session(order: dict[str, Any], working: Path) -> None:
    """Run the whole session. It ends well wherever training reached a state, so that Kaggle keeps the output."""
    deadline = time.monotonic() + 3600 * order["hours"]
    session = SessionRunner(order, working)
    session.link_output_folders()
    check_wheels(order["wheels"], session.inputs)
    install_missing(order, session.inputs)
    session.copy_previous_state()
    session.run_stage("configure", ["--competition", order["competition"], "--run", order["run"], *order["flags"]])
    session.link_competition_files()
    session.run_stage("augment")
    finished, failed = session.train(deadline)
    if not session.list_states():
        if failed:
            raise SystemExit(f"The stage {failed} failed before it saved a state; see the lines above.")
        raise SystemExit(f"Training saved no state in {order['hours']:g} hours. Allow more time with --kernel-hours.")
    for stage in STAGES_AFTER_TRAINING:
        if not failed and session.run_stage(stage, is_required=False):
            failed = stage
    session.write_report(finished, failed)


class SessionRunner:
    """The folders of a session and what it was ordered to do."""

    def __init__(self, order: dict[str, Any], working: Path) -> None:
        self.order, self.working = order, working
        self.inputs, self.home = working.parent / "input", working.parent / "temp" / "home"
        self.run_folder = self.working / "checkpoints" / order["dataset"] / order["run"]
        self.submissions = self.working / "submissions" / order["dataset"]

    def link_output_folders(self) -> None:
        """Make a home in a temporary folder, with links to the folders that Kaggle keeps."""
        self.home.mkdir(parents=True, exist_ok=True)
        for name in OUTPUT_FOLDERS:
            (self.working / name).mkdir(parents=True, exist_ok=True)
            if not (self.home / name).is_symlink():
                (self.home / name).symlink_to(self.working / name)

    def start_stage(self, stage: str, flags: list[str] | None = None) -> subprocess.Popen:
        """Start a stage with the settings of run.toml, or with these flags."""
        command = [sys.executable, "-m", "pixmend", stage, "--home", str(self.home),
                   *(["--config", str(self.run_folder / "run.toml")] if flags is None else flags)]
        source = str(Path(__file__).resolve().parents[2])
        return subprocess.Popen(command, env={**os.environ, "KERAS_BACKEND": self.order["backend"], "PYTHONPATH": source})

    def run_stage(self, stage: str, flags: list[str] | None = None, *, is_required: bool = True) -> int:
        print(f"{stage} ...", flush=True)
        code = self.start_stage(stage, flags).wait()
        if code and is_required:
            raise SystemExit(f"The stage {stage} failed; see the lines above.")
        return code

    def link_competition_files(self) -> None:
        """Use the competition's files as Kaggle mounts them, or make those of a synthetic competition."""
        slug = self.order["slug"]
        if self.order["is_synthetic"]:
            self.run_stage("download")
            return
        found = [path for pattern in (slug, f"*/{slug}") for path in self.inputs.glob(pattern) if path.is_dir()]
        if not found:
            raise SystemExit(f"{self.inputs} has no files of {slug}. Accept the competition's rules, and send the kernel again.")
        folder = self.home / "competition" / self.order["competition"]
        archive_manifest.adopt_folder(folder, found[0], slug, self.order["archive"])

    def copy_previous_state(self) -> None:
        """Copy the checkpoint of the previous session, every file verified."""
        if not self.order["previous"]:
            return
        for path in glob_inputs(self.inputs, REPORT):
            folder, report = path.parent, files.read_json(path)
            if report.get("tag") == self.order["previous"]:
                break
        else:
            raise SystemExit(f"{self.inputs} has no output of the previous session. Send the kernel again.")
        self.run_folder.mkdir(parents=True, exist_ok=True)
        for name, expected in report["files"].items():
            if any(Path(name).match(f"checkpoints/*/*/{pattern}") for pattern in STATE_FILES):
                shutil.copyfile(folder / name, self.working / name)
                if files.hash_file(self.working / name) != expected["sha256"]:
                    raise SystemExit(f"{folder / name} is not the file that the previous session wrote. Send the kernel again.")
                modified = expected["mtime_ns"]  # manifests of what was made from the file contain it
                os.utime(self.working / name, ns=(modified, modified))
        print(f"Continuing from step {report['step']} of the previous session.", flush=True)

    def train(self, deadline: float) -> tuple[bool, str]:
        """Train to the last step or until the time is up; return whether it is finished, and "train" where it failed."""
        process = self.start_stage("train")
        try:
            code = process.wait(max(0, deadline - time.monotonic()))
            return code == 0, "train" if code else ""
        except subprocess.TimeoutExpired:
            print("The session's time is up. Training stops here.", flush=True)
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_INTERVAL)
            except subprocess.TimeoutExpired:
                continue
        return process.returncode == 0, ""

    def list_states(self) -> list[Path]:
        return sorted(self.run_folder.glob("state-*.npz"), reverse=True)

    def write_report(self, finished: bool, failed: str) -> None:
        """Write how far this session came, its score, and the hash of every file that is to be brought home."""
        newest, *older = self.list_states()
        for state in older:
            state.unlink()
        try:
            rows = leaderboard.read_leaderboard(self.submissions / "leaderboard.csv")
        except UserError:   # Kaggle keeps what is listed below, whatever became of the score
            rows = []
        outputs = [path for folder in (self.run_folder, self.submissions) for path in sorted(folder.glob("[!.]*"))
                   if path.is_file() and path.name != "leaderboard.csv"]
        files.write_json(self.working / REPORT, {
            "tag": self.order["tag"], "step": int(newest.name.split("-")[1]), "finished": finished, "failed": failed,
            "score": {name: value for row in rows for name, value in row.items() if name != "run" and value},
            "files": {str(path.relative_to(self.working)): {"sha256": files.hash_file(path), "bytes": path.stat().st_size,
                                                            "mtime_ns": path.stat().st_mtime_ns} for path in outputs}})
        if failed:
            print(f"The stage {failed} failed; see the lines above. What was reached is kept.", flush=True)


def glob_inputs(inputs: Path, pattern: str) -> Iterator[Path]:
    """Yield files of what is attached to the session; deeper folders, which may hold many images, are not searched."""
    return (path for depth in ("*", "*/*", "*/*/*") for path in inputs.glob(f"{depth}/{pattern}"))


def check_wheels(dataset: str, inputs: Path) -> None:
    """End a session whose dataset of wheels Kaggle has not attached: the machine that sent it does not wait for it."""
    name = dataset.partition("/")[2]
    if name and not any(path.is_dir() for path in (inputs / name, *glob_inputs(inputs, name))):
        raise SystemExit(f"{inputs} has no dataset {dataset}. Correct --wheels, and send the kernel again.")


def install_missing(order: dict[str, Any], inputs: Path) -> None:
    """Install what is missing, from the internet or from attached wheels, or exit with a message that says what it is."""
    packages = order["packages"]
    if not (missing := find_missing(packages)):
        print("All packages are installed already.", flush=True)
        return
    wanted = [requirement for requirement, name in packages.items() if name in missing]
    print(f"Installing {', '.join(wanted)} ({'with internet' if order['internet'] else 'from attached wheels'}).", flush=True)
    links = [f"--find-links={folder}" for folder in sorted({wheel.parent for wheel in glob_inputs(inputs, "*.whl")})]
    ended = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                            *([] if order["internet"] else ["--no-index"]), *links, *wanted], capture_output=True, text=True)
    if missing := find_missing(packages):
        requirements = ", ".join(requirement for requirement, name in packages.items() if name in missing)
        reason = ("pip could not install it" if order["internet"] else
                  "internet is off: send it with --internet, or attach a dataset with its wheels (--wheels owner/name)")
        error = ended.stderr.strip().splitlines()[-1:] if ended.returncode else []
        raise SystemExit(f"This session lacks {requirements}, and {reason}. {' '.join([*error, '; '.join(missing.values())])}")


def find_missing(packages: dict[str, str]) -> dict[str, str]:
    """Return the modules that cannot be imported, and why; a process of its own tries it, since a failed import leaves traces."""
    ended = subprocess.run([sys.executable, "-c", IMPORT_PROGRAM, *packages.values()], capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"Python could not import {', '.join(packages.values())}: {ended.stderr.strip()[-300:]}")
    return dict(re.findall(r"^missing: (\w+) \| (.*)", ended.stdout, re.MULTILINE))
