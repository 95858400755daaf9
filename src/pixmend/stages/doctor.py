"""Check this machine and the way to Kaggle, and print a tick or the next step for each thing."""

import contextlib
import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from pixmend import backend, competitions, config, subprocesses, workers
from pixmend.competitions.base import Competition
from pixmend.config import Settings
from pixmend.data import archive_manifest
from pixmend.errors import UserError
from pixmend.kaggle import client, kernel_script, submission_client
from pixmend.setting_values import format_stage_command

GOOD, BAD, NOTE = "\u2713", "\u2717", "\u2013"  # NOTE: nothing that this competition needs
PYTHON_VERSIONS = ((3, 11), (3, 12), (3, 13))
DISK_GB = {"synthetic": 1, "Kaggle": 6}
MEMORY_GB = 3
INSTALLERS = {"pip", "setuptools", "wheel"}  # any version of these will do
TIMEOUT = 60  # seconds for the answers of the network and of the backend
BACKEND_PROGRAM = """
from pixmend import backend
backend.start_keras()
print("backend:", backend.get_name(), "|", ", ".join(backend.list_accelerators()))
"""

Result = tuple[str, str]  # a mark and a message


def main(settings: Settings) -> int:
    """Print the results of all checks; return 1 if something is missing."""
    competition = competitions.get_competition(settings.competition)
    marks = set()
    for check in (check_python, check_packages, check_machine, check_backend, check_competition_files, check_kaggle):
        for mark, message in check(competition, settings):
            print(f"{mark} {message}", flush=True)
            marks.add(mark)
    good = f"Everything that {settings.competition} needs is there."
    print("Something is missing: see the lines with a cross." if BAD in marks else good)
    return int(BAD in marks)


def check_python(competition: Competition, settings: Settings) -> Iterator[Result]:
    version = ".".join(map(str, sys.version_info[:3]))
    advice = "TensorFlow has packages for Python 3.11, 3.12 and 3.13 only. Install one of them, then run ./set_up.sh."
    yield (GOOD, f"Python {version}") if sys.version_info[:2] in PYTHON_VERSIONS else (BAD, f"Python {version}: {advice}")


def check_packages(competition: Competition, settings: Settings) -> Iterator[Result]:
    """Compare the installed packages with the lock file, or outside a checkout with what the package requires."""
    required = set(kernel_script.list_requirements())
    lock = config.CHECKOUT / "requirements.txt"
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)) if lock.exists() else {}
    needed = required if backend.get_name() == "tensorflow" else required - {"tensorflow"}
    differences: dict[str, list[str]] = {BAD: [], NOTE: []}
    for name in sorted({*required, *locked} - INSTALLERS):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name in needed:
                differences[BAD].append(f"{name} is missing")
            continue
        if version != locked.get(name, version):
            differences[BAD if name in required else NOTE].append(f"{name} is {version}, not {locked[name]}")
    for mark, found in differences.items():
        if found:
            yield mark, f"Packages: {'; '.join(found)}. To install the tested versions, {client.INSTALL}."
    if not differences[BAD]:
        state = "at the versions of requirements.txt" if locked else "all installed"
        yield GOOD, f"Packages: {len(required)} required ones, {state}"


def check_machine(competition: Competition, settings: Settings) -> Iterator[Result]:
    """Check the disk, the memory (of the container, if it has less) and the cores."""
    folder = next(path for path in (Path(settings.home), *Path(settings.home).absolute().parents) if path.exists())
    free, needed = shutil.disk_usage(folder).free / 1e9, DISK_GB["synthetic" if competition.is_synthetic else "Kaggle"]
    if not os.access(folder, os.W_OK):
        yield BAD, f"Disk: {folder} is not writable. Choose another --home."
    elif free < needed:
        yield BAD, f"Disk: {free:.1f} GB free, {needed} GB needed. Free some space or choose another --home."
    else:
        yield GOOD, f"Disk: {free:.0f} GB free"
    total, limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else ""
    memory = min(total, int(text) if text.isdigit() else total) / 1e9
    too_little = f"Memory: {memory:.1f} GB, {MEMORY_GB} GB needed. Use a smaller --width, or another machine."
    yield (GOOD, f"Memory: {memory:.0f} GB") if memory >= MEMORY_GB else (BAD, too_little)
    yield GOOD, f"Cores: {workers.count_cores()}"


def check_backend(competition: Competition, settings: Settings) -> Iterator[Result]:
    """Start Keras in a process of its own: that takes seconds, and some backends crash."""
    command = [sys.executable, "-c", BACKEND_PROGRAM]
    ended = subprocesses.run_command(command, timeout=TIMEOUT, environment={"TF_CPP_MIN_LOG_LEVEL": "3"})
    found = re.search(r"backend: (\w+) \| (.*)", ended.out)
    if not found:
        last_line = (ended.err.strip().splitlines() or ["no answer"])[-1]
        yield BAD, f"Backend: Keras does not start ({last_line}). To repair it, {client.INSTALL}."
    elif found[2]:
        yield GOOD, f"Backend: {found[1]}, on {found[2]}"
    elif shutil.which("nvidia-smi"):
        yield NOTE, (f"Backend: {found[1]}, on the CPU. A GPU is here, but this environment cannot use it: run "
                     "`./set_up.sh cuda` (without a checkout: `pip install 'pixmend[cuda]'`).")
    else:
        yield GOOD, f"Backend: {found[1]}, on the CPU (this machine has no accelerator)"


def check_competition_files(competition: Competition, settings: Settings) -> Iterator[Result]:
    folder, known = settings.competition_folder, None
    with contextlib.suppress(UserError):   # a damaged manifest is written again by `download`
        known = archive_manifest.read_archive_manifest(folder) if archive_manifest.is_complete(competition, settings) else None
    if known:
        yield GOOD, f"Competition files: {known['count']} in {folder / 'files'}, complete"
    else:
        yield BAD, (f"Competition files: not in {folder}, not complete, or made with other flags (--size, --photos). Get them: "
                    f"{format_stage_command('download', settings)}")


def check_kaggle(competition: Competition, settings: Settings) -> Iterator[Result]:
    """Check the way to Kaggle step by step, up to the first obstacle."""
    is_needed = not competition.is_synthetic
    bad, timeout = BAD if is_needed else NOTE, min(settings.kaggle_timeout, TIMEOUT)
    try:
        yield GOOD, f"kaggle command: {client.get_version(timeout=timeout)}"
        if not (token := client.find_token()):
            advice = f"To submit, {client.NEW_TOKEN}" if is_needed else f"{settings.competition} needs none"
            yield bad, f"Kaggle token: none. {advice}."
            return
        origin = ", from `kaggle auth login`" if Path(token.location).name == client.LOGIN_FILE else ""
        good = GOOD, f"Kaggle token: {token.location}{origin}, private"
        yield (bad, f"Kaggle token: {token.warning}") if token.is_exposed else good
        if is_needed:
            client.check_download_access(competition.slug, timeout=timeout)
            yield GOOD, f"Kaggle: {competition.slug} is reachable and its rules are accepted"
            limits = submission_client.read_limits(competition.slug, timeout=timeout)
            yield NOTE if limits is None or limits.is_used_up else GOOD, submission_client.describe_limits(limits)
    except UserError as error:
        yield bad, f"Kaggle: {error}"
