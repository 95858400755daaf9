"""Bring the contest's archive from Kaggle (or make the demo's), check it and unpack it into competition/."""

import shutil

from pixmend import competitions, files
from pixmend.data import archive, archive_manifest
from pixmend.errors import UserError
from pixmend.kaggle import client
from pixmend.progress import Bar, say


def main(settings):
    contest, folder = competitions.get_competition(settings.competition), settings.competition_folder
    with files.only_one(folder):
        if not settings.force and archive_manifest.complete(contest, settings):
            say(f"{folder / 'files'} holds all of {contest.slug} already.")
            return
        zipped, members, origin = _bring(contest, settings)
        archive_manifest.write_receipt(folder, zipped, archive_manifest.made_from(contest, settings), origin)
    say(f"{folder / 'files'}: {len(members)} files of {contest.slug}, every checksum tested.")


def _bring(contest, settings):
    """The archive at its place and its files unpacked: made here, found here, or from Kaggle."""
    folder = settings.competition_folder
    zipped = folder / f"{contest.slug}.zip"
    if contest.is_synthetic:
        contest.make_archive(folder, settings)
        return zipped, _unpack(contest, zipped, folder / "files", made_here=True), "made here"
    if not zipped.exists() or (settings.force and archive_manifest.origin(folder, zipped) == "Kaggle"):
        return zipped, _from_the_net(contest, settings, zipped), "Kaggle"
    return zipped, _unpack(contest, zipped, folder / "files"), archive_manifest.origin(folder, zipped)


def _unpack(contest, zipped, folder, *, made_here=False):
    if contest.submission.sample_name not in {member.filename for member in archive.contents(zipped, made_here=made_here)}:
        raise archive.BadArchive(f"{zipped} is a zip archive, but not of this contest: it holds no {contest.submission.sample_name}; "
                                 "put the contest's own archive there, or delete it and run `python -m pixmend download`.")
    return archive.unpack(zipped, folder, made_here=made_here)


def _from_the_net(contest, settings, zipped):
    """Download beside, unpack, and only then give the archive its name; a damaged one is fetched once more."""
    _need_a_token(contest.slug, zipped)
    beside = settings.competition_folder / ".download"
    beside.mkdir(exist_ok=True)
    arrived = beside / zipped.name
    try:
        members = _fetch(contest, settings, arrived)
    except (archive.BadArchive, client.KaggleError) as error:
        if getattr(error, "kind", "garbled") != "garbled":
            raise
        say("The download came damaged; fetching it once more from its beginning.")
        members = _fetch_again(contest, settings, arrived)
    files.move_into_place(arrived, zipped)
    shutil.rmtree(beside)
    return members


def _fetch(contest, settings, arrived, force=False):
    with Bar("download", 100) as bar:
        client.download_archive(contest.slug, arrived.parent, timeout=settings.kaggle_timeout, force=force, on_output=client.follow_percentage(bar))
    return _unpack(contest, arrived, settings.competition_folder / "files")


def _fetch_again(contest, settings, arrived):
    shutil.rmtree(arrived.parent)
    arrived.parent.mkdir()
    try:
        return _fetch(contest, settings, arrived, force=True)
    except archive.BadArchive:
        shutil.rmtree(arrived.parent)
        raise UserError(f"{arrived.name} came damaged twice and was removed; run the same command again, or download "
                        f"it at {client.get_competition_url(contest.slug)}/data and put it into {arrived.parent.parent}.") from None


def _need_a_token(slug, zipped):
    page = client.get_competition_url(slug)
    if client.find_token() is None:
        raise UserError(f"{zipped} is not there and there is no Kaggle token: either {client.NEW_TOKEN} (and "
                        f"accept the rules at {page}/rules), or download the archive at {page}/data and put it there; "
                        "then run the same command again.")
