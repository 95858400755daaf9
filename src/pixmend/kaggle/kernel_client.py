"""What the `kaggle` command can do with kernels, each call with its answer or with what stands against it."""

import json
import re
import tempfile
from pathlib import Path

from pixmend.errors import UserError
from pixmend.kaggle import client

NOT_THERE = ("missing", "forbidden")  # Kaggle refuses to speak of a private kernel that does not exist
SLOWEST = 100_000  # bytes a second; kaggle is silent while it holds a file in memory
PAGE_SIZE = 200
LINES_OF_LOG, LENGTH_OF_LOG = 3, 400


class Refused(UserError):
    """A push that Kaggle answered with a reason against it."""


def page(ref):
    return f"https://www.kaggle.com/code/{ref}"


def user(slug, *, patience):
    """The name of the account whose token is used."""
    text = client.call(["config", "view"], slug, patience=patience).out
    found = re.search(r"username: (\S+)", text)
    if not found or found[1] == "None":
        raise UserError(f"Kaggle does not say whose token this is; {client.NEW_TOKEN}.")
    return found[1]


def source(ref, slug, *, patience):
    """The text of a kernel's newest version, or None where Kaggle has no such kernel."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            client.call(["kernels", "pull", ref, "-p", folder], slug, patience=patience)
        except client.KaggleError as error:
            if error.kind in NOT_THERE:
                return None
            raise
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in Path(folder).iterdir())


def push(folder, slug, *, patience):
    """Send a kernel once. None: Kaggle has it; otherwise what went wrong, and Kaggle may have it all the same."""
    said, trouble = client.once(["kernels", "push", "-p", str(folder)], slug, "successfully pushed", patience=patience)
    if found := re.search(r"Kernel push error: (.*)", said):
        raise Refused(f"Kaggle does not take the kernel: {client.masked(found[1]).rstrip('.')}.")
    if found := re.search(r"not valid (\w+) sources and could not\s+be added to the kernel: (.*)", said):
        raise Refused(f"Kaggle could not attach the {found[1]} source {found[2]}: accept the rules at "
                      f"{client.page(slug)}/rules, look at the names given, and run the same command again; "
                      "the kernel that was sent ends by itself.")
    return trouble


def status(ref, slug, *, patience):
    """One word in small letters (queued, running, complete, error, cancelacknowledged ...) and Kaggle's message, if any."""
    text = client.call(["kernels", "status", ref], slug, patience=patience).out
    found = re.search(r'has status "(?:KernelWorkerStatus\.)?(\w+)"', text)
    if not found:
        raise UserError(f"This version of the kaggle command tells a kernel's status in another way; {client.INSTALL}.")
    message = re.search(r'Failure message: "(.*)"', text)
    return found[1].lower().replace("_", ""), client.masked(message[1]) if message else ""


def end_of_log(ref, slug, *, patience):
    """The last lines of a kernel's log as one line."""
    try:
        text = client.call(["kernels", "logs", ref], slug, patience=patience).out
    except client.KaggleError:
        return ""
    lines = [line.strip() for line in _plain(text).splitlines() if line.strip()]
    return client.masked(" / ".join(lines[-LINES_OF_LOG:]))[-LENGTH_OF_LOG:]


def _plain(text):
    """A log is an array of pieces {stream_name, time, data}; where it isn't, its text as it stands."""
    start = text.find("[{")
    try:
        return "".join(piece.get("data", "") for piece in json.loads(text[start:]))
    except (ValueError, AttributeError, TypeError):
        return text


def output(ref, slug, folder, names, *, patience, size=0, heard=None, again=client.PASSING):
    """Bring some files of a kernel's output into a folder; nothing is proven of them yet."""
    pattern = "^(" + "|".join(map(re.escape, names)) + ")$"
    client.call(["kernels", "output", ref, "-p", str(folder), "--force", "--page-size", str(PAGE_SIZE),
                     "--file-pattern", pattern], slug, patience=patience + size / SLOWEST, heard=heard, again=again)
