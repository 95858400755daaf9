"""What is known of a competition's unpacked files, archive.json: the archive they came from, how many, how large."""

import os

from pixmend import files


def write_archive_manifest(folder, zipped, made_from, origin):
    count, size = _count_and_bytes(folder / "files")
    files.write_json(folder / "archive.json", {
        "archive": zipped.name, "sha256": files.hash_file(zipped), "stamp": files.file_signature(zipped), "origin": origin,
        "made_from": made_from, "count": count, "bytes": size})


def adopt_folder(folder, elsewhere, slug, known=None):
    """Use files that lie unpacked elsewhere; a receipt from another machine says which archive they are, if it fits."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "files").is_symlink():
        (folder / "files").symlink_to(elsewhere)
    count, size = _count_and_bytes(folder / "files")
    fits = known and (known["count"], known["bytes"]) == (count, size)
    files.write_json(folder / "archive.json", {
        "archive": f"{slug}.zip", "sha256": known["sha256"] if fits else files.hash_value([slug, count, size]),
        "stamp": [], "origin": str(elsewhere), "made_from": {"slug": slug}, "count": count, "bytes": size})


def read_archive_manifest(folder):
    return files.read_json(folder / "archive.json")


def get_cache_key(contest, settings):
    """What decides the files: of a contest that is made here, the settings; else its name on Kaggle."""
    return contest.cache_key(settings)


def is_complete(contest, settings):
    """Whether the files are those of the archive that was tested, as many and as large; the archive itself may go."""
    folder = settings.competition_folder
    zipped, known = folder / f"{contest.slug}.zip", read_archive_manifest(folder)
    if known is None or known["made_from"] != get_cache_key(contest, settings):
        return False
    if contest.is_synthetic and not (folder / f"solution{contest.submission.suffix}").exists():
        return False
    same = not zipped.exists() or files.file_signature(zipped) == known["stamp"] or files.hash_file(zipped) == known["sha256"]
    return same and _count_and_bytes(folder / "files") == (known["count"], known["bytes"])


def get_origin(folder, zipped):
    """Where an archive that lies there came from: what the receipt says, if it speaks of this very file."""
    known = read_archive_manifest(folder)
    return known["origin"] if known and known["stamp"] == files.file_signature(zipped) else "put there by hand"


def _count_and_bytes(folder):
    sizes = [os.stat(os.path.join(root, name)).st_size for root, _, names in os.walk(folder) for name in names]
    return len(sizes), sum(sizes)
