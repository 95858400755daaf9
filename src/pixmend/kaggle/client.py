"""Run the `kaggle` command: the only module that starts it. Each call returns an answer or raises a KaggleError.

The exit code alone proves nothing: a failed upload exits with 0, and a submission that was created can exit with 1. So the
output is read, too. Whatever Kaggle says goes through `clean_text` before anybody sees it: no token leaves this file.
"""

import contextlib
import json
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pixmend import subprocesses
from pixmend.errors import UserError
from pixmend.progress import ProgressBar
from pixmend.subprocesses import FinishedProcess

OnOutput = Callable[[str], None]

RETRY_DELAYS = (1, 3)  # seconds before a question is asked again
TEMPORARY = ("busy", "server", "network")
# After these Kaggle has certainly not done what it was asked to do. After any other failure it may still do it.
NOTHING_SENT = ("broken", "disk", "rules", "token", "limit", "refused", "forbidden", "missing", "busy", "upload", "usage")
SECRET = r"(?i)(bearer|basic) +[\w.~+/=-]{20,}|KGAT_\w+|\b[0-9a-f]{32}\b"
SIGNED_URL = r"((?:https?:/|\burl: )/[^\s?'\"<>]+)\?[^\s'\"<>]+"  # storage URLs carry their signature in the query
TERMINAL_ESCAPE = r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|.)"
ROWS_PER_PAGE, MAX_PAGES = 200, 50
# What kaggle 2.2.5 adds below an error: words like "rules" in it would hide the error itself.
HINT = (r"\n\n(You don't have access to this resource|The resource was not found|You have been rate limited"
        r"|This is a problem on Kaggle's side|If this is unexpected, you can re-run)[\s\S]*")
INSTALL = "run `./set_up.sh` or `python -m pip install -r requirements.txt`"
LOGIN_FILE = "credentials.json"   # what `kaggle auth login` writes into ~/.kaggle
NEW_TOKEN = ("run `kaggle auth login`; or, without a browser, create one at https://www.kaggle.com/settings/api, save it as "
             "~/.kaggle/access_token and run `chmod 600 ~/.kaggle/access_token`")

# (kind, pattern in the command's output, message for the user); the first that matches counts.
FAILURES = (
    ("broken", r"No module named|ImportError",
     f"The kaggle command does not start ({{output}}). To repair it, {INSTALL}."),
    ("disk", r"No space left|\[Errno (13|28|30)\]",
     "kaggle could not write a file ({output}). Free some disk space or correct the folder's permissions, "
     "then run the same command again."),
    ("network", r"Tunnel connection failed",
     "Kaggle could not be reached through this machine's proxy ({output}). Check HTTPS_PROXY and what the proxy lets through, "
     "then run the same command again."),
    ("rules", r"accept[\w' ]{0,60}rules|rules[\w' ]{0,60}accept|rulesAcceptance",
     "Kaggle asks you to accept this competition's rules first. Accept them at {page}/rules, then run the same command again."),
    ("token", r"Authentication required|\b401\b|Unauthorized|Unauthenticated|Invalid credentials", "{token}"),
    ("limit", r"(submission|daily)[\w' ]{0,60}limit|limit[\w' ]{0,60}submission|submitted the maximum"
              r"|used its (daily )?Submission allowance",
     "Kaggle accepts no more submissions today ({output}). Run the same command again after midnight UTC."),
    ("refused", r"Submission not allowed", "Kaggle does not take this submission ({output}). See {page}."),
    ("forbidden", r"\b403\b|Forbidden|[Pp]ermission",
     "Kaggle refuses access (403). Usually the competition's rules are not accepted yet: accept them at {page}/rules "
     "with the account whose token is in {location}."),
    ("missing", r"\b404\b|[Nn]ot [Ff]ound|Could not find competition",
     "Kaggle does not know this competition, or it is closed (404): see {page}."),
    ("busy", r"(?i)\b429\b|too many requests|rate limit",
     "Kaggle received too many requests (429). Run the same command again in a few minutes."),
    ("garbled", r"does not match expected size", "The download has the wrong size. Run the same command again."),
    ("network", r"Max retries exceeded|Failed to (establish|resolve)|[Cc]onnection ?(refused|reset|aborted|broken)"
                r"|ConnectionError|RemoteDisconnected|IncompleteRead|ProxyError|timed out|NameResolution",
     "Kaggle could not be reached, or the connection was lost. Check the network (and HTTPS_PROXY), "
     "then run the same command again: it continues from there."),
    ("server", r"\b50[0-9]\b|Server Error|Internal error|Bad Gateway|Unavailable",
     "Kaggle's server has a problem ({output}). Run the same command again in a few minutes."),
    ("upload", r"Could not submit to competition",
     "The upload did not reach Kaggle. Run the same command again in a few minutes."),
    ("other", r"", "Kaggle answered: {output}. See {page}, then run the same command again."),
)

