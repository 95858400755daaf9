"""Score the run's holdout file from disk as the grader would, beside the fills; or any --submission against a --solution."""

import datetime
import subprocess
from functools import partial
from pathlib import Path

import numpy as np

from src import contests, csv_rows, files, leaderboard, models, workers
from src.errors import FlagError, UserError
from src.pictures import measures, prepared
from src.progress import Bar
from src.training.history import History

CHUNK = 16
PLACES = 5


def main(settings):
    if settings.submission or settings.solution:
        return score_files(settings)
    contest, folder = contests.named(settings.contest), settings.run_folder
    ready = prepared.open_for(settings)
    path = settings.submissions_folder / f"{settings.run}.holdout.csv"
    ours = score_holdout(settings, contest, ready, path)
    floor = score_fills(settings, ready)
    files.write_json(folder / "score.json", ours | {"fills": floor})
    figures = summary(ours, floor)
    figures |= hidden_solution(settings)
    leaderboard.put(settings.submissions_folder / "leaderboard.csv", settings.run, **figures, **circumstances(settings))
    print(table(settings, ours, floor, figures))


def score_files(settings):
    """Two files that need not be of this project: ids, values and Usage are all that counts."""
    if not (settings.submission and settings.solution):
        raise FlagError("--submission and --solution go together: a file of id,value and one of id,value,Usage.")
    for name, value in csv_rows.score_tables(settings.submission, settings.solution).items():
        print(f"{name:8} " + ("no rows" if value is None else f"RMSE {value:.6f}"))


def score_holdout(settings, contest, ready, path):
    """Squared errors and number of values of each picture, in the values that the file on disk holds."""
    if not path.exists():
        raise UserError(f"{path} is missing; run `python -m src serialize` with the same flags first.")
    entries = {e.id: e for e in contest.read(settings.competition_folder / "files", settings.shape)}
    rows = ready.split("holdout")
    wanted = contest.true_rows([entries[row.id] for row in rows], truths(contest, ready, rows, entries, settings))
    sums, numbers = csv_rows.squared_errors(path, wanted, len(rows))
    return {"ids": [row.id for row in rows], "classes": [row.kind for row in rows], "sums": sums, "numbers": numbers}


def truths(contest, ready, rows, entries, settings):
    """What a perfect file would hold, picture by picture."""
    with Bar("score the holdout", len(rows)) as bar:
        for row in rows:
            yield contest.rows(ready.whole(row) / np.float32(255), entries[row.id].boxes, settings)
            bar.advance(1, f"{bar.rate():.0f} pictures/s")


def score_fills(settings, ready):
    """Sums of squared errors of every fill on the same pictures; kept, since they depend on the holdout alone."""
    path, made_from = settings.augment_folder / "fills.json", [ready.made_from, models.fills()]
    kept = files.read_json(path)
    if kept and kept["made_from"] == made_from and not settings.force:
        return kept["sums"]
    job = partial(fill_chunk, settings.augment_folder)
    chunks = workers.over_chunks(job, ready.split("holdout"), size=CHUNK, label="score the fills")
    each = [sums for chunk in chunks for sums in chunk]
    sums = {name: [picture[name] for picture in each] for name in models.fills()}
    files.write_json(path, {"made_from": made_from, "sums": sums})
    return sums


def fill_chunk(folder, rows):
    ready = prepared.kept_open(folder)
    fills = {name: models.named(name).fill for name in models.fills()}
    return [one_picture(ready, row, fills) for row in rows]


def one_picture(ready, row, fills):
    known, counts, whole = ready.damaged(row) / np.float32(255), ready.hole(row), ready.whole(row) / np.float32(255)
    return {name: measures.squared_errors(whole, fill(known, counts > 0), counts)[0] for name, fill in fills.items()}


def summary(ours, floor):
    """The figures of a row of leaderboard.csv."""
    sums, numbers = ours["sums"], ours["numbers"]
    low, high = measures.interval(sums, numbers)
    value, harmonic = measures.rmse(sums, numbers), measures.rmse(floor["harmonic"], numbers)
    return {"holdout_rmse": round(value, PLACES), "low": round(low, PLACES), "high": round(high, PLACES),
            "pictures": len(sums), "harmonic_rmse": round(harmonic, PLACES), "to_harmonic": round(value / harmonic, 4)}


def hidden_solution(settings):
    """Public and private score, where the contest's solution lies here as the demo's does."""
    solution = settings.competition_folder / "solution.csv"
    if not solution.exists():
        return {}
    found = csv_rows.score_tables(settings.submissions_folder / f"{settings.run}.csv", solution)
    return {name: round(found[name], PLACES) for name in ("public", "private") if found[name] is not None}


def circumstances(settings):
    """What a reader of the table asks next: how long it took, all folds together, when, and from which commit."""
    folder = settings.trained_folder
    histories = [History(path) for path in [*folder.glob("history.csv"), *folder.glob(f"{prepared.FOLD}*/history.csv")]]
    steps, minutes = (sum(history.last(name) for history in histories) for name in ("step", "minutes"))
    return {"steps": f"{steps:.0f}", "minutes": f"{minutes:.1f}", "date": datetime.date.today().isoformat(), "commit": commit()}


def commit():
    """This checkout's commit, for the record; empty outside git."""
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    return asked.stdout.strip()


def table(settings, ours, floor, figures):
    """What is printed: the run, the fills, the classes, and a plain word where nothing was gained."""
    held = "the holdout" if settings.folds == 1 else f"{settings.folds} folds, each predicted by the run that never saw it"
    lines = [f"RMSE on {held} ({len(ours['ids'])} pictures, {sum(ours['numbers']):,} values; 95% interval over pictures)"]
    scores = {f"{settings.run}": ours["sums"]} | {f"{name} (fill)": sums for name, sums in floor.items() if name != settings.run}
    for name, sums in sorted(scores.items(), key=lambda item: sum(item[1])):
        low, high = measures.interval(sums, ours["numbers"])
        value = measures.rmse(sums, ours["numbers"])
        lines.append(f"  {name:28} {value:.5f}  ({low:.4f} to {high:.4f})  {value / figures['harmonic_rmse']:.3f} of harmonic")
    lines.append("  by class: " + "  ".join(f"{kind} {value:.4f}" for kind, value in by_class(ours).items()))
    if "public" in figures:
        lines.append(f"  on the contest's hidden solution: public {figures['public']:.5f}, private {figures['private']:.5f}")
    if figures["to_harmonic"] > 1:
        lines.append("  This run is above the harmonic fill, which learns nothing: train longer (--steps), weigh the "
                     "picture more (--lambda), or use --start harmonic.")
    return "\n".join(lines)


def by_class(ours):
    kinds, sums, numbers = np.array(ours["classes"]), np.array(ours["sums"]), np.array(ours["numbers"])
    return {kind: measures.rmse(sums[kinds == kind], numbers[kinds == kind]) for kind in sorted(set(kinds))}
