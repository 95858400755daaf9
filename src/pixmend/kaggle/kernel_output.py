"""A session's output on its way home: fetched beside, every file held to the session's own account, then moved in place."""

import os
import re
import time
from pathlib import Path, PurePosixPath

import numpy as np

from pixmend import files, run_file
from pixmend.errors import UserError
from pixmend.kaggle import client, kernel_client
from pixmend.kaggle.kernel_main import ACCOUNT
from pixmend.progress import Bar

FIELDS = {"tag": str, "step": int, "finished": bool, "failed": str, "score": dict, "files": dict}


def fetch(pushed, beside, home, settings, slug):
    """Bring what isn't here yet; the session's account once every file is as it says."""
    beside.mkdir(parents=True, exist_ok=True)
    account = _account(pushed, beside, settings, slug)
    for pause in (*client.RETRY_DELAYS, None):
        if not (lacking := _lacking(account, beside, home)):
            return account
        try:
            _bring(pushed["ref"], slug, beside, lacking, sum(account["files"][name]["bytes"] for name in lacking), settings)
        except client.KaggleError as error:
            if pause is None or error.kind not in client.TEMPORARY:
                raise
            time.sleep(pause)
    if lacking := _lacking(account, beside, home):
        for name in lacking:
            (beside / name).unlink(missing_ok=True)
        raise UserError(f"{lacking[0]} of {kernel_client.get_kernel_url(pushed['ref'])} came damaged again and again and was removed; nothing "
                        "here was touched, run the same command again.")
    return account


def _bring(ref, slug, beside, names, size, settings):
    with Bar(f"bring {size >> 20} MB", len(names)) as bar:
        kernel_client.download_output(ref, slug, beside, names, timeout=settings.kaggle_timeout, size=size, on_output=_counting(bar), retry_on=())


def _account(pushed, beside, settings, slug):
    """session.json of this very push, or the reason against it."""
    (beside / ACCOUNT).unlink(missing_ok=True)
    kernel_client.download_output(pushed["ref"], slug, beside, [ACCOUNT], timeout=settings.kaggle_timeout)
    try:
        account = files.read_json(beside / ACCOUNT) or {}
    except UserError:
        account = {}
    if not all(isinstance(account.get(name), kind) for name, kind in FIELDS.items()) or account["tag"] != pushed["tag"]:
        raise UserError(f"{kernel_client.get_kernel_url(pushed['ref'])} holds no whole output of this run's session; look there, "
                        "and run the same command again.")
    inside = {f"checkpoints/{settings.place}/{settings.run}", f"submissions/{settings.place}"}
    if any(str(PurePosixPath(name).parent) not in inside for name in account["files"]):
        raise UserError(f"{kernel_client.get_kernel_url(pushed['ref'])} holds files of other folders than this run's; nothing was taken.")
    return account


def _lacking(account, beside, home):
    return [name for name, told in account["files"].items() if not any(_proven(folder / name, told) for folder in (beside, home))]


def _proven(path, told):
    return path.is_file() and path.stat().st_size == told["bytes"] and files.sha256(path) == told["sha256"]


def _counting(bar):
    def heard(text):
        if count := len(re.findall(r"Output file downloaded", text)):
            bar.advance(min(count, bar.total - bar.done), f"{bar.done + count} of {bar.total} files")
    return heard


def check(account, beside, settings, wanted):
    """Refuse what was made under other settings or cannot be read."""
    inside = f"checkpoints/{settings.place}/{settings.run}"
    stored = run_file.read_trained(_where(beside, settings, f"{inside}/run.toml").parent) or {}
    if other := sorted(name for name in wanted if stored.get(name) != wanted[name]):
        raise UserError(f"The kernel's run.toml differs from this command in {', '.join(other)}; nothing was taken: "
                        "choose another --run, or --force to begin anew at Kaggle.")
    for name in account["files"]:
        if name.endswith(".npz"):
            try:
                np.load(_where(beside, settings, name), allow_pickle=False).close()
            except Exception as error:
                raise UserError(f"{name} of the kernel cannot be read ({type(error).__name__}); nothing was taken: the same "
                                "command sends a new session.") from None


def _where(beside, settings, name):
    """A file that was moved in place before this process was killed is there already."""
    return beside / name if (beside / name).exists() else Path(settings.home) / name


def move(account, beside, home):
    """Each file to its place with its own time of change, so that receipts hold; the state that all rests on comes last."""
    for name in sorted(account["files"], key=lambda name: ("/state-" in name, name)):
        moment = account["files"][name]["mtime_ns"]
        os.utime(beside / name if (beside / name).exists() else home / name, ns=(moment, moment))
        if (beside / name).exists():
            files.sync(beside / name)
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            files.move_into_place(beside / name, home / name)
