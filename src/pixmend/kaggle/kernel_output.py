"""Bring a session's output home: download it into a folder of its own, verify every file, then move all into place."""

import os
import time
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pixmend import files, run_file
from pixmend.config import Settings
from pixmend.errors import UserError
from pixmend.kaggle import client, kernel_client
from pixmend.kaggle.kernel_main import REPORT
from pixmend.kaggle.kernel_sessions import Session
from pixmend.progress import ProgressBar

REPORT_FIELDS = {"tag": str, "step": int, "finished": bool, "failed": str, "score": dict, "files": {str: dict}}
FILE_FIELDS = {"sha256": str, "bytes": int, "mtime_ns": int}

Report = dict[str, Any]  # session.json: see kernel_main.SessionRunner.write_report


def download_files(session: Session, arriving: Path, home: Path, settings: Settings, slug: str) -> Report:
    """Download what is not here yet, and return the session's report once every file is as it says."""
    arriving.mkdir(parents=True, exist_ok=True)
    report = _download_report(session, arriving, settings, slug)
    for delay in (*client.RETRY_DELAYS, None):
        if not (missing := _list_missing(report, arriving, home)):
            return report
        size = sum(report["files"][name]["bytes"] for name in missing)
        try:
            with ProgressBar(f"download {size >> 20} MB", len(missing)) as bar:
                kernel_client.download_output(session.ref, slug, arriving, missing, timeout=settings.kaggle_timeout, size=size,
                                              on_output=_follow_files(bar), retry_on=())
        except client.KaggleError as error:
            if delay is None or error.kind not in client.TEMPORARY:
                raise
            time.sleep(delay)
    if missing := _list_missing(report, arriving, home):
        for name in missing:
            (arriving / name).unlink(missing_ok=True)
        raise UserError(f"{missing[0]} of {session.url} was damaged in every download and was removed. Nothing was changed here: "
                        "run the same command again.")
    return report


def _download_report(session: Session, arriving: Path, settings: Settings, slug: str) -> Report:
    """Return session.json of this very push, or raise the reason against it."""
    (arriving / REPORT).unlink(missing_ok=True)
    kernel_client.download_output(session.ref, slug, arriving, [REPORT], timeout=settings.kaggle_timeout)
    try:
        report = files.read_object(arriving / REPORT, REPORT_FIELDS)
    except UserError:
        report = None
    if not report or report["tag"] != session.tag or not all(
            files.has_type(one.get(name), type_) for one in report["files"].values() for name, type_ in FILE_FIELDS.items()):
        raise UserError(f"{session.url} has no complete output of this session. Run the same command again in a few minutes. If "
                        "another version was saved on that page, take what you need from there and delete the kernel: the same "
                        "command then sends a new session.")
    folders = {f"checkpoints/{settings.dataset_name}/{settings.run}", f"submissions/{settings.dataset_name}"}
    if any(str(PurePosixPath(name).parent) not in folders for name in report["files"]):
        raise UserError(f"{session.url} contains files of other folders than this run's. Nothing was taken.")
    return report


def _list_missing(report: Report, arriving: Path, home: Path) -> list[str]:
    """Return the files that are in neither folder as the report describes them."""
    def is_valid(path: Path, expected: dict[str, Any]) -> bool:
        return path.is_file() and path.stat().st_size == expected["bytes"] and files.hash_file(path) == expected["sha256"]

    return [name for name, expected in report["files"].items()
            if not (is_valid(arriving / name, expected) or is_valid(home / name, expected))]


def _follow_files(bar: ProgressBar) -> client.OnOutput:
    def update(text: str) -> None:
        if count := text.count("Output file downloaded"):
            bar.advance(min(count, bar.total - bar.done), f"{bar.done + count} of {bar.total} files")
    return update


def _find_file(name: str, arriving: Path, home: Path) -> Path:
    """Return where a file is: one that was moved before an earlier process was killed is in its place already."""
    return arriving / name if (arriving / name).exists() else home / name


def check_files(report: Report, arriving: Path, settings: Settings, expected: dict[str, Any]) -> None:
    """Refuse files that were made under other settings or cannot be read."""
    home, run_folder = Path(settings.home), f"checkpoints/{settings.dataset_name}/{settings.run}"
    stored = run_file.read_trained(_find_file(f"{run_folder}/{run_file.RUN_FILE}", arriving, home).parent) or {}
    if different := sorted(name for name in expected if stored.get(name) != expected[name]):
        raise UserError(f"The kernel's run.toml differs from this command in {', '.join(different)}. Nothing was taken: "
                        "choose another --run, or --force to start anew at Kaggle.")
    for name in report["files"]:
        if name.endswith(".npz"):
            try:
                np.load(_find_file(name, arriving, home), allow_pickle=False).close()
            except Exception as error:
                raise UserError(f"{name} of the kernel cannot be read ({type(error).__name__}). Nothing was taken: the same "
                                "command sends a new session.") from None


def move_files(report: Report, arriving: Path, home: Path) -> None:
    """Move each file into place with its own modification time, so that manifests match; the training state comes last."""
    for name in sorted(report["files"], key=lambda name: ("/state-" in name, name)):
        path, modified = _find_file(name, arriving, home), report["files"][name]["mtime_ns"]
        os.utime(path, ns=(modified, modified))
        if path == arriving / name:
            files.fsync_path(path)
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            files.move_durably(path, home / name)
