"""The RMSE of fills, networks and mixes on the test pictures of a contest whose truth is known, as benchmarks/results/RMSE.md.

    python -m benchmarks rmse --data FOLDER --home FOLDER [--rows NAME ...]

FOLDER of --data holds photo-reconstruction.zip, in the competition's form, and solution.csv. Each row is made by the
project's own stages as a user would type them; its CSV is compared with the solution here, picture by picture, by pandas.
What a row has measured is kept, so that the test pictures are looked at once for each.
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks._measure import RESULTS, Row, circumstances, command_of, draws, interval, made, read, save, stage, told_minutes

FIGURES, TABLE = RESULTS / "RMSE.json", RESULTS / "RMSE.md"
CONTEST = ("--competition", "photo_reconstruction", "--augment", "8x")
FLOOR = "harmonic"


MLP = "--model window_mlp --steps 100000"
HOUR = f"{MLP} --start harmonic --masks-per-image 16 --minutes 45 --evaluate-every 1000 --run mlp60"
UNET = "--model residual_unet --steps 1000000 --schedule constant --run unet"
AS_PUBLISHED = "--model pix2pix --steps 1000000 --width 16 --batch-size 1 --start none --run pix2pix"
BASE = "--model window_mlp --steps 2000"   # what an ablation changes one thing of
ABLATED = "base,base-seed-2,base-harmonic,base-l1,base-all,base-no-average,base-no-damages"
JUDGED = "--model pix2pix --width 16 --start smooth --steps 1000"   # the same of what only Pix2Pix has

ROWS = {
    "mean": Row("fill: mean of the known pixels", "--model mean"),
    "ring": Row("fill: mean of a thin ring", "--model ring"),
    "telea": Row("fill: OpenCV Telea", "--model telea"),
    "navier_stokes": Row("fill: OpenCV Navier-Stokes", "--model navier_stokes"),
    "harmonic": Row("fill: harmonic, exact", "--model harmonic"),
    "smooth": Row("fill: smooth, the best linear one", "--model smooth"),
    "mlp-20": Row("window_mlp, 15 minutes and some for cutting windows", f"{MLP} --minutes 15 --run mlp20"),
    "mlp-20-tta": Row("the same run, eight flips and turns", f"{MLP} --minutes 15 --run mlp20", "--tta 8"),
    "mlp-60": Row("window_mlp from the harmonic fill, 16 damages a picture, 45 minutes and some for windows and looks", HOUR),
    "mlp-60-tta": Row("the same run, eight flips and turns", HOUR, "--tta 8"),
    **{f"unet-{minutes}": Row(f"residual_unet, {minutes} minutes", f"{UNET} --minutes {minutes}") for minutes in (20, 60, 120)},
    **{f"pix2pix-{minutes}": Row(f"Pix2Pix as published but narrower (width 16), {minutes} minutes",
                                 f"{AS_PUBLISHED} --minutes {minutes}", "--predict-mode training") for minutes in (20, 60, 120)},
    "base": Row("window_mlp, 2,000 steps", f"{BASE} --run base"),
    **{f"base-{name}": Row(f"the same {what}", f"{BASE} {flags} --run base-{name}") for name, what, flags in (
        ("seed-2", "with another seed", "--seed 2"),
        ("harmonic", "from the harmonic fill", "--start harmonic"),
        ("l1", "on absolute errors", "--loss l1"),
        ("all", "on errors in the whole window", "--loss-region all"),
        ("no-average", "without averaged weights", "--ema-decay 0"),
        ("no-damages", "without fresh damage", "--masks-per-image 0"))},
    "mix": Row("the seven runs above, mixed", "--run mix", members=ABLATED),
    "mix-60": Row("the same seven and the run of 45 minutes, mixed", "--run mix60", members=f"mlp60,{ABLATED}"),
    "base-tta": Row("the first of them alone, eight flips and turns", f"{BASE} --run base", "--tta 8"),
    "base-5x": Row("window_mlp, 2,000 steps, five variants of each picture", f"{BASE} --augment 5x --run base-5x"),
    "base-1x": Row("the same, one variant", f"{BASE} --augment none --run base-1x"),
    "judged": Row("Pix2Pix (width 16), 1,000 steps from the smooth fill, LAMBDA 1000", f"{JUDGED} --run judged"),
    **{f"judged-{name}": Row(f"the same {what}", f"{JUDGED} {flags} --run judged-{name}") for name, what, flags in (
        *((f"lambda-{weight}", f"with LAMBDA {weight}", f"--lambda {weight}") for weight in (1, 10, 100, 10000)),
        ("unjudged", "without the adversarial term", "--no-adversarial"),
        ("hole", "on errors in the hole", "--loss-region hole"),
        ("squares", "on squares in the hole, without the adversarial term", "--loss l2 --loss-region hole --no-adversarial"),
        ("mask", "shown the mask", "--mask-channel"),
        ("fresh", "with fresh damage", "--fresh-masks"))},
}


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks rmse", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with photo-reconstruction.zip and solution.csv")
    parser.add_argument("--home", type=Path, required=True, help="folder for all that the stages write")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS), metavar="NAME", help=", ".join(ROWS))
    asked = parser.parse_args()
    prepare(asked)
    figures = read(FIGURES)
    solution = None
    for name in [FLOOR, *asked.rows]:
        if name not in figures:
            solution = read_solution(asked.data) if solution is None else solution
            figures[name] = measured(asked.home, ROWS[name], solution)
            save(FIGURES, figures)
        print(name, figures[name]["rmse"])
    TABLE.write_text(table(figures))
    print(TABLE)


def prepare(asked):
    place = asked.home / "competition" / "photo_reconstruction"
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "photo-reconstruction.zip").exists():
        shutil.copy(asked.data / "photo-reconstruction.zip", place)
    for name in ("download", "augment"):
        stage(asked.home, CONTEST, name)


def measured(home, row, solution):
    """Make the row's CSV and compare it with the solution."""
    stage(home, CONTEST, "augment", row.train)
    minutes = made(home, CONTEST, row)
    stage(home, CONTEST, "serialize", f"{row.train} --force")   # so that it is the newest file
    written = newest(home / "submissions" / "photo_reconstruction")
    squares, numbers = by_picture(pd.read_csv(written, names=["id", "value"], header=0), solution)
    return {"rmse": float(np.sqrt(squares.sum() / numbers.sum())),
            "squares": squares.round(6).tolist(), "numbers": numbers.tolist(),
            "command": command_of(row), "minutes": minutes.round(1).tolist(), **looks(home, row), **circumstances()}


