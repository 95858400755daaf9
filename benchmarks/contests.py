"""Fills and networks in the contests that are made of photos, on test pictures whose truth is known, as benchmarks/results/CONTESTS.md.

    python -m benchmarks contests --data FOLDER --home FOLDER [--rows CONTEST/NAME ...]

FOLDER of --data holds photos; each contest makes its own training, holdout and test pictures of them, no photo on two sides.
Each row is made by the project's own stages as a user would type them; its file is compared with the solution here, picture
by picture. What a row has measured is kept, so that the test pictures are looked at once for each.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks._measure import RESULTS, Row, circumstances, command_of, draws, interval, made, read, save, stage, told_minutes

FIGURES, TABLE = RESULTS / "CONTESTS.json", RESULTS / "CONTESTS.md"
GREYS = 255
OF_A_BLOCK = 4 / 64   # pixels missing


@dataclass(frozen=True)
class Contest:
    """Which fill is the floor, and the score: what it is, and how it follows from the mean squared error of missing pixels."""

    floor: str
    told: str
    score: Callable
    rows: dict
    flags: tuple = ()


def fills(*names):
    return {name: Row(f"fill: {name}", f"--model {name}") for name in names}


def learned(name, what, flags):
    """A run, and the same one again with the mean over eight flips and turns."""
    return {name: Row(what, flags), f"{name}-tta": Row("the same run, eight flips and turns", flags, "--tta 8")}


def greys(square):
    return GREYS * np.sqrt(square)


USUAL = ("mean", "ring", "telea", "navier_stokes", "harmonic", "smooth", "biharmonic")
LONG = "--steps 100000 --minutes"
PAIR = f"--width 16 --batch-size 32 --loss-region hole {LONG} 4"

CONTESTS = {
    "missing_pixels": Contest(
        "biharmonic", "mean squared error of the whole picture, 0 to 255", lambda square: GREYS**2 * square * OF_A_BLOCK,
        fills(*USUAL) | learned("lattice_mlp", "lattice_mlp", f"--model lattice_mlp {LONG} 12")),
    "depixelation": Contest(
        "tile_harmonic", "RMSE of the missing pixels, 0 to 255", greys,
        fills(*USUAL, "tile_harmonic", "tile_smooth") | learned("tile_mlp", "tile_mlp", f"--model tile_mlp {LONG} 16")
        | learned("edsr", "edsr", f"--model edsr --work-size 48 {LONG} 35")
        | {"edsr-2": Row("edsr, other seed, flips and turns", "--model edsr --work-size 48 --steps 9500 --seed 2", "--tta 8"),
           "edsr-mix": Row("both runs mixed", members="edsr,edsr-2"),
           "edsr-on": Row("the first run and 20 minutes more, flips and turns", "--model edsr --work-size 48 --init-from edsr "
                          f"--seed 2 --learning-rate 5e-4 {LONG} 20", "--tta 8")}),
    "landscapes": Contest(
        "harmonic", "RMSE of the missing pixels, 0 to 255", greys,
        fills(*USUAL) | learned("window_mlp", "window_mlp", f"--model window_mlp --width 512 --masks-per-image 0 {LONG} 3")
        | {name: Row(f"{name} as published but narrower", f"--model {name} {PAIR}") for name in ("unet", "encoder_decoder")},
        ("--size", "64")),   # at 256 a network of whole pictures would see too few in minutes of a core
}
ROWS = [f"{contest}/{row}" for contest in CONTESTS for row in CONTESTS[contest].rows]


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks contests", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of photos, subfolders are classes")
    parser.add_argument("--home", type=Path, required=True, help="folder for all that the stages write")
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS, metavar="CONTEST/NAME", help=", ".join(ROWS))
    asked = parser.parse_args()
    prepared = set()
    for name in with_floors(asked.rows):
        contest, row = name.split("/")
        if name not in read(FIGURES):
            flags = ("--competition", contest, "--augment", "8x", "--photos", str(asked.data.absolute()), *CONTESTS[contest].flags)
            if contest not in prepared:
                prepared.add(contest)
                for first in ("download", "augment"):
                    stage(asked.home, flags, first)
            found = measured(asked.home, contest, flags, row)
            save(FIGURES, read(FIGURES) | {name: found})   # others may have measured meanwhile
    TABLE.write_text(HEAD.format(tables="\n".join(table(name, read(FIGURES)) for name in CONTESTS)) + TRIED)
    print(TABLE)


def with_floors(names):
    """Each contest's floor before its rows."""
    return dict.fromkeys(name for row in names for name in (f"{row.split('/')[0]}/{CONTESTS[row.split('/')[0]].floor}", row))


def measured(home, contest, flags, name):
    """Make the row's file and compare it with the solution; beside it the holdout, on which everything was chosen."""
    row, run = CONTESTS[contest].rows[name], name.removesuffix("-tta")
    train = f"{row.train} --run {run}"
    minutes = made(home, flags, row, run)
    for last in ("serialize", "score"):
        stage(home, flags, last, train)
    written, = (home / "submissions" / contest).glob(f"{run}.[bc]*")
    squares, numbers = by_picture(written, home / "competition" / contest / f"solution{written.suffix}")
    held = json.loads((home / "checkpoints" / contest / run / "score.json").read_text())
    return {"squares": np.float32(squares).tolist(), "numbers": numbers.tolist(),
            "holdout": [sum(held["sums"]), sum(held["numbers"])],
            "fills": {fill: sum(sums) for fill, sums in held["fills"].items()}, "minutes": minutes.round(1).tolist(),
            "command": command_of(row), **circumstances()}


