"""RMSE over the number of training photos, which --extra-pictures raises: benchmarks/results/PICTURES.md.

    python -m benchmarks pictures --data FOLDER --home FOLDER [--steps N]

FOLDER of --data holds photo-reconstruction.zip, in the format of the competition, and solution.csv. An archive with every eighth
training photo is made of it; the other photos are given by --extra-pictures, first as many again, then three and seven times as
many. So holdout and test images stay the same. All trainings take the same number of steps, since minutes depend on
other work on the machine, and draw about as many windows: the fewer photos, the more masks are drawn for each.
"""

import argparse
import csv
import io
import shlex
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from benchmarks._measure import (
    RESULTS,
    Results,
    Row,
    add_result,
    check_same_images,
    compute_interval,
    draw_bootstrap_samples,
    format_minutes,
    read_results,
    run_stage,
)
from benchmarks.rmse import COMPETITION_FLAGS, compute_intervals, count_values, measure_row, read_solution
from pixmend.competitions.photo_reconstruction import ORIGINAL, TABLE, TRAIN
from pixmend.data.dataset import Dataset
from pixmend.reporting.charts import SMALL, render_figure

PARTS = 8       # of the training photos; the archive has the first part of each class
HOLDOUT = "--holdout 0.25"
TRAINING = ("--model window_mlp --start harmonic --batch-size 1536 --learning-rate 1.7e-3 --warmup-steps 150 "
            "--evaluate-every 400 --evaluation-images 150")


@dataclass(frozen=True)
class Share:
    """A number of training photos: the parts that are extra pictures, and the masks that are drawn for each image."""

    extra_parts: int
    masks_per_image: int


SHARES = {"eighth": Share(0, 48), "quarter": Share(1, 24), "half": Share(3, 12), "all": Share(7, 6)}
BASELINE = "harmonic"


def main() -> None:
    options = parse_options()
    results_file = options.out / "PICTURES.json"
    results = read_results(results_file)
    if missing := [name for name in (BASELINE, *SHARES) if name not in results]:
        prepare_data(options.data, options.home)
        solution = read_solution(options.data)
        check_same_images(count_values(solution), results.values(), results_file)
        for name in missing:
            result = measure_row(options.home, make_row(name, options), solution) | describe_run(options.home, name)
            results = add_result(results_file, name, result | {"command": hide_folder(result["command"])})
    (options.out / "PICTURES.md").write_text(format_table(results))
    (options.out / "PICTURES.png").write_bytes(render_curve(results))
    print(options.out / "PICTURES.md")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks pictures", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with photo-reconstruction.zip and solution.csv")
    parser.add_argument("--home", type=Path, required=True, help="folder for everything that the stages write")
    parser.add_argument("--steps", type=int, default=2000, help="steps of each training")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results and the table")
    return parser.parse_args()


def make_row(name: str, options: argparse.Namespace) -> Row:
    """Return the run of a share of the photos, or of the fill that all are compared with."""
    if name == BASELINE:
        return Row("harmonic fill", f"--model {BASELINE} {HOLDOUT}")
    share = SHARES[name]
    extra = f" --extra-pictures {shlex.quote(str(extra_folder(options.home, name)))}" if share.extra_parts else ""
    flags = f"{TRAINING} {HOLDOUT} --masks-per-image {share.masks_per_image} --steps {options.steps} --run {name}{extra}"
    return Row(f"{name} of the photos", flags)


def extra_folder(home: Path, name: str) -> Path:
    return home / "extra-pictures" / name


def prepare_data(data: Path, home: Path) -> None:
    """Write the archive with one part of the training photos and the folders with the others, and unpack the archive."""
    archive = home / "competition" / "photo_reconstruction" / "photo-reconstruction.zip"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(data / archive.name) as source:
            parts = {name: number for names in list_classes(source) for number, name in enumerate(names)}
            write_extra_pictures(source, parts, home)
            write_archive(source, parts, archive)
    run_stage(home, COMPETITION_FLAGS, "download")


def list_classes(source: zipfile.ZipFile) -> Iterator[list[str]]:
    """Yield the members of the original images of each class, in the order of its table."""
    for table in (name for name in source.namelist() if name.startswith(TRAIN) and name.endswith(TABLE)):
        folder = PurePosixPath(table).parent.parent / ORIGINAL
        yield [str(folder / row["filename"]) for row in read_table(source, table)]


def read_table(source: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(source.read(name).decode())))


def write_extra_pictures(source: zipfile.ZipFile, parts: Mapping[str, int], home: Path) -> None:
    """Write the original images of the further parts, in a subfolder for each class."""
    for member, number in parts.items():
        path = PurePosixPath(member)
        for name, share in SHARES.items():
            if 0 < number % PARTS <= share.extra_parts:
                folder = extra_folder(home, name) / path.parent.parent.name
                folder.mkdir(parents=True, exist_ok=True)
                (folder / path.name).write_bytes(source.read(member))


