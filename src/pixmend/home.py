"""What a home holds: its competitions, what is prepared of each, runs, best score and disk space; and what of it can be deleted.

A competition with a damage, such as demo+landscapes, has runs and prepared images of its own, and shares the downloaded files.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from pixmend import files, run_file
from pixmend.data.archive import name_temporary_folders
from pixmend.data.archive_manifest import read_archive_manifest
from pixmend.data.dataset import Dataset
from pixmend.errors import FlagError, UserError, suggest
from pixmend.evaluation import leaderboard
from pixmend.training import checkpoints
from pixmend.training.checkpoints import STATE_PART

PARTS = ("competition", "augment", "checkpoints", "submissions")
BLOCK = 512   # bytes: the unit in which a file system counts what a file takes


@dataclass(frozen=True)
class Contest:
    """A competition in a home, with its damage, if it has one."""

    home: Path
    name: str

    @property
    def files_folder(self) -> Path:
        return self.home / "competition" / self.name.partition("+")[0]

    @property
    def augment_folder(self) -> Path:
        return self.home / "augment" / self.name

    def list_runs(self) -> list[Path]:
        """Return the folders of the runs."""
        return sorted(path.parent for path in (self.home / "checkpoints" / self.name).glob(f"*/{run_file.RUN_FILE}"))

    def count_images(self) -> int:
        """Return the number of prepared images; 0 where none are. A damaged or incomplete dataset is a UserError."""
        manifest = files.read_object(self.augment_folder / "index.json", {"made_from": dict})
        if manifest is None:
            return 0
        if not files.manifest_matches(self.augment_folder / "index.json", manifest["made_from"]):
            competition, _, damage = self.name.partition("+")
            flags = f"--competition {competition}" + (f" --damage {damage}" if damage else "")
            raise UserError(f"{self.augment_folder} has no complete dataset. Prepare it again: pixmend augment {flags}")
        return len(Dataset(self.augment_folder).counts)

    def find_best_run(self) -> dict[str, str]:
        """Return the row of the leaderboard with the lowest holdout RMSE; empty where no run has a score."""
        path = self.home / "submissions" / self.name / "leaderboard.csv"
        rows = leaderboard.read_leaderboard(path)
        with files.explain_damage(path, "Its holdout_rmse must be numbers; to write one again: pixmend score --run NAME"):
            return min((row for row in rows if row.get("holdout_rmse")), key=lambda row: float(row["holdout_rmse"]), default={})

    def measure_size(self) -> int:
        """Return the bytes on the disk; files that competitions with a damage share count for the one without."""
        return sum(measure_size(self.home / part / self.name) for part in PARTS)


def list_contests(home: Path) -> list[Contest]:
    """Return the competitions of a home by name: those with at least one file."""
    names = {path.name for part in PARTS for path in (home / part).glob("*/") if path.is_dir() and path.name[0] != "."}
    return [Contest(home, name) for name in sorted(names)]


def measure_size(path: Path) -> int:
    """Return the bytes that a file, or a folder with everything in it, takes on the disk."""
    return sum(measure_file(file) for file in (list_files(path) if path.is_dir() else [path]))


def list_files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders, also while another command deletes some of these."""
    return (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)


def measure_file(path: Path) -> int:
    """Return the bytes of a file, 0 of a link; and of a file that another command has deleted meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        return status.st_blocks * BLOCK if stat.S_ISREG(status.st_mode) else 0
    return 0


@dataclass(frozen=True)
class Deletable:
    """A kind of files that can be deleted: what they are, what makes them again, and how they are found."""

    summary: str
    find: Callable[[Contest], Iterator[Path]]


def find_windows(contest: Contest) -> Iterator[Path]:
    yield from (path for name in ("windows", "damages", "starts") if (path := contest.augment_folder / name).exists())


def find_prepared(contest: Contest) -> Iterator[Path]:
    if read_archive_manifest(contest.files_folder):
        yield from (path for path in sorted(contest.augment_folder.glob("*")) if path.name != ".lock")


def find_unpacked(contest: Contest) -> Iterator[Path]:
    folder = contest.files_folder
    known = read_archive_manifest(folder) or {}
    if folder.name == contest.name and (folder / "files").exists() and (folder / known.get("archive", "")).is_file():
        yield folder / "files"


def find_older_states(contest: Contest) -> Iterator[Path]:
    """Yield all states but the newest one, from which a run continues, or by which it is known to be finished."""
    for folder in contest.list_runs():
        yield from (path for place in [folder, *sorted(folder.glob("*/"))] for path in checkpoints.list_states(place)[1:])


def find_leftovers(contest: Contest) -> Iterator[Path]:
    """Yield what interrupted commands have left: temporary files of dead writers, and arrays that were not finished."""
    for part in PARTS:
        found = [path for path in list_files(contest.home / part / contest.name) if fnmatch(path.name, ".*.part")]
        yield from (path for path in sorted(found) if path.name == STATE_PART or files.is_abandoned(path))
    unpacked = name_temporary_folders(contest.home / "competition" / contest.name / "files")
    yield from (path for path in [contest.augment_folder / "building", *unpacked] if path.exists())


DELETABLE = {
    "leftovers": Deletable("what interrupted commands have left", find_leftovers),
    "states": Deletable("all but the newest state of each run", find_older_states),
    "windows": Deletable("windows, masks and fills; `pixmend train` makes them again", find_windows),
    "prepared": Deletable("decoded images; `pixmend augment` makes them again", find_prepared),
    "unpacked": Deletable("files of the archive; `pixmend download` unpacks them again", find_unpacked),
}


def list_deletable(contest: Contest, kind: str) -> list[Path]:
    """Return the files and folders of a kind; links are left alone, as to the files that `download --from-folder` names."""
    return [path for path in DELETABLE[kind].find(contest) if not path.is_symlink()]


def delete_files(contest: Contest, kinds: list[str]) -> int:
    """Delete the files of these kinds, unless another command works with the competition; return the bytes that were freed."""
    freed = 0
    with lock_contest(contest):
        for path in {path: None for kind in kinds for path in list_deletable(contest, kind)}:
            freed += measure_size(path)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    return freed


@contextlib.contextmanager
def lock_contest(contest: Contest) -> Iterator[None]:
    """Lock everything of a competition that a command can work with; raise an error if one does."""
    sharing = [other for other in list_contests(contest.home) if other.files_folder == contest.files_folder]
    runs = [path.parent for other in sharing for path in sorted((other.home / "checkpoints" / other.name).glob("*/.lock"))]
    with contextlib.ExitStack() as locks:
        for folder in [contest.files_folder, *(other.augment_folder for other in sharing), *runs]:
            if folder.is_dir():
                locks.enter_context(files.try_lock(folder))
        yield


def parse_kinds(text: str) -> list[str]:
    """Return the names of kinds, which are separated by commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in DELETABLE]:
        raise FlagError(f"--delete {unknown[0]}: there is no such kind of files.{suggest(unknown[0], DELETABLE)} "
                        f"There are: {', '.join(DELETABLE)}.")
    return names
