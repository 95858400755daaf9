"""The one place that starts the `kaggle` command: every call ends in an answer or in a sentence that says what to do.

The command's exit code alone proves nothing (a failed upload ends with 0, a submission that was made can end with 1),
so its text is read too. Whatever it prints is masked before anybody sees it: a token never leaves this file.
"""

import csv
import json
import os
import re
import shutil
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pixmend import subprocesses
from pixmend.errors import UserError

BACKOFF = (1, 3)  # seconds before a question is asked again
PASSING = ("busy", "server", "network")
MAY_ARRIVE_LATE = ("silent", "network", "server")
SECOND_LOOK = 2  # seconds after the first look for what was sent and whose answer was lost
LIKE_A_SECRET = r"(?i)(bearer|basic) +[\w.~+/=-]{8,}|KGAT_\w+|\b[0-9a-f]{32}\b"
AT_ONCE = {"PYTHONUNBUFFERED": "1"}  # each line that the command prints is a sign of life
MOST_LISTED = 200
LISTED = {"description", "status", "publicScore"}  # columns that a list of submissions has
INSTALL = "run `python -m pip install -r requirements.txt`"
NEW_TOKEN = ("make one at https://www.kaggle.com/settings/api, save it as ~/.kaggle/access_token "
             "and run `chmod 600 ~/.kaggle/access_token`")

# What the command prints, and the sentence a person reads instead; the first that fits is taken.
TROUBLES = (
    ("broken", r"No module named|ImportError",
     f"The kaggle command does not start ({{said}}); {INSTALL}."),
    ("disk", r"No space left|\[Errno (13|28|30)\]",
     "kaggle could not write ({said}); free some space or mend the folder's rights, then run the same command again."),
    ("rules", r"accept[\w' ]{0,60}rules|rules[\w' ]{0,60}accept|rulesAcceptance",
     "Kaggle wants this competition's rules accepted first: do so at {page}/rules, then run the same command again."),
    ("token", r"Authentication required|\b401\b|Unauthorized|Unauthenticated|Invalid credentials", "{token}"),
    ("limit", r"(submission|daily)[\w' ]{0,60}limit|limit[\w' ]{0,60}submission|submitted the maximum",
     "Kaggle takes no more submissions today ({said}); run the same command again after midnight UTC."),
    ("forbidden", r"\b403\b|Forbidden|[Pp]ermission",
     "Kaggle refuses this (403): most often its rules are not accepted yet, so accept them at {page}/rules "
     "with the account whose token is in {where}."),
    ("missing", r"\b404\b|Not Found|not found|Could not find competition",
     "Kaggle knows no such competition or it is closed (404): look at {page}."),
    ("busy", r"\b429\b|[Tt]oo many requests|[Rr]ate limit",
     "Kaggle asks to wait (429, too many requests); run the same command again in some minutes."),
    ("garbled", r"does not match expected size", "The download came with a wrong size; run the same command again."),
    ("network", r"Max retries exceeded|Failed to (establish|resolve)|[Cc]onnection ?(refused|reset|aborted|broken)"
                r"|ConnectionError|RemoteDisconnected|IncompleteRead|ProxyError|timed out|NameResolution",
     "Kaggle could not be reached or the connection broke off; look at the network (and HTTPS_PROXY), "
     "then run the same command again: it goes on from there."),
    ("server", r"\b50[0-9]\b|Server Error|Internal error|Bad Gateway|Unavailable",
     "Kaggle's server is in trouble ({said}); run the same command again in some minutes."),
    ("upload", r"Could not submit to competition",
     "The upload did not arrive at Kaggle; run the same command again in some minutes."),
    ("other", r"", "Kaggle answered: {said}. See {page}, then run the same command again."),
)

# 2.2.4 tells neither of these on its command line, so its Python API is asked, in a process of its own.
ASK = """
import sys
from kaggle import api
from kagglesdk.competitions.types import competition_api_service as types
what, value = sys.argv[1:]
if not api._authenticated:
    api.authenticate()
with api.build_kaggle_client() as client:
    competitions = client.competitions.competition_api_client
    if what == "may download":
        request = types.ApiDownloadDataFilesRequest()
        request.competition_name = value
        competitions.download_data_files(request).close()
    else:
        request = types.ApiGetSubmissionRequest()
        request.ref = int(value)
        print("reason:", competitions.get_submission(request).error_description or "")
"""