def write_archive(source: zipfile.ZipFile, parts: Mapping[str, int], archive: Path) -> None:
    """Write an archive with the first part of the training photos, their tables, and everything else as it is."""
    kept = {member for member, number in parts.items() if number % PARTS == 0}
    unfinished = archive.with_suffix(".unfinished")
    with zipfile.ZipFile(unfinished, "w") as out:
        for name in source.namelist():
            path = PurePosixPath(name)
            if name.startswith(TRAIN) and path.name == TABLE:
                out.writestr(name, select_rows(source, name, kept))
            elif not name.startswith(TRAIN) or str(path.parent.parent / ORIGINAL / path.name) in kept:
                out.writestr(name, source.read(name))
    unfinished.replace(archive)


def select_rows(source: zipfile.ZipFile, table: str, kept: set[str]) -> str:
    """Return a table of boxes with the rows of the kept images."""
    rows, folder = read_table(source, table), PurePosixPath(table).parent.parent / ORIGINAL
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for row in rows if str(folder / row["filename"]) in kept)
    return out.getvalue()


def describe_run(home: Path, name: str) -> dict[str, Any]:
    """Return the number of photos that the last run was trained on, and its holdout RMSE at each evaluation by step."""
    dataset = Dataset(home / "augment" / "photo_reconstruction")
    history = home / "checkpoints" / "photo_reconstruction" / name / "history.csv"
    rows = list(csv.DictReader(history.open())) if history.exists() else []
    return {"photos": len({row.id for row in dataset.split("train")}),
            "holdout": {row["step"]: float(row["holdout_rmse"]) for row in rows}}


def hide_folder(command: str) -> str:
    """Return the flags of a row without the path of the folder of extra pictures."""
    words = shlex.split(command)
    return " ".join("FOLDER" if before == "--extra-pictures" else word for before, word in zip(["", *words], words, strict=False))


def format_table(results: Results) -> str:
    baseline, names = results[BASELINE], [name for name in SHARES if name in results]
    lines = [format_line(results[name], baseline, results[before] if before else None)
             for before, name in zip(["", *names], names, strict=False)]
    return PAGE.format(images=len(baseline["squares"]), lines="\n".join(lines))


def format_line(result: Mapping[str, Any], baseline: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    (low, high), _ = compute_intervals(result, baseline)
    return (f"| {result['photos']:,} | {result['rmse']:.5f} ({low:.4f} to {high:.4f}) | {format_ratio(result, baseline)} "
            f"| {format_ratio(result, before) if before else ''} | {format_holdout(result)} "
            f"| {format_minutes(result['minutes'])} "
            f"| `{result['command']}` | {result['hardware']} | {result['commit']} |")


def format_holdout(result: Mapping[str, Any]) -> str:
    """Return the lowest RMSE on the holdout with its step, and that of the last step."""
    holdout = result["holdout"]
    best = min(holdout, key=holdout.__getitem__)
    return f"{holdout[best]:.5f} at step {best}, {list(holdout.values())[-1]:.5f} at the end"


def format_ratio(result: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return the ratio of two RMSEs of the same images, with its 95% interval over bootstrap samples of images."""
    samples = draw_bootstrap_samples(len(result["squares"]))
    squares, other_squares = (np.array(values)[samples].sum(1) for values in (result["squares"], other["squares"]))
    low, high = compute_interval(np.sqrt(squares / other_squares))
    return f"{result['rmse'] / other['rmse']:.4f} ({low:.3f} to {high:.3f})"


def render_curve(results: Results) -> bytes:
    """Return the curve of the ratio to the harmonic fill over the number of photos, as PNG."""
    rows = [results[name] for name in SHARES if name in results]
    photos = [row["photos"] for row in rows]
    ratios = np.array([row["rmse"] / results[BASELINE]["rmse"] for row in rows])
    ends = np.array([compute_intervals(row, results[BASELINE])[1] for row in rows])

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.errorbar(photos, ratios, np.abs(ends.T - ratios), marker="o", capsize=3)
        axes.set_xscale("log", base=2)
        axes.margins(x=0.1)
        axes.set_xticks(photos, [f"{number:,}" for number in photos])
        axes.set_xlabel("training photos")
        axes.set_ylabel("RMSE relative to harmonic")
    return render_figure(SMALL, draw, format="png", dpi=160, metadata={"Software": None})


PAGE = """# RMSE over the number of training photos

Written by `python -m benchmarks pictures --data FOLDER --home FOLDER`, on the {images} test images of a stand-in of the
competition whose originals are known. The archive has an eighth of the training photos, of which a quarter is held out. Further
photos are given by `--extra-pictures`; those that are near duplicates of holdout or test images are left out. All trainings take
the same number of steps, and the fewer photos there are, the more masks are drawn for each. The weights are those that are best
on the holdout. In brackets are 95% intervals over bootstrap samples of images, which are the same for both sides of a ratio.
Minutes are those of the whole `train` stage, and in brackets those of all its cores.

![RMSE relative to the harmonic fill, over the number of training photos](PICTURES.png)

| photos | RMSE | relative to harmonic | to the row above | lowest on the holdout | minutes (of all cores) | flags | on | commit |
|---|---|---|---|---|---|---|---|---|
{lines}
"""
