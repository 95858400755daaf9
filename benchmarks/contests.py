"""Scores of fills and networks in the competitions that are made of photos, on test images: benchmarks/results/CONTESTS.md.

    python -m benchmarks contests --data FOLDER --home FOLDER [--rows COMPETITION/NAME ...]

FOLDER of --data holds photos. Each competition makes its own training, holdout and test images of them, and each photo is in
one split only. Each row is made by the project's own stages as a user would run them. Its submission is compared with the
solution here, image by image. Results are stored and not measured again, so that each row is measured only once on the test
images.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._measure import (
    RESULTS,
    Results,
    Row,
    add_result,
    check_same_images,
    compute_interval,
    describe_measurement,
    draw_bootstrap_samples,
    format_command,
    format_minutes,
    make_predictions,
    read_results,
    run_stage,
)

RESULTS_FILE, TABLE_FILE = RESULTS / "CONTESTS.json", RESULTS / "CONTESTS.md"
MAX_VALUE = 255
MISSING_SHARE = 4 / 64   # of the pixels, in missing_pixels


def compute_rmse_255(mean_square: np.ndarray) -> np.ndarray:
    """Return the RMSE of the missing pixels on the scale 0 to 255."""
    return MAX_VALUE * np.sqrt(mean_square)


def compute_mse_255(mean_square: np.ndarray) -> np.ndarray:
    """Return the mean squared error of whole images of missing_pixels on the scale 0 to 255."""
    return MAX_VALUE**2 * mean_square * MISSING_SHARE


@dataclass(frozen=True)
class Benchmark:
    """What is measured in a competition.

    `baseline` is the fill that the others are compared with. `compute_score` gives the score from the mean squared error of
    the missing pixels, whose values are in 0..1.
    """

    baseline: str
    score_name: str
    compute_score: Callable[[np.ndarray], np.ndarray]
    rows: Mapping[str, Row]
    flags: Sequence[str] = ()


def make_fill_rows(*names: str) -> dict[str, Row]:
    return {name: Row(f"fill: {name}", f"--model {name}") for name in names}


def make_network_rows(name: str, flags: str) -> dict[str, Row]:
    """Return a run, and the same run with test-time augmentation."""
    return {name: Row(name, flags), f"{name}-tta": Row("the same run, test-time augmentation", flags, "--tta 8")}


FILLS = ("mean", "ring", "telea", "navier_stokes", "harmonic", "smooth", "biharmonic")
LONG = "--steps 100000 --minutes"
EDSR = "--model edsr --work-size 48"
IMAGE_NETWORK = f"--width 16 --batch-size 32 --loss-region hole {LONG} 4"

BENCHMARKS = {
    "missing_pixels": Benchmark(
        baseline="biharmonic", score_name="Mean squared error of the whole image, 0 to 255", compute_score=compute_mse_255,
        rows={**make_fill_rows(*FILLS), **make_network_rows("lattice_mlp", f"--model lattice_mlp {LONG} 12")}),
    "depixelation": Benchmark(
        baseline="tile_harmonic", score_name="RMSE of the missing pixels, 0 to 255", compute_score=compute_rmse_255,
        rows={
            **make_fill_rows(*FILLS, "tile_harmonic", "tile_smooth"),
            **make_network_rows("tile_mlp", f"--model tile_mlp {LONG} 16"),
            **make_network_rows("edsr", f"{EDSR} {LONG} 35"),
            "edsr-2": Row("edsr with another seed, test-time augmentation", f"{EDSR} --steps 9500 --seed 2", "--tta 8"),
            "edsr-mix": Row("ensemble of both runs", members="edsr,edsr-2"),
            "edsr-on": Row("the first run trained for 20 minutes more, test-time augmentation",
                           f"{EDSR} --init-from edsr --seed 2 --learning-rate 5e-4 {LONG} 20", "--tta 8")}),
    "landscapes": Benchmark(
        baseline="harmonic", score_name="RMSE of the missing pixels, 0 to 255", compute_score=compute_rmse_255,
        rows={
            **make_fill_rows(*FILLS),
            **make_network_rows("window_mlp", f"--model window_mlp --start smooth --width 512 --masks-per-image 0 {LONG} 3"),
            "unet": Row("unet as published but narrower", f"--model unet {IMAGE_NETWORK}"),
            "encoder_decoder": Row("encoder_decoder as published but narrower", f"--model encoder_decoder {IMAGE_NETWORK}")},
        flags=("--size", "64")),   # at 256, a network of whole images would see too few of them in minutes on a core
}
ROWS = [f"{competition}/{name}" for competition, benchmark in BENCHMARKS.items() for name in benchmark.rows]


def main() -> None:
    options = parse_options()
    prepared: set[str] = set()
    for row in add_baselines(options.rows):
        if row in read_results(RESULTS_FILE):
            continue
        competition, name = row.split("/")
        flags = make_competition_flags(competition, options.data)
        if competition not in prepared:
            prepared.add(competition)
            prepare_competition(options.home, competition, flags)
        add_result(RESULTS_FILE, row, measure_row(options.home, competition, flags, name))
    TABLE_FILE.write_text(format_page(read_results(RESULTS_FILE)))
    print(TABLE_FILE)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks contests", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of photos, with a subfolder for each class")
    parser.add_argument("--home", type=Path, required=True, help="folder for everything that the stages write")
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS, metavar="COMPETITION/NAME", help=", ".join(ROWS))
    return parser.parse_args()


def add_baselines(rows: Sequence[str]) -> list[str]:
    """Return the rows, with the baseline of each competition before its first row."""
    complete: dict[str, None] = {}
    for row in rows:
        competition, _ = row.split("/")
        complete[f"{competition}/{BENCHMARKS[competition].baseline}"] = None
        complete[row] = None
    return list(complete)


def make_competition_flags(competition: str, data: Path) -> tuple[str, ...]:
    return ("--competition", competition, "--augment", "8x", "--photos", str(data.absolute()), *BENCHMARKS[competition].flags)


def prepare_competition(home: Path, competition: str, flags: Sequence[str]) -> None:
    """Make the images of a competition; they must be those of the rows that are stored."""
    for stage in ("download", "augment"):
        run_stage(home, flags, stage)
    solution, = (home / "competition" / competition).glob("solution.[bc]*")   # .csv or .bin
    stored = [row for name, row in read_results(RESULTS_FILE).items() if name.split("/")[0] == competition]
    check_same_images([len(of_image) for of_image in read_values(solution)], stored, RESULTS_FILE)


def measure_row(home: Path, competition: str, flags: Sequence[str], name: str) -> dict[str, Any]:
    """Make the submission of a row and compare it with the solution; also read its score on the holdout."""
    row, run = BENCHMARKS[competition].rows[name], name.removesuffix("-tta")
    train_flags = f"{row.train} --run {run}"
    minutes = make_predictions(home, flags, row, run)
    run_stage(home, flags, "serialize", train_flags)
    run_stage(home, flags, "score", train_flags)
    submission, = (home / "submissions" / competition).glob(f"{run}.[bc]*")   # .csv or .bin
    solution = home / "competition" / competition / f"solution{submission.suffix}"
    squares, numbers = compute_squares(submission, solution)
    holdout = json.loads((home / "checkpoints" / competition / run / "score.json").read_text())
    return {"squares": np.float32(squares).tolist(), "numbers": numbers.tolist(),
            "holdout": [sum(holdout["sums"]), sum(holdout["numbers"])],
            "fills": {fill: sum(sums) for fill, sums in holdout["fills"].items()}, "minutes": minutes.round(1).tolist(),
            "command": format_command(row), **describe_measurement()}


def compute_squares(submission: Path, solution: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of squared errors and the number of values of each image; values are in 0..1."""
    true_values, values = read_values(solution), read_values(submission)
    numbers = [len(of_image) for of_image in true_values]
    if [len(of_image) for of_image in values] != numbers:
        sys.exit(f"{submission} and {solution} do not hold the same pixels.")
    squares = [np.square(true - predicted).sum() for true, predicted in zip(true_values, values, strict=True)]
    return np.array(squares), np.array(numbers)


