"""The manifest of a competition's unpacked files, archive.json: their archive, number and size."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixmend import files

HOLE_COLOUR = "filling"   # in `made_from`: with which --hole-colour the files were made here
FIELDS = {"sha256": str, "stamp": [int], "origin": str, "made_from": dict, "count": int, "bytes": int}


def write_archive_manifest(folder: Path, zipped: Path, cache_key: Mapping[str, Any], origin: str) -> None:
    count, size = _count_and_bytes(folder / "files")
    files.write_json(folder / "archive.json", {
        "archive": zipped.name, "sha256": files.hash_file(zipped), "stamp": files.file_signature(zipped), "origin": origin,
        "made_from": cache_key, "count": count, "bytes": size})


def adopt_folder(folder: Path, elsewhere: files.PathLike, slug: str, known: Mapping[str, Any] | None = None) -> None:
    """Use files that are unpacked elsewhere; a matching manifest of another machine identifies their archive."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "files"
    if link.is_symlink():
        link.unlink()
    link.symlink_to(elsewhere)
    count, size = _count_and_bytes(folder / "files")
    is_same = known and (known["count"], known["bytes"]) == (count, size)
    sha256 = known["sha256"] if known and is_same else files.hash_value([slug, count, size])
    files.write_json(folder / "archive.json", {
        "archive": f"{slug}.zip", "sha256": sha256, "stamp": [], "origin": str(elsewhere),
        "made_from": {"slug": slug}, "count": count, "bytes": size})


def read_archive_manifest(folder: Path) -> dict[str, Any] | None:
    return files.read_object(folder / "archive.json", FIELDS)


def is_complete(competition: Any, settings: Any) -> bool:
    """Tell whether the files match the tested archive in number and size; the archive itself may be deleted."""
    folder = settings.competition_folder
    known, zipped = read_fitting_manifest(competition, settings), folder / f"{competition.slug}.zip"
    return (known is not None and (not zipped.exists() or is_tested_archive(zipped, known))
            and _count_and_bytes(folder / "files") == (known["count"], known["bytes"]))


def needs_unpacking_only(competition: Any, settings: Any) -> bool:
    """Tell whether the tested archive is there, so that it is neither downloaded nor made again."""
    known, zipped = read_fitting_manifest(competition, settings), settings.competition_folder / f"{competition.slug}.zip"
    return known is not None and zipped.exists() and is_tested_archive(zipped, known)


def read_fitting_manifest(competition: Any, settings: Any) -> dict[str, Any] | None:
    """Return the manifest of an archive that these settings give; photos that it was made from need not be named again."""
    folder = settings.competition_folder
    known = read_archive_manifest(folder)
    if known is None or not competition.cache_key(settings).items() <= known["made_from"].items():
        return None
    has_solution = not competition.is_synthetic or (folder / f"solution{competition.submission.suffix}").exists()
    return known if has_solution else None


def is_tested_archive(zipped: Path, known: Mapping[str, Any]) -> bool:
    """Tell whether an archive is the one of a manifest."""
    return bool(files.file_signature(zipped) == known["stamp"] or files.hash_file(zipped) == known["sha256"])


def get_origin(folder: Path, zipped: Path) -> str:
    """Return where an archive came from, according to the manifest if it describes this file."""
    known = read_archive_manifest(folder)
    return str(known["origin"]) if known and known["stamp"] == files.file_signature(zipped) else "put there by hand"


def _count_and_bytes(folder: Path) -> tuple[int, int]:
    """Return those of the files that are not hidden: file managers and editors add hidden ones, also links to nothing."""
    paths = [os.path.join(root, name) for root, _, names in os.walk(folder) for name in names if name[0] != "."]
    sizes = [os.stat(path).st_size for path in paths if os.path.exists(path)]
    return len(sizes), sum(sizes)