# No command of kaggle answers the first question, and before 2.2.5 none the second one. So its Python API is asked, in a process
# of its own.
API_PROGRAM = """
import sys
from kaggle import api
from kagglesdk.competitions.types import competition_api_service as types
question, value = sys.argv[1:]
if not api._authenticated:
    api.authenticate()
with api.build_kaggle_client() as client:
    competitions = client.competitions.competition_api_client
    if question == "may download":
        request = types.ApiDownloadDataFilesRequest()
        request.competition_name = value
        competitions.download_data_files(request).close()
    else:
        request = types.ApiGetSubmissionRequest()
        request.ref = int(value)
        print("reason:", competitions.get_submission(request).error_description or "")
"""


class KaggleError(UserError):
    """A failure of Kaggle or of the connection to it; `kind` is the first word of its row in FAILURES, or "timeout"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.nothing_sent = kind, kind in NOTHING_SENT


@dataclass(frozen=True)
class Token:
    """Where kaggle would take its token from, and whether other users can read that file. Never the token itself."""

    location: str
    is_exposed: bool

    @property
    def warning(self) -> str:
        return f"Other users of this machine can read your Kaggle token: run `chmod 600 {self.location}`."


def get_version(*, timeout: float = 30) -> str:
    """Return the command's version; raise a KaggleError where the command is missing or broken."""
    found = re.search(r"CLI\s+(\d[\w.]*)", run_query(["--version"], "", timeout=timeout).out)
    return found[1] if found else "of an unknown version"


def download_archive(slug: str, folder: Path, *, timeout: float, force: bool = False, on_output: OnOutput | None = None) -> None:
    """Download <slug>.zip into a folder, continuing an earlier attempt; its content is not verified yet."""
    arguments = ["competitions", "download", "-c", slug, "-p", str(folder), *(["--force"] if force else [])]
    run_query(arguments, slug, timeout=timeout, on_output=on_output, retry_on=("busy", "server"))


def check_download_access(slug: str, *, timeout: float) -> None:
    """Raise the reason why this machine may not download the competition's files; nothing is downloaded."""
    run_query(["may download", slug], slug, timeout=timeout, program=[sys.executable, "-c", API_PROGRAM])


def iterate_delays(delays: Iterable[float], end: float) -> Iterator[float]:
    """Yield seconds to sleep before each poll: 0 first, then `delays`, the last one repeated until time.monotonic() is `end`."""
    yield 0
    remaining = list(delays)
    while time.monotonic() < end:
        yield min(remaining[0], max(0, end - time.monotonic()))
        remaining = remaining[1:] or remaining


def get_competition_url(slug: str) -> str:
    return f"https://www.kaggle.com/competitions/{slug}"


def find_token() -> Token | None:
    """Return where kaggle would take its token from, in its own order, or None."""
    value = os.environ.get("KAGGLE_API_TOKEN")
    if value and not os.path.isfile(value):
        return Token("KAGGLE_API_TOKEN", False)
    paths = [path for path in _list_token_files() if path == Path(value or "") or path.read_text(errors="replace").strip()]
    if not paths and os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        return Token("KAGGLE_USERNAME and KAGGLE_KEY", False)
    paths += [path for path, texts in _read_credentials().items() if texts]
    return Token(str(paths[0]), bool(paths[0].stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))) if paths else None


def _list_token_files() -> list[Path]:
    home = Path.home() / ".kaggle"
    paths = (os.environ.get("KAGGLE_API_TOKEN", ""), home / "access_token", home / "access_token.txt")
    return [Path(path) for path in paths if os.path.isfile(path)]


def _read_credentials() -> dict[Path, list[str]]:
    """Return all texts in the file where this kaggle keeps a name with a key, and in the one that `kaggle auth login` writes."""
    home = Path.home() / ".kaggle"
    newer = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
    config = Path(os.environ.get("KAGGLE_CONFIG_DIR") or (home if home.exists() else newer))
    texts = {}
    for path in (config / "kaggle.json", home / LOGIN_FILE):
        with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):   # the last one where it is no object
            texts[path] = [value for value in json.loads(path.read_text(encoding="utf-8")).values() if isinstance(value, str)]
    return texts


def clean_text(text: str) -> str:
    """Return text as one line without tokens, signatures of storage URLs and characters that control a terminal."""
    secrets = [os.environ.get(name, "") for name in ("KAGGLE_API_TOKEN", "KAGGLE_KEY")]
    secrets += [word for path in _list_token_files() for word in path.read_text(errors="replace").split()]
    secrets += [text for texts in _read_credentials().values() for text in texts]
    text = re.sub(TERMINAL_ESCAPE, "", text)
    text = "".join(character if character.isprintable() else " " for character in text).strip()
    for secret in sorted((secret for secret in secrets if len(secret) >= 8), key=len, reverse=True):
        text = text.replace(secret, "***")
    return re.sub(SECRET, "***", re.sub(SIGNED_URL, r"\1?***", text))


