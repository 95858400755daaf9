"""List the files of a home that can be deleted, with how much that frees; delete the kinds that --delete names."""

from collections.abc import Iterable
from pathlib import Path

from pixmend.config import Settings
from pixmend.errors import UserError
from pixmend.home import DELETABLE, Contest, delete_files, list_contests, list_deletable, measure_size, parse_kinds
from pixmend.progress import format_size
from pixmend.setting_values import format_command


def main(settings: Settings) -> None:
    """Say what can be deleted, or delete it; of --competition, if it is given, or else of all."""
    kinds, named = parse_kinds(settings.delete), settings.given & {"competition", "damage"}
    contests = [contest for contest in list_contests(Path(settings.home)) if not named or contest.name == settings.dataset_name]
    if named and not contests:
        raise UserError(f"There is nothing of {settings.dataset_name} in {settings.home}. See what there is: "
                        + format_command(["pixmend", "contests"], settings, {"home"}))
    if kinds and not settings.dry_run:
        for contest in contests:
            print(f"{contest.name}: {format_size(delete_files(contest, kinds))} freed")
        return
    wanted = kinds or list(DELETABLE)
    for contest in contests:
        print_deletable(contest, wanted)
    there = [kind for kind in wanted if any(list_deletable(contest, kind) for contest in contests)]
    command = format_command(["pixmend", "clean", "--delete", ",".join(there)], settings, {"home", "competition", "damage"})
    print("Nothing was deleted. " + (f"To delete all of these: {command}" if there else "There is nothing to delete."))


def print_deletable(contest: Contest, kinds: Iterable[str]) -> None:
    for name in kinds:
        if size := sum(measure_size(path) for path in list_deletable(contest, name)):
            print(f"{contest.name}  {name:10} {format_size(size):>9}  {DELETABLE[name].summary}")