def by_picture(written, solution):
    """Squared errors and number of values of each picture, in 0..1."""
    truth, ours = told(solution), told(written)
    if [len(values) for values in truth] != [len(values) for values in ours]:
        sys.exit(f"{written} and {solution} are not of the same pixels.")
    return (np.array([np.square(one - other).sum() for one, other in zip(truth, ours, strict=True)]),
            np.array([len(values) for values in truth]))


def told(path):
    """The values of each picture in a file of either form, pictures and pixels in one order."""
    if path.suffix == ".csv":
        table = pd.read_csv(path, usecols=["pixel", "value"]).sort_values("pixel", kind="stable")
        return [group.to_numpy() for _, group in table.value.groupby(table.pixel.str.replace(r"(_\d+){2,3}$", "", regex=True))]
    data, at, pictures = path.read_bytes(), 1, []
    while at < len(data):
        begin = at + data[0]
        at = begin + int.from_bytes(data[begin - data[0]:begin], "big") + 1
        pictures.append(np.frombuffer(data[begin:at], np.uint8) / GREYS)
    return pictures


def score(contest, squares, numbers):
    return contest.score(np.sum(squares, -1) / np.sum(numbers, -1))


def table(name, figures):
    """The lines of one contest, best last; ratios are of the same draws of pictures."""
    contest, rows = CONTESTS[name], {row: figures[f"{name}/{row}"] for row in CONTESTS[name].rows if f"{name}/{row}" in figures}
    if contest.floor not in rows:
        return ""
    floor, lines = rows[contest.floor], []
    picks = draws(len(floor["numbers"]))
    numbers = np.array(floor["numbers"])
    of_floor = score(contest, np.array(floor["squares"])[picks], numbers[picks])
    for row, found in rows.items():
        squares = np.array(found["squares"])
        of_draws = score(contest, squares[picks], numbers[picks])
        (low, high), (least, most) = interval(of_draws), interval(of_draws / of_floor)
        value, held = (score(contest, *figures) for figures in ((squares, numbers), found["holdout"]))
        lines.append(f"| {contest.rows[row].what} | {held:.3f} | {value:.3f} ({low:.3f} to {high:.3f}) "
                     f"| {value / score(contest, floor['squares'], numbers):.4f} ({least:.3f} to {most:.3f}) "
                     f"| {told_minutes(found['minutes'])} | `{found['command']}` | {found['hardware']} "
                     f"| {found['commit']} |")
    for fill, squares in floor["fills"].items():
        if fill not in rows and fill in contest.rows:
            held = score(contest, squares, floor["holdout"][1])
            lines.append(f"| {contest.rows[fill].what} | {held:.3f} | | | | `{contest.rows[fill].train}` | | |")
    return PART.format(name=name, told=contest.told, floor=contest.floor, pictures=len(numbers), values=numbers.sum(),
                       flags=" ".join((" at", *contest.flags)) if contest.flags else "",
                       lines="\n".join(lines))


HEAD = """# Contests made of photos

Made by `python -m benchmarks contests --data FOLDER --home FOLDER`, of photos of four animals, 256x256; a contest makes its own
training, holdout and test pictures of them. Everything was chosen on the holdout, and the test pictures were looked at once for
each row. In brackets the 95% interval over draws of pictures; ratios are of the same draws. Minutes are those of the whole
`train` stage on the clock and, in brackets, of its cores, on a machine that was doing other work, too.
{tables}"""

TRIED = """
## What did not help, or not yet

Measured on holdout pictures while the settings were chosen, on the same busy machine; ratios are to the fill started from.

* missing_pixels: a linear regression on the window comes to 0.968 of biharmonic's squared error, with 12 pixels a side as
  with 20. Without `--contrast-weighting`, 72 core seconds on a fifth of the pictures came to 0.871, with it to 0.823 (0.855 and 0.807 over
  eight flips and turns); weights by one over the squared contrast stood at 0.974 after 38 seconds.
* depixelation: a U-Net on squares of 2x2 pixels, 829 thousand parameters, was at 1.000 of tile_smooth's RMSE after 800 steps of
  16 at rate 2e-3, and at 1.002 to 1.003 of it after 450 at 5e-4; it wants more than minutes. tile_mlp shown the window's
  frequencies, brought to one height, came to 0.999 in 60 core seconds; shown its pixels it was at 0.987 after 68.
* depixelation, trials of three minutes of two cores each, over eight flips and turns with the tiles' means held, as ratios to
  tile_harmonic: a U-Net of 6.5 million parameters 0.965; edsr on whole pictures 0.955, shown the tiles besides the fill 0.954,
  in the square of 48 pixels 0.946, and there at half the rate 0.948. Twice the rate was at 0.971 after two minutes, where the
  usual one was at 0.962.
* depixelation: two runs of edsr from different seeds end at nearly the same pictures (0.0046 apart, on the average), so their
  mix gains nothing; going on from the first with a lower rate does.
* landscapes: U-Net and encoder-decoder began from nothing and had the same minutes, one after the other, which were 810 and
  1,219 steps of 32: the U-Net's RMSE on the test pictures is 0.972 (0.965 to 0.980) of the other's, and both are still above the
  harmonic fill. The U-Net's core minutes were not kept.
* depixelation: holding the tiles' means in what that U-Net painted after 150 steps took 0.4% off its RMSE.
"""

PART = """
## {name}

{told}; {pictures} test pictures{flags}, {values:,} missing values. The floor is {floor}.

| what | holdout | test | test, of {floor} | minutes (core minutes) | flags | measured on | commit |
|---|---|---|---|---|---|---|---|
{lines}
"""