def read_values(path: Path) -> list[np.ndarray]:
    """Return the values of each image in a file of either format, with images and pixels in one order."""
    return read_csv_values(path) if path.suffix == ".csv" else read_byte_values(path)


def read_csv_values(path: Path) -> list[np.ndarray]:
    table = pd.read_csv(path, usecols=["pixel", "value"]).sort_values("pixel", kind="stable")
    image_ids = table.pixel.str.replace(r"(_\d+){2,3}$", "", regex=True)
    return [group.to_numpy() for _, group in table.value.groupby(image_ids)]


def read_byte_values(path: Path) -> list[np.ndarray]:
    """Read a file of pixel_bytes.py: a byte W, then for each image its number of values minus 1 in W bytes, and the values."""
    data, images = path.read_bytes(), []
    width, end = data[0], 1
    while end < len(data):
        start = end + width
        end = start + int.from_bytes(data[end:start], "big") + 1
        images.append(np.frombuffer(data[start:end], np.uint8) / MAX_VALUE)
    return images


def format_page(results: Results) -> str:
    """Return CONTESTS.md."""
    tables = [format_table(competition, results) for competition in BENCHMARKS]
    return PAGE.format(tables="\n".join(table for table in tables if table)) + NOTES


def format_table(competition: str, results: Results) -> str:
    """Return the section of one competition, or nothing if its baseline was not measured."""
    benchmark = BENCHMARKS[competition]
    measured = {name: results[f"{competition}/{name}"] for name in benchmark.rows if f"{competition}/{name}" in results}
    if benchmark.baseline not in measured:
        return ""
    baseline = measured[benchmark.baseline]
    lines = [format_line(benchmark, name, result, baseline) for name, result in measured.items()]
    for fill, squares in baseline["fills"].items():
        if fill in benchmark.rows and fill not in measured:
            lines.append(format_holdout_line(benchmark, fill, squares, baseline["holdout"][1]))
    return SECTION.format(competition=competition, score_name=benchmark.score_name, baseline=benchmark.baseline,
                          images=len(baseline["numbers"]), values=sum(baseline["numbers"]),
                          flags=" ".join((" at", *benchmark.flags)) if benchmark.flags else "", lines="\n".join(lines))


