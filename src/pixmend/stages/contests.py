"""List the competitions in a home: prepared images, runs, the best score and the disk space of each."""

import sys
from pathlib import Path

from pixmend import run_file
from pixmend.config import Settings
from pixmend.data.dataset import list_fold_folders
from pixmend.errors import UserError
from pixmend.home import Contest, list_contests
from pixmend.progress import format_size
from pixmend.setting_values import format_command
from pixmend.training import checkpoints

COLUMNS = ("competition", "images", "runs", "trained", "best holdout RMSE", "public", "private", "disk")


def main(settings: Settings) -> int:
    """Print a row for each competition, and after them what is damaged; return 1 if anything is."""
    contests = list_contests(Path(settings.home))
    if not contests:
        command = format_command(["pixmend", "download", "--competition", "demo"], settings, {"home"})
        print(f"There are no competitions in {settings.home}. Begin with: {command}")
        return 0
    rows: list[tuple[str, ...]] = [COLUMNS]
    damages = []
    for contest in contests:
        try:
            rows.append(format_row(contest))
        except UserError as error:
            damages.append(f"{contest.name}: {error}")
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for damage in damages:
        print(damage, file=sys.stderr)
    return int(bool(damages))


def format_row(contest: Contest) -> tuple[str, ...]:
    runs, best = contest.list_runs(), contest.find_best_run()
    trained = sum(map(is_trained, runs))
    score = f"{best['holdout_rmse']} ({best['run']})" if best else ""
    return (contest.name, str(contest.count_images() or ""), str(len(runs)), str(trained), score, best.get("public", ""),
            best.get("private", ""), format_size(contest.measure_size()))


def is_trained(run: Path) -> bool:
    """Tell whether a run has weights, or with --folds each of its folds."""
    folds = list_fold_folders((run_file.read_trained(run) or {}).get("folds", 1))
    return all(checkpoints.get_weights_path(run / fold).exists() for fold in folds)
