"""Get a competition's archive: from Kaggle, from its folder, or made from photos; verify it and unpack it.

Or use files that are unpacked elsewhere, as a Kaggle notebook has them.
"""

import shutil
import zipfile
from pathlib import Path

from pixmend import competitions, files
from pixmend.competitions.base import Competition
from pixmend.competitions.synthetic import SyntheticCompetition
from pixmend.config import Settings
from pixmend.data import archive, archive_manifest, photos
from pixmend.errors import FlagError, UserError
from pixmend.kaggle import client
from pixmend.progress import ProgressBar, print_message

ARRIVING = ".download"   # in the competition's folder: where a download is until it is complete


def download_competition(settings: Settings) -> None:
    """Make the archive from photos, use the one that is here, or download it; write files/ and archive.json, which names it."""
    competition, folder = competitions.get_competition(settings.competition), settings.competition_folder
    with files.try_lock(folder):
        if not settings.force and not names_other_folder(settings) and archive_manifest.is_complete(competition, settings):
            print_message(f"{folder / 'files'} contains all files of {competition.slug} already.")
            return
        if settings.from_folder:
            use_unpacked(competition, settings)
            return
        if not settings.force and archive_manifest.needs_unpacking_only(competition, settings):
            members = unpack(competition, folder / f"{competition.slug}.zip", folder / "files")
        else:
            members = get_archive(competition, settings)
    print_message(f"{folder / 'files'}: {len(members)} files of {competition.slug}, every checksum verified.")


def get_archive(competition: Competition, settings: Settings) -> list[zipfile.ZipInfo]:
    """Make an archive, download it, or take the one that was put there; unpack it and write its manifest."""
    folder, zipped = settings.competition_folder, settings.competition_folder / f"{competition.slug}.zip"
    check_same_photos(settings)
    if isinstance(competition, SyntheticCompetition):
        competition.make_archive(folder, settings)
        members, origin = unpack(competition, zipped, folder / "files"), describe_photos(settings)
    elif not zipped.exists() or (settings.force and archive_manifest.get_origin(folder, zipped) == "Kaggle"):
        members, origin = download(competition, settings, zipped), "Kaggle"
    else:
        members, origin = unpack(competition, zipped, folder / "files"), archive_manifest.get_origin(folder, zipped)
        shutil.rmtree(folder / ARRIVING, ignore_errors=True)   # of a download that was given up for a browser's
    archive_manifest.write_archive_manifest(folder, zipped, competition.cache_key(settings), origin)
    return members


def use_unpacked(competition: Competition, settings: Settings) -> None:
    """Use the files of --from-folder where they are; one without the sample submission is not of this competition."""
    folder = Path(settings.from_folder).resolve()
    if competition.is_synthetic:
        raise FlagError(f"--competition {settings.competition} is made here and has no files elsewhere. Leave out --from-folder.")
    if not (folder / competition.submission.sample_name).is_file():
        raise UserError(f"--from-folder {folder} has no {competition.submission.sample_name}. Name the folder that has it.")
    photos.check_holds_no_home(folder, settings.home, "--from-folder")
    link = settings.competition_folder / "files"
    if link.exists() and not link.is_symlink():
        raise UserError(f"{link} was unpacked there. Move it elsewhere and name that folder with --from-folder, or leave out the "
                        "flag.")
    archive_manifest.adopt_folder(settings.competition_folder, folder, competition.slug)
    print_message(f"{link} is a link to {folder}. Nothing was downloaded.")


def names_other_folder(settings: Settings) -> bool:
    """Tell whether files/ is a link to another folder than --from-folder."""
    link = settings.competition_folder / "files"
    return bool(settings.from_folder) and link.is_symlink() and link.resolve() != Path(settings.from_folder).resolve()


def describe_photos(settings: Settings) -> str:
    """Return where the archive of a competition made from photos comes from, for archive.json."""
    return f"made from {Path(settings.photos).resolve()}" if settings.photos else "made here"


def check_same_photos(settings: Settings) -> None:
    """Refuse to replace images that were made from photos: without --photos, or by those of another folder without --force."""
    known = archive_manifest.read_archive_manifest(settings.competition_folder) or {}
    origin = str(known.get("origin", ""))
    if not origin.startswith("made from ") or origin == describe_photos(settings):
        return
    if not settings.photos:
        raise UserError(f"{settings.competition_folder} was {origin}; its runs belong to those photos. To make it again, name "
                        "them with --photos. For the photos that come with pixmend, choose another folder with --home.")
    if not settings.force:
        raise UserError(f"{settings.competition_folder} was {origin}, not from {settings.photos}; its runs belong to those "
                        "photos. Choose another folder with --home, or replace the images with --force.")


def unpack(competition: Competition, zipped: Path, folder: Path) -> list[zipfile.ZipInfo]:
    """Unpack an archive, unless it is of another competition: one without the sample submission."""
    return archive.unpack_archive(zipped, folder, required=competition.submission.sample_name,
                                  made_here=competition.is_synthetic)


def download(competition: Competition, settings: Settings, zipped: Path) -> list[zipfile.ZipInfo]:
    """Download into a folder of its own, unpack, and only then give the archive its name; a damaged one is downloaded again."""
    url = client.get_competition_url(competition.slug)
    if client.find_token() is None:
        raise UserError(f"{zipped} is missing and there is no Kaggle token. Either {client.NEW_TOKEN} (and accept the rules at "
                        f"{url}/rules), or download the archive at {url}/data and put it there. Then run the same command again.")
    arriving = settings.competition_folder / ARRIVING / zipped.name
    for is_second in (False, True):
        arriving.parent.mkdir(exist_ok=True)
        try:
            with ProgressBar("download", 100) as bar:
                client.download_archive(competition.slug, arriving.parent, timeout=settings.kaggle_timeout, force=is_second,
                                        on_output=client.follow_percentage(bar))
            members = unpack(competition, arriving, settings.competition_folder / "files")
            files.replace_durably(arriving, zipped)
            shutil.rmtree(arriving.parent)
            return members
        except (archive.BadArchive, client.KaggleError) as error:
            if getattr(error, "kind", "garbled") != "garbled":
                raise
        shutil.rmtree(arriving.parent)
        if not is_second:
            print_message("The download is damaged. Downloading it once more from its beginning.")
    raise UserError(f"{zipped.name} was damaged twice and was removed. Run the same command again, or download it at "
                    f"{url}/data and put it into {zipped.parent}.")