def compute_score(benchmark: Benchmark, squares: Any, numbers: Any) -> Any:
    """Return the score, or one score per bootstrap sample, from the squared errors and numbers of values of images."""
    return benchmark.compute_score(np.sum(squares, -1) / np.sum(numbers, -1))


def format_line(benchmark: Benchmark, name: str, result: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """Return the line of a measured row; the ratio to the baseline is computed on the same bootstrap samples."""
    squares, baseline_squares, numbers = (np.array(values) for values in
                                          (result["squares"], baseline["squares"], baseline["numbers"]))
    samples = draw_bootstrap_samples(len(numbers))
    sample_scores = compute_score(benchmark, squares[samples], numbers[samples])
    baseline_scores = compute_score(benchmark, baseline_squares[samples], numbers[samples])
    low, high = compute_interval(sample_scores)
    ratio_low, ratio_high = compute_interval(sample_scores / baseline_scores)
    score, holdout = compute_score(benchmark, squares, numbers), compute_score(benchmark, *result["holdout"])
    ratio = score / compute_score(benchmark, baseline_squares, numbers)
    return (f"| {benchmark.rows[name].description} | {holdout:.3f} | {score:.3f} ({low:.3f} to {high:.3f}) "
            f"| {ratio:.4f} ({ratio_low:.3f} to {ratio_high:.3f}) | {format_minutes(result['minutes'])} "
            f"| `{result['command']}` | {result['hardware']} | {result['commit']} |")


def format_holdout_line(benchmark: Benchmark, fill: str, squares: float, number: int) -> str:
    """Return the line of a fill that was measured only on the holdout."""
    row = benchmark.rows[fill]
    return f"| {row.description} | {compute_score(benchmark, squares, number):.3f} | | | | `{row.train}` | | |"


PAGE = """# Competitions made of photos

Written by `python -m benchmarks contests --data FOLDER --home FOLDER`, with photos of four animals, 256x256. Each competition
makes its own training, holdout and test images of them. All settings were chosen on the holdout, and each row was measured only
once on the test images. In brackets are 95% intervals over bootstrap samples of images; ratios are computed on the same samples.
Minutes are those of the whole `train` stage, and in brackets those of all its cores; other work ran on the machine at the same
time. Flags are written as they were when the row was measured; some have other names now.
{tables}"""

NOTES = """
## What did not help, or not yet

Measured on holdout images while the settings were chosen, on the same busy machine. Ratios are relative to the fill that the
network starts at.

* missing_pixels: a linear regression on the window reaches 0.968 of the squared error of biharmonic, with 12 pixels a side as
  well as with 20. Without `--contrast-weighting`, 72 core seconds on a fifth of the images reached 0.871, with it 0.823 (0.855
  and 0.807 with test-time augmentation). Weights of one over the squared contrast reached 0.974 after 38 seconds.
* depixelation: a U-Net on squares of 2x2 pixels, with 829 thousand parameters, was at 1.000 of the RMSE of tile_smooth after
  800 steps of 16 images at learning rate 2e-3, and at 1.002 to 1.003 after 450 steps at 5e-4; it needs more than minutes.
  tile_mlp with the frequencies of the window as input, scaled to equal size, reached 0.999 in 60 core seconds; with its pixels
  0.987 after 68.
* depixelation, trials of three minutes on two cores each, with test-time augmentation and with the means of the tiles kept, as
  ratios to tile_harmonic: a U-Net of 6.5 million parameters 0.965; edsr on whole images 0.955, with the tiles as a further input
  0.954, in a square of 48 pixels 0.946, and there at half the learning rate 0.948. At twice the rate it was at 0.971 after two
  minutes, when the usual rate was at 0.962.
* depixelation: two runs of edsr with different seeds end at nearly the same predictions (0.0046 apart on average), so that
  their ensemble improves nothing. Training the first one further with a lower rate does.
* landscapes: U-Net and encoder-decoder started without a fill and had the same minutes, one after the other, which were 810 and
  1,219 steps of 32 images. The RMSE of the U-Net on the test images is 0.972 (0.965 to 0.980) of the other's, and both are
  still above the harmonic fill. The core minutes of the U-Net were not stored.
* depixelation: keeping the means of the tiles in the predictions of that U-Net after 150 steps lowered its RMSE by 0.4%.
"""

SECTION = """
## {competition}

{score_name}; {images} test images{flags}, {values:,} missing values. The baseline is {baseline}.

| model | holdout | test | test, relative to {baseline} | minutes (core minutes) | flags | measured on | commit |
|---|---|---|---|---|---|---|---|
{lines}
"""
