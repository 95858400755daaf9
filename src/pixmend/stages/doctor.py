"""Check what a first run trips over, and print for each a tick or the exact next step."""

import importlib.metadata
import os
import re
import shutil
import sys
from pathlib import Path

from pixmend import competitions, config, subprocesses, workers
from pixmend.data import archive_manifest
from pixmend.errors import UserError
from pixmend.kaggle import client

GOOD, BAD, BESIDE = "\u2713", "\u2717", "\u2013"  # BESIDE: told, but nothing that this contest needs
OLDEST_PYTHON = (3, 11)
DISK_GB = {True: 1, False: 6}  # a contest made here; one from Kaggle
MEMORY_GB = 3
PATIENCE = 60  # seconds for the network's and the backend's answers
ASK_BACKEND = """
from pixmend import backend
backend.start()
print("backend:", backend.name(), "|", ", ".join(backend.accelerators()))
"""


def main(chosen):
    contest = competitions.get_competition(chosen.competition)
    bad = False
    for check in (python, packages, disk, memory, cores, backend, competition_files, kaggle):
        for mark, text in check(contest, chosen):
            print(f"{mark} {text}", flush=True)
            bad = bad or mark == BAD
    print("Something needs mending first." if bad else f"All that {chosen.competition} needs is there.")
    return int(bad)


def python(contest, chosen):
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield BAD, f"Python {found} is too old: install Python 3.11 or newer."
    else:
        yield GOOD, f"Python {found}"


def packages(contest, chosen):
    """Every package of requirements.txt at the version that was tested."""
    listed = Path(config.ROOT / "requirements.txt").read_text(encoding="utf-8")
    wanted = re.findall(r"^([\w.-]+)==([\w.]+)", listed, re.MULTILINE)
    wanted = [pair for pair in wanted if pair[0] != "tensorflow" or os.environ.get("KERAS_BACKEND", pair[0]) == pair[0]]
    wrong = [problem for name, version in wanted if (problem := _differs(name, version))]
    if wrong:
        yield BAD, f"Packages: {'; '.join(wrong)}. {client.INSTALL[0].upper()}{client.INSTALL[1:]}."
    else:
        yield GOOD, f"Packages: {len(wanted)} at the versions of requirements.txt"


def _differs(name, version):
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is missing"
    return "" if found == version else f"{name} is {found}, not {version}"


def disk(contest, chosen):
    folder = next(path for path in (Path(chosen.home), *Path(chosen.home).absolute().parents) if path.exists())
    free, needed = shutil.disk_usage(folder).free / 1e9, DISK_GB[contest.is_synthetic]
    if not os.access(folder, os.W_OK):
        yield BAD, f"Disk: {folder} may not be written: choose another --home."
    elif free < needed:
        yield BAD, f"Disk: {free:.1f} GB free, {needed} GB needed: free some space or choose another --home."
    else:
        yield GOOD, f"Disk: {free:.0f} GB free"


def memory(contest, chosen):
    amount = min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_memory_allowed()]) / 1e9
    if amount < MEMORY_GB:
        yield BAD, f"Memory: {amount:.1f} GB, {MEMORY_GB} GB needed: use a smaller --width, or another machine."
    else:
        yield GOOD, f"Memory: {amount:.0f} GB"


def _memory_allowed():
    """The limit of a container, where there is one."""
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else ""
    return [int(text)] if text.isdigit() else []


def cores(contest, chosen):
    yield GOOD, f"Cores: {workers.cores()}"


def backend(contest, chosen):
    """Asked in a process of its own: the backends take seconds to start, and some crash."""
    ended = subprocesses.run([sys.executable, "-c", ASK_BACKEND], patience=PATIENCE, environment={"TF_CPP_MIN_LOG_LEVEL": "3"})
    answer = re.search(r"backend: (\w+) \| (.*)", ended.out)
    if not answer:
        last = (ended.err.strip().splitlines() or ["no answer"])[-1]
        yield BAD, f"Backend: Keras does not start ({last}). {client.INSTALL[0].upper()}{client.INSTALL[1:]}."
    elif answer[2]:
        yield GOOD, f"Backend: {answer[1]}, which sees {answer[2]}"
    elif shutil.which("nvidia-smi"):
        yield BESIDE, (f"Backend: {answer[1]} sees no accelerator though this machine has NVIDIA's driver: "
                       "run `python -m pip install 'jax[cuda12]'` and set KERAS_BACKEND=jax.")
    else:
        yield GOOD, f"Backend: {answer[1]}, on the CPU (no accelerator here)"


def competition_files(contest, chosen):
    folder = chosen.competition_folder
    if archive_manifest.complete(contest, chosen):
        yield GOOD, f"Competition files: {archive_manifest.receipt(folder)['count']} in {folder / 'files'}, complete"
    else:
        yield BAD, f"Competition files: not complete in {folder}: run `python -m pixmend download` with the same flags."


def kaggle(contest, chosen):
    """The way to Kaggle step by step, up to the first that bars it."""
    needed = not contest.is_synthetic
    bad = BAD if needed else BESIDE
    patience = min(chosen.kaggle_timeout, PATIENCE)
    try:
        yield GOOD, f"kaggle command: {client.get_version(timeout=patience)}"
        found = client.find_token()
        if found is None:
            why = "" if needed else f" ({chosen.competition} needs none)"
            yield bad, f"Kaggle token: none{why}; {client.NEW_TOKEN}."
            return
        yield token_mark(found, bad)
        if needed:
            yield from at_kaggle(contest.slug, patience)
    except UserError as error:
        yield bad, f"Kaggle: {error}"


def token_mark(found, bad):
    if found.is_exposed:
        return bad, f"Kaggle token: others on this machine can read it: run `chmod 600 {found.location}`."
    return GOOD, f"Kaggle token: from {found.location}, for nobody else to read"


def at_kaggle(slug, patience):
    client.check_download_access(slug, timeout=patience)
    yield GOOD, f"Kaggle: {slug} is reachable and its rules are accepted"
    left = client.get_limits(slug, timeout=patience)
    if left is None:
        yield BESIDE, "Submissions left today: this version of kaggle does not tell"
    elif left.is_reached:
        yield BESIDE, "Submissions left today: none; there are new ones after midnight UTC."
    else:
        yield GOOD, f"Submissions left today: {left.remaining or 'not known before the first one'}"