class KaggleError(UserError):
    """What Kaggle or the way to it refused; `kind` is one word for it."""

    def __init__(self, kind, sentence):
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True)
class Token:
    """Where the token comes from that kaggle would use, and whether others can read it; never the token itself."""

    where: str
    exposed: bool


@dataclass(frozen=True)
class Submission:
    ref: str
    date: str
    description: str
    status: str
    public: str
    private: str


@dataclass(frozen=True)
class Limits:
    today: int
    total: int
    remaining: int

    @property
    def used_up(self):
        """Before a team's first submission all three are 0, which forbids nothing."""
        return self.remaining == 0 and self.today + self.total > 0


def version(*, patience=30):
    """The version as text, or a KaggleError where the command is missing or broken."""
    found = re.search(r"CLI\s+([\w.]+)", call(["--version"], "", patience=patience).out)
    return found[1] if found else "of an unknown version"


def download(slug, folder, *, patience, force=False, heard=None):
    """Bring <slug>.zip into a folder, going on where an earlier try stopped; its bytes are not proven yet."""
    arguments = ["competitions", "download", "-c", slug, "-p", str(folder)] + ["--force"] * force
    call(arguments, slug, patience=patience, heard=heard, again=("busy", "server"))


def may_download(slug, *, patience):
    """Raise what stands between this machine and the competition's files; nothing is downloaded."""
    call(["may download", slug], slug, patience=patience, program=_api())


def submissions(slug, *, patience):
    """The latest submissions, newest first."""
    arguments = ["competitions", "submissions", "-c", slug, "-v", "--page-size", str(MOST_LISTED)]
    text = call(arguments, slug, patience=patience).out
    return [] if "No submissions found" in text else _submissions(text)


def _submissions(text):
    """Rows of the CSV in the text: it begins at its header, whatever warnings stand before it."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if set(line.split(",")) >= LISTED), None)
    if start is None:
        raise KaggleError("usage", f"This version of the kaggle command lists submissions in another way; {INSTALL}.")
    rows = csv.DictReader(lines[start:])
    return [Submission(row.get("ref") or "", row.get("date") or "", row.get("description") or "",
                       (row.get("status") or "").rsplit(".", 1)[-1].upper(), row.get("publicScore") or "",
                       row.get("privateScore") or "") for row in rows]


def find(slug, digits, *, patience):
    """The newest submission whose message holds these digits of a file's hash, or None."""
    return next((s for s in submissions(slug, patience=patience) if digits in s.description), None)


def limits(slug, *, patience):
    """The submissions used and left, or None where this version of the command does not tell."""
    try:
        text = call(["competitions", "submission-limits", slug], slug, patience=patience).out
    except KaggleError as error:
        if error.kind != "usage":
            raise
        return None
    found = [re.search(rf"{words}:\s*(\d+)", text) for words in ("today", "Lifetime submissions", "Remaining today")]
    return Limits(*(int(match[1]) for match in found)) if all(found) else None


def submit(slug, file, message, *, patience, heard=None):
    """Send a file once. None: Kaggle has it; otherwise what went wrong, and Kaggle may have it all the same."""
    arguments = ["competitions", "submit", "-c", slug, "-f", str(file), f"--message={message}"]
    return once(arguments, slug, "Successfully submitted", patience=patience, heard=heard)[1]


def reason(ref, slug, *, patience):
    """Why a submission could not be scored, as far as Kaggle tells."""
    try:
        text = call(["reason", ref], slug, patience=patience, program=_api()).out
    except KaggleError:
        return ""
    return text.rpartition("reason:")[2].strip()


def pauses(each, ends):
    """Seconds before each look at what Kaggle is at work on: none before the first, the last for ever, and not beyond the end."""
    yield 0
    left = list(each)
    while time.monotonic() < ends:
        yield min(left[0], max(0, ends - time.monotonic()))
        left = left[1:] or left


def page(slug):
    return f"https://www.kaggle.com/competitions/{slug}"


def token():
    """Where kaggle would take a token from, in its own order, or None."""
    if given := os.environ.get("KAGGLE_API_TOKEN"):
        return _in_file(Path(given)) if _exists(given) else Token("KAGGLE_API_TOKEN", False)
    home = Path.home() / ".kaggle"
    for path in (home / "access_token", home / "access_token.txt"):
        if path.is_file() and path.read_text(errors="replace").strip():
            return _in_file(path)
    key_file = config_folder() / "kaggle.json"
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        return Token("KAGGLE_USERNAME and KAGGLE_KEY", False)
    return next((_in_file(path) for path in (key_file, home / "credentials.json") if _texts(path)), None)