def looks(home, row):
    """The RMSE on the holdout at the first and at the last look of a network's training."""
    run = re.search(r"--run (\S+)", row.train)
    history = home / "checkpoints" / "photo_reconstruction" / (run[1] if run else "") / "history.csv"
    return {"looks": pd.read_csv(history)["holdout_rmse"].iloc[[0, -1]].tolist()} if history.exists() else {}


def newest(folder):
    return max((path for path in folder.glob("*.csv") if "holdout" not in path.name and path.name != "leaderboard.csv"),
               key=lambda path: path.stat().st_mtime)


def read_solution(data):
    return pd.read_csv(data / "solution.csv", usecols=[0, 1], names=["id", "value"], header=0)


def by_picture(ours, solution):
    """Squared errors and number of values of each picture, joined by id."""
    both = solution.merge(ours, on="id", suffixes=("_true", ""), validate="one_to_one")
    if len(both) != len(solution):
        sys.exit(f"{len(solution) - len(both)} ids of the solution are missing in the submission.")
    both["square"] = (both["value"] - both["value_true"]) ** 2
    pictures = both.groupby(both["id"].str.replace(r"_box\d_\d+_\d+_\d+$", "", regex=True))["square"]
    return pictures.sum().to_numpy(), pictures.count().to_numpy()


def intervals(row, floor):
    """95% of RMSE, and of its ratio to the floor, over draws of pictures; both of the same draws."""
    picks = draws(len(row["squares"]))
    ours, harmonic, numbers = (np.array(values)[picks].sum(1) for values in (row["squares"], floor["squares"], row["numbers"]))
    return [interval(values) for values in (np.sqrt(ours / numbers), np.sqrt(ours / harmonic))]


def table(figures):
    floor, lines = figures[FLOOR], []
    for name in [name for name in ROWS if name in figures]:
        row = figures[name]
        (low, high), (least, most) = intervals(row, floor)
        lines.append(f"| {ROWS[name].what} | {row['rmse']:.5f} ({low:.4f} to {high:.4f}) | {row['rmse'] / floor['rmse']:.4f} "
                     f"({least:.3f} to {most:.3f}) | {told_minutes(row['minutes'])} | `{row['command']}` "
                     f"| {row['hardware']} | {row['commit']} |")
    judged = [name for name in ROWS if name.startswith("judged") and "looks" in figures.get(name, {})]
    return HEAD.format(pictures=len(floor["squares"]), rows=sum(floor["numbers"]), lines="\n".join(lines),
                       judged="\n".join(last_look(ROWS[name].what, *figures[name]["looks"]) for name in judged))


def last_look(what, first, last):
    return f"| {what} | {first:.5f} | {last:.5f} | {last / first:.4f} |"


HEAD = """# RMSE on test pictures

Made by `python -m benchmarks rmse --data FOLDER --home FOLDER`: {pictures} test pictures, {rows:,} values, of a stand-in of the
competition whose truth is known; everything was chosen on a holdout of its training pictures. RMSE is over all values, as the
grader counts; beside it, and beside the ratio to the harmonic fill on the same pictures, the 95% interval over draws of
pictures. Minutes are those of the whole `train` stage on the clock and, in brackets, of its cores. A network whose figure is its
start's came below it at no look at the holdout, so the weights that change nothing were kept.

| what | RMSE | of harmonic | minutes (core minutes) | flags | measured on | commit |
|---|---|---|---|---|---|---|
{lines}

## What judging costs

The same small Pix2Pix on the pictures of the holdout that a training looks at: the fill that it begins at, and what it paints
after its last step, which was not kept where it is worse.

| what | before | after | ratio |
|---|---|---|---|
{judged}

## What did not help

- For `window_mlp` at 2,000 steps, a run each: absolute errors instead of squares cost 0.0018 of the ratio, the harmonic start
  gained 0.0012, errors in the whole window 0.0011, averaged weights 0.0004; another seed alone makes a difference of 0.0003.
- For a small Pix2Pix of 1,000 steps: any LAMBDA, no adversarial term at all, the hole alone, squares, the mask as a channel,
  fresh damage. None came a thousandth below the fill that it begins at; with LAMBDA 1 or 10, on errors in the hole alone or
  shown the mask, what it paints after its last step is 2 to 25% worse.
- Eight flips and turns gain 0.0020 for window_mlp after 15 minutes of training and 0.0001 after 45; seven short runs mixed into
  the latter gain 0.0003.
- A correction of what a network adds by its distance from the border of the hole: the best there can be gains less than a
  part in a thousand ([BORDER.md](BORDER.md)).
- Pixels of the same photo in another crop: one of the 200 test pictures has such a training picture (ORB features outside its
  boxes against those of all training pictures, a similarity by RANSAC, the likeliest pairs looked at). Known to the last pixel,
  it would take 0.3% off the RMSE of the best row.
- residual_unet after the first 500 steps: under a constant rate it came no lower in two hours.
"""