def run_query(arguments: list[str], slug: str, *, timeout: float, on_output: OnOutput | None = None,
              program: list[str] | None = None, retry_on: tuple[str, ...] = TEMPORARY) -> FinishedProcess:
    """Run a command that may be repeated. Return how it ended well, or raise a KaggleError after the last attempt."""
    for delay in (*RETRY_DELAYS, None):
        ended = _run(arguments, timeout, on_output, program)
        if ended.code == 0:
            break
        failure = _classify_failure(ended, slug, timeout)
        if delay is None or failure.kind not in retry_on:
            raise failure
        time.sleep(delay)
    return ended


def read_pages(arguments: list[str], slug: str, *, timeout: float) -> list[dict[str, str]]:
    """Return the rows of a list, of all pages where kaggle prints how to go on."""
    rows: list[dict[str, str]] = []
    token: list[str] = []
    for _ in range(MAX_PAGES):
        text = run_query([*arguments, "--format", "json", "--page-size", str(ROWS_PER_PAGE), *token], slug, timeout=timeout).out
        rows += parse_rows(text)
        if not (found := re.search(r"^Next Page Token = (\S+)", text, re.M)):
            break
        token = ["--page-token", found[1]]
    return rows


def read_rows(arguments: list[str], slug: str, *, timeout: float) -> list[dict[str, str]]:
    """Return the rows of a list that has one page."""
    return parse_rows(run_query([*arguments, "--format", "json"], slug, timeout=timeout).out)


def parse_rows(text: str) -> list[dict[str, str]]:
    """Return the rows of a JSON list as texts; warnings may stand before it, and a sentence in its place if it is empty."""
    start = re.search(r"^\[(?=\s|\])", text, re.M)
    try:
        if start:
            rows = json.JSONDecoder().raw_decode(text[start.start():])[0]
            return [{name: "" if value is None else clean_text(str(value)) for name, value in row.items()} for row in rows]
        if re.search(r"^No \w+( \w+)? (found|available)", text, re.M):
            return []
    except (ValueError, AttributeError, RecursionError):
        pass
    raise KaggleError("usage", f"This kaggle command prints lists in another format. To replace it, {INSTALL}.")


def run_once(arguments: list[str], slug: str, success: str, *, timeout: float, on_output: OnOutput | None = None,
             only_stdout: bool = False) -> tuple[str, KaggleError | None]:
    """Run a command that must not be repeated. Return its output, and its failure unless the output contains `success`."""
    ended = _run(arguments, timeout, on_output, only_stdout=only_stdout)
    succeeded = ended.code == 0 and success in ended.out
    return ended.out, None if succeeded else _classify_failure(ended, slug, timeout)


def _run(arguments: list[str], timeout: float, on_output: OnOutput | None, program: list[str] | None = None, *,
         only_stdout: bool = False) -> FinishedProcess:
    """Run a program, or the kaggle of this environment, else of PATH; one that does not know -W is run again without it."""
    unbuffered = {"PYTHONUNBUFFERED": "1"}  # so that each line of output shows that the command is alive
    run = partial(subprocesses.run_command, timeout=timeout, on_output=on_output, environment=unbuffered,
                  only_stdout=only_stdout)
    if program:
        return run([*program, *arguments])
    sibling = Path(sys.executable).with_name("kaggle")
    found = str(sibling) if sibling.exists() else shutil.which("kaggle")
    if not found:
        raise KaggleError("broken", f"The kaggle command is not installed. To install it, {INSTALL}.")
    ended = run([found, "-W", *arguments])
    is_unknown = ended.code == 2 and re.search(r"(unrecognized|no such).*-W", ended.err, re.IGNORECASE)
    return run([found, *arguments]) if is_unknown else ended


def _classify_failure(ended: FinishedProcess, slug: str, timeout: float) -> KaggleError:
    if ended.code is None:
        return KaggleError("timeout", f"Kaggle did not answer for {timeout:g} seconds. Check the network and "
                           "run the same command again (--kaggle-timeout SECONDS waits longer).")
    if ended.code == 2:
        return KaggleError("usage", f"This version of the kaggle command has other flags. To replace it, {INSTALL}.")
    # Progress bars are left out: their numbers look like HTTP statuses.
    text = f"{ended.out}\n{re.sub(HINT, '', ended.err)}"
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip() and "%|" not in line]
    kind, _, message = next(row for row in FAILURES if re.search(row[1], "\n".join(lines)))
    token = find_token()
    token_message = (f"Kaggle does not accept the token in {token.location} (401): {NEW_TOKEN}." if token
                     else f"There is no Kaggle token on this machine: {NEW_TOKEN}.")
    output = clean_text(lines[-1])[:200].rstrip(".") if lines else "nothing"
    return KaggleError(kind, message.format(output=output, page=get_competition_url(slug), token=token_message,
                                            location=token.location if token else "this machine"))


def follow_percentage(bar: ProgressBar) -> OnOutput:
    """Return an `on_output` that moves a bar as kaggle's own bar moves."""
    def update(text: str) -> None:
        for percent, rest in re.findall(r"(\d+)%\|[^|]*\|([^\r\n\[]*)", text)[-1:]:
            bar.advance(int(percent) - bar.done, rest.strip())
    return update