def config_folder():
    """Where this version of kaggle keeps kaggle.json."""
    home = Path.home() / ".kaggle"
    elsewhere = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
    return Path(os.environ.get("KAGGLE_CONFIG_DIR") or (home if home.exists() else elsewhere))


def _in_file(path):
    return Token(str(path), bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)))


def _exists(text):
    try:
        return Path(text).is_file()
    except OSError:
        return False


def _texts(path):
    """All texts in a JSON file of credentials."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [value for value in found.values() if isinstance(value, str)] if isinstance(found, dict) else []


def masked(text):
    """Text without anything that could open an account."""
    secrets = [os.environ.get(name, "") for name in ("KAGGLE_API_TOKEN", "KAGGLE_KEY")]
    home = Path.home() / ".kaggle"
    given = os.environ.get("KAGGLE_API_TOKEN", "")
    for path in (home / "access_token", home / "access_token.txt", *([Path(given)] if _exists(given) else [])):
        secrets += path.read_text(errors="replace").split() if path.is_file() else []
    for path in (config_folder() / "kaggle.json", home / "credentials.json"):
        secrets += _texts(path)
    for secret in sorted((secret for secret in secrets if len(secret) >= 8), key=len, reverse=True):
        text = text.replace(secret, "***")
    return re.sub(LIKE_A_SECRET, "***", text)


def _kaggle():
    """The command of this environment first, else whatever the PATH has."""
    beside = Path(sys.executable).with_name("kaggle")
    found = str(beside) if beside.exists() else shutil.which("kaggle")
    if not found:
        raise KaggleError("broken", f"The kaggle command is not installed; {INSTALL}.")
    return [found, "-W"]


def _api():
    return [sys.executable, "-c", ASK]


def call(arguments, slug, *, patience, heard=None, program=None, again=PASSING):
    """Ask a question that may be repeated; the answer, or a KaggleError after the last try."""
    for pause in (*BACKOFF, None):
        ended = _run([*(program or _kaggle()), *arguments], patience, heard)
        if ended.code == 0:
            return ended
        trouble = _trouble(ended, slug, patience)
        if pause is None or trouble.kind not in again:
            raise trouble
        time.sleep(pause)


def once(arguments, slug, success, *, patience, heard=None):
    """Send what must not be sent twice: what the command said, and what went wrong unless it said `success`."""
    try:
        ended = _run([*_kaggle(), *arguments], patience, heard)
    except KaggleError as error:
        return "", error
    done = ended.code == 0 and success in ended.out
    return ended.out, None if done else _trouble(ended, slug, patience)


def _run(command, patience, heard=None):
    """Run it; a version that no longer knows -W refuses before it does anything, and is asked without."""
    ended = subprocesses.run(command, patience=patience, heard=heard, environment=AT_ONCE)
    if ended.code == 2 and "-W" in command and re.search(r"(unrecognized|no such).*-W", ended.err, re.IGNORECASE):
        ended = subprocesses.run([word for word in command if word != "-W"], patience=patience, heard=heard,
                          environment=AT_ONCE)
    return ended


def _trouble(ended, slug, patience):
    if ended.code is None:
        return KaggleError("silent", f"Kaggle gave no sign of life for {patience:g} seconds; look at the network and "
                           "run the same command again (--kaggle-timeout waits longer).")
    if ended.code == 2:
        return KaggleError("usage", f"This version of the kaggle command takes other flags; {INSTALL}.")
    said = _lines(ended.out) + _lines(ended.err)
    kind, _, sentence = next(row for row in TROUBLES if re.search(row[1], "\n".join(said)))
    found = token()
    return KaggleError(kind, sentence.format(said=_short(said), page=page(slug), token=_token_sentence(found),
                                             where=found.where if found else "this machine"))


def _token_sentence(found):
    if found:
        return f"Kaggle does not take the token of {found.where} (401): {NEW_TOKEN}."
    return f"There is no Kaggle token on this machine: {NEW_TOKEN}."


def _lines(text):
    """What was said, without progress bars: their figures look like statuses."""
    return [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip() and "%|" not in line]


def _short(said):
    """The last thing said, short and without secrets."""
    return masked(said[-1])[:200].rstrip(".") if said else "nothing"


def percent(bar):
    """Moves a bar by what kaggle's own bar shows."""
    def heard(text):
        for share, rest in re.findall(r"(\d+)%\|[^|]*\|([^\r\n\[]*)", text)[-1:]:
            bar.advance(int(share) - bar.done, rest.strip())
    return heard
