"""What is known of a competition's unpacked files, archive.json: the archive they came from, how many, how large."""

import os

from pixmend import files


def write_receipt(folder, zipped, made_from, origin):
    count, size = _count_and_bytes(folder / "files")
    files.write_json(folder / "archive.json", {
        "archive": zipped.name, "sha256": files.sha256(zipped), "stamp": files.stamp(zipped), "origin": origin,
        "made_from": made_from, "count": count, "bytes": size})


def adopt(folder, elsewhere, slug, known=None):
    """Use files that lie unpacked elsewhere; a receipt from another machine says which archive they are, if it fits."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "files").is_symlink():
        (folder / "files").symlink_to(elsewhere)
    count, size = _count_and_bytes(folder / "files")
    fits = known and (known["count"], known["bytes"]) == (count, size)
    files.write_json(folder / "archive.json", {
        "archive": f"{slug}.zip", "sha256": known["sha256"] if fits else files.fingerprint([slug, count, size]),
        "stamp": [], "origin": str(elsewhere), "made_from": {"slug": slug}, "count": count, "bytes": size})


def receipt(folder):
    return files.read_json(folder / "archive.json")


def made_from(contest, settings):
    """What decides the files: of a contest that is made here, the settings; else its name on Kaggle."""
    return contest.cache_key(settings)


def complete(contest, settings):
    """Whether the files are those of the archive that was tested, as many and as large; the archive itself may go."""
    folder = settings.competition_folder
    zipped, known = folder / f"{contest.slug}.zip", receipt(folder)
    if known is None or known["made_from"] != made_from(contest, settings):
        return False
    if contest.is_synthetic and not (folder / f"solution{contest.submission.suffix}").exists():
        return False
    same = not zipped.exists() or files.stamp(zipped) == known["stamp"] or files.sha256(zipped) == known["sha256"]
    return same and _count_and_bytes(folder / "files") == (known["count"], known["bytes"])


def origin(folder, zipped):
    """Where an archive that lies there came from: what the receipt says, if it speaks of this very file."""
    known = receipt(folder)
    return known["origin"] if known and known["stamp"] == files.stamp(zipped) else "put there by hand"


def _count_and_bytes(folder):
    sizes = [os.stat(os.path.join(root, name)).st_size for root, _, names in os.walk(folder) for name in names]
    return len(sizes), sum(sizes)
