"""What the `kaggle` command does with kernels: push one, ask for its status and log, download its output."""

import contextlib
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pixmend.errors import UserError
from pixmend.kaggle import client

NOT_THERE = ("missing", "forbidden")  # Kaggle answers "forbidden" for a private kernel that does not exist
SLOWEST_DOWNLOAD = 100_000  # bytes a second; kaggle prints nothing while it downloads a file
FILES_PER_PAGE = 200
LOG_LINES, LOG_LENGTH = 3, 400
SOURCE_REMEDIES = {   # what to do where Kaggle does not attach a source to a kernel
    "competition": "Accept the rules at {page}/rules",
    "dataset": "Correct --wheels, which must name a dataset of yours or a public one",
    "kernel": "Use the token of the account that sent it, or choose another --run",
}


def get_username(slug: str, *, timeout: float) -> str:
    """Return the name of the account whose token is used."""
    found = re.search(r"username: (\S+)", client.run_query(["config", "view"], slug, timeout=timeout).out)
    if not found or found[1] == "None":
        raise UserError(f"Kaggle does not say which account the token belongs to. For a new token, {client.NEW_TOKEN}.")
    return found[1]


def read_source(ref: str, slug: str, *, timeout: float) -> str | None:
    """Return the text of a kernel's newest version, or None where Kaggle has no such kernel."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            client.run_query(["kernels", "pull", ref, "-p", folder], slug, timeout=timeout)
        except client.KaggleError as error:
            if error.kind in NOT_THERE:
                return None
            raise
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in Path(folder).iterdir())


@dataclass(frozen=True)
class Quota:
    """The hours of accelerators that an account has in a week."""

    resource: str   # GPU or TPU
    left: float
    total: float
    refilled_at: str

    def __str__(self) -> str:
        return f"{self.resource} hours left at Kaggle this week: {self.left:g} of {self.total:g}"


def read_quota(accelerator: str, slug: str, *, timeout: float) -> Quota | None:
    """Return the quota of a kind of machine, or None where Kaggle does not say; a push is refused anyway if none is left."""
    resource = "TPU" if "tpu" in accelerator.lower() else "GPU"
    try:
        row = next(row for row in client.read_rows(["quota"], slug, timeout=timeout) if row.get("resource") == resource)
        left, total = (float(row[name].removesuffix("h")) for name in ("remaining", "total"))
    except (client.KaggleError, StopIteration, KeyError, ValueError):
        return None
    return Quota(resource, left, total, row.get("refreshAt", "")[:16].replace("T", " "))


def save_kernel(folder: Path, slug: str, *, timeout: float) -> None:
    """Save a kernel at Kaggle without running it."""
    arguments = ["kernels", "push", "-p", str(folder), "--no-run"]
    output, failure = client.run_once(arguments, slug, "saved without running", timeout=timeout)
    raise_refusal(output, slug)
    if failure and failure.kind == "usage":
        version = client.get_version(timeout=timeout)
        raise UserError(f"--save-only needs kaggle 2.2.5 or newer; this is {version}. Nothing was sent. Install it with "
                        "`python -m pip install --upgrade kaggle six`, or leave out the flag.")
    if failure:
        raise UserError(f"{failure} No session was used up.")


def push_kernel(folder: Path, slug: str, *, timeout: float) -> client.KaggleError | None:
    """Send a kernel once. Return None or a failure, where Kaggle may have it all the same; raise Kaggle's reason against it."""
    output, failure = client.run_once(["kernels", "push", "-p", str(folder)], slug, "successfully pushed", timeout=timeout)
    raise_refusal(output, slug)
    return failure


def raise_refusal(output: str, slug: str) -> None:
    """Raise the reason that Kaggle gives against a pushed kernel, if any."""
    if found := re.search(r"Kernel push error: (.*)", output):
        raise UserError(f"Kaggle does not accept the kernel: {client.clean_text(found[1]).rstrip('.')}.")
    if found := re.search(r"not valid (competition|dataset|kernel) sources and could not\s+be added to the kernel: (.*)", output):
        remedy = SOURCE_REMEDIES[found[1]].format(page=client.get_competition_url(slug))
        raise UserError(f"Kaggle could not attach the {found[1]} source {client.clean_text(found[2])}. This kernel ends "
                        f"by itself. {remedy}, and run the same command again.")


def get_status(ref: str, slug: str, *, timeout: float) -> tuple[str, str]:
    """Return one lower-case word (queued, running, complete, error, cancelacknowledged ...) and Kaggle's message, if any."""
    text = client.run_query(["kernels", "status", ref], slug, timeout=timeout).out
    found = re.search(r'has status "(?:KernelWorkerStatus\.)?(\w+)"', text)
    if not found:
        raise UserError(f"This kaggle command prints a kernel's status in another format. To replace it, {client.INSTALL}.")
    message = re.search(r'Failure message: "(.*)"', text)
    return found[1].lower().replace("_", ""), client.clean_text(message[1]) if message else ""


def read_log_end(ref: str, slug: str, *, timeout: float) -> str:
    """Return the last lines of a kernel's log as one line, or an empty text where it cannot be read."""
    try:
        text = client.run_query(["kernels", "logs", ref], slug, timeout=timeout).out
    except client.KaggleError:
        return ""
    # Usually it is a JSON array of {stream_name, time, data}.
    with contextlib.suppress(ValueError, AttributeError, TypeError, RecursionError):
        text = "".join(piece.get("data", "") for piece in json.loads(text[text.find("[{"):]))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return client.clean_text(" / ".join(lines[-LOG_LINES:]))[-LOG_LENGTH:]


def download_output(ref: str, slug: str, folder: Path, names: list[str], *, timeout: float, size: int = 0,
                    on_output: client.OnOutput | None = None, retry_on: tuple[str, ...] = client.TEMPORARY) -> None:
    """Download some files of a kernel's output, `size` bytes in all, into a folder; their content is not verified yet."""
    pattern = "^(" + "|".join(map(re.escape, names)) + ")$"
    client.run_query(["kernels", "output", ref, "-p", str(folder), "--force", "--page-size", str(FILES_PER_PAGE),
                      "--file-pattern", pattern],
                     slug, timeout=timeout + size / SLOWEST_DOWNLOAD, on_output=on_output, retry_on=retry_on)
