"""The RMSE of fills, networks and ensembles on test images whose originals are known: benchmarks/results/RMSE.md.

    python -m benchmarks rmse --data FOLDER --home FOLDER [--rows NAME ...]

FOLDER of --data holds photo-reconstruction.zip, in the format of the competition, and solution.csv. Each row is made by the
project's own stages as a user would run them. Its CSV file is compared with the solution here, image by image, with pandas.
Results are stored and not measured again, so that each row is measured only once on the test images.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Mapping
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
from pixmend.setting_values import TABLES

RESULTS_FILE, TABLE_FILE = RESULTS / "RMSE.json", RESULTS / "RMSE.md"
COMPETITION_FLAGS = ("--competition", "photo_reconstruction", "--augment", "8x")
BASELINE = "harmonic"

MLP = "--model window_mlp --start smooth --masks-per-image 3 --steps 100000"   # the defaults when these rows were measured
HOUR = f"{MLP} --start harmonic --masks-per-image 16 --minutes 45 --evaluate-every 1000 --run mlp60"
TEN_MINUTES = ("--model window_mlp --start harmonic --masks-per-image 6 --batch-size 1536 --learning-rate 1.7e-3 "
               "--warmup-steps 150 --minutes 7.7 --evaluate-every 400 --run mlp10")
UNET = "--model residual_unet --steps 1000000 --schedule constant --run unet"
AS_PUBLISHED = "--model pix2pix_published --steps 1000000 --width 16 --run pix2pix"
PIX2PIX = "--model pix2pix --width 32 --steps 1000000 --evaluate-every 1000 --evaluation-images 150"
WINDOW_UNET = "--model window_unet --width 32 --levels 8 --steps 1000000"   # untrained at first
FROM_PHOTOS = "--model window_unet --steps 1000000"
LONG = f"{FROM_PHOTOS} --masks-per-image 12 --minutes 115 --evaluate-every 2000 --run window-unet-long"
FINE = ("--model window_unet --steps 1000000 --init-from window-unet-long --work-size 96 --masks-per-image 8 --minutes 105 "
        "--evaluate-every 2000 --run window-unet-fine")
FINE_PHOTOS = FINE.replace("--masks-per-image 8", "--masks-per-image 12")
KINDS = "--augment 5x --steps 1000000 --minutes 6 --evaluation-images 150"   # other networks for an ensemble
BASE = "--model window_mlp --start smooth --masks-per-image 3 --steps 2000"   # each row base-... changes one setting of this
ENSEMBLE = "base,base-seed-2,base-harmonic,base-l1,base-all,base-no-average,base-no-damages"
# Each row judged-... changes one setting of this.
ADVERSARIAL = "--model pix2pix_published --batch-size 4 --width 16 --start smooth --steps 1000"
WINDOWS = "--model pix2pix --width 32 --steps 800 --evaluate-every 400 --evaluation-images 150"

ROWS = {
    "mean": Row("fill: mean of the known pixels", "--model mean"),
    "ring": Row("fill: mean of a thin ring", "--model ring"),
    "telea": Row("fill: OpenCV Telea", "--model telea"),
    "navier_stokes": Row("fill: OpenCV Navier-Stokes", "--model navier_stokes"),
    "harmonic": Row("fill: harmonic, exact", "--model harmonic"),
    "smooth": Row("fill: smooth, the best linear fill", "--model smooth"),
    "photos": Row("fill: photos, a network that was trained on 658 free photographs", "--model photos"),

    "mlp-10": Row("window_mlp, 7.7 minutes and the time for windows and evaluations", TEN_MINUTES),
    "mlp-10-tta": Row("the same run, test-time augmentation", TEN_MINUTES, "--tta 8"),
    "mlp-20": Row("window_mlp, 15 minutes and the time to cut windows", f"{MLP} --minutes 15 --run mlp20"),
    "mlp-20-tta": Row("the same run, test-time augmentation", f"{MLP} --minutes 15 --run mlp20", "--tta 8"),
    "mlp-60": Row(
        "window_mlp from the harmonic fill, 16 masks per image, 45 minutes and the time for windows and evaluations", HOUR),
    "mlp-60-tta": Row("the same run, test-time augmentation", HOUR, "--tta 8"),
    "unet-20": Row("residual_unet, 20 minutes", f"{UNET} --minutes 20"),
    "unet-60": Row("residual_unet, 60 minutes", f"{UNET} --minutes 60"),
    "unet-120": Row("residual_unet, 120 minutes", f"{UNET} --minutes 120"),
    "pix2pix-20": Row("Pix2Pix as published but narrower (width 16), 20 minutes",
                      f"{AS_PUBLISHED} --minutes 20", "--predict-mode training"),
    "pix2pix-60": Row("Pix2Pix as published but narrower (width 16), 60 minutes",
                      f"{AS_PUBLISHED} --minutes 60", "--predict-mode training"),
    "pix2pix-120": Row("Pix2Pix as published but narrower (width 16), 120 minutes",
                       f"{AS_PUBLISHED} --minutes 120", "--predict-mode training"),

    "pix2pix-window-30": Row("Pix2Pix on windows from the smooth fill (width 32), 30 minutes; its windows were cut before",
                             f"{PIX2PIX} --minutes 30 --run pix2pix-window"),
    "pix2pix-window-30-tta": Row("the same run, test-time augmentation",
                                 f"{PIX2PIX} --minutes 30 --run pix2pix-window", "--tta 8"),
    "generator-10": Row("its generator without the adversarial loss, 7.5 minutes and the time for windows and evaluations",
                        f"{PIX2PIX} --no-adversarial --minutes 7.5 --run generator-10"),
    "generator-10-tta": Row("the same run, test-time augmentation",
                            f"{PIX2PIX} --no-adversarial --minutes 7.5 --run generator-10", "--tta 8"),

    "window-unet-10": Row("window_unet, 7.5 minutes and the time for windows and evaluations",
                          f"{WINDOW_UNET} --minutes 7.5 --run window-unet-10", "--tta 1"),
    "window-unet-10-tta": Row("the same run, test-time augmentation", f"{WINDOW_UNET} --minutes 7.5 --run window-unet-10",
                              "--tta 8"),
    "window-unet-60": Row("window_unet, 8 masks per image, 54 minutes and the time for windows and evaluations",
                          f"{WINDOW_UNET} --masks-per-image 8 --minutes 54 --run window-unet-60", "--tta 1"),
    "window-unet-60-tta": Row("the same run, test-time augmentation",
                              f"{WINDOW_UNET} --masks-per-image 8 --minutes 54 --run window-unet-60", "--tta 8"),

    "window-unet-photos-10": Row("window_unet from photos, 7.5 minutes and the time for windows and evaluations",
                                 f"{FROM_PHOTOS} --minutes 7.5 --run window-unet-photos-10", "--tta 1"),
    "window-unet-photos-10-tta": Row("the same run, test-time augmentation",
                                     f"{FROM_PHOTOS} --minutes 7.5 --run window-unet-photos-10", "--tta 8"),
    "window-unet-photos-60": Row("window_unet from photos, 8 masks per image, 40 minutes and time for windows and evaluations",
                                 f"{FROM_PHOTOS} --masks-per-image 8 --minutes 40 --run window-unet-photos-60", "--tta 1"),
    "window-unet-photos-60-tta": Row("the same run, test-time augmentation",
                                     f"{FROM_PHOTOS} --masks-per-image 8 --minutes 40 --run window-unet-photos-60", "--tta 8"),

    "window-unet-default": Row("the command of the README: window_unet from photos, 20,000 steps; windows cut before",
                               "--augment 5x --run window-unet-default", "--tta 1"),
    "window-unet-default-tta": Row("the same run, test-time augmentation", "--augment 5x --run window-unet-default", "--tta 8"),

    "window-unet-photos-115": Row("window_unet from photos, 12 masks per image, 115 minutes and time for windows", LONG,
                                  "--tta 1"),
    "window-unet-photos-115-tta": Row("the same run, test-time augmentation", LONG, "--tta 8"),
    "window-unet-long": Row("the same flags with the earlier weights of photos", LONG, "--tta 1"),
    "window-unet-long-tta": Row("the same run, test-time augmentation", LONG, "--tta 8"),
    "window-unet-fine": Row("window_unet from the weights of that run, windows of 96 pixels, 105 minutes more", FINE, "--tta 1"),
    "window-unet-fine-tta": Row("the same run, test-time augmentation", FINE, "--tta 8"),
    "window-unet-photos-fine": Row("window_unet from the weights of the 115 minutes from photos, windows of 96 pixels, "
                                   "12 masks per image, 105 minutes more", FINE_PHOTOS, "--tta 1"),
    "window-unet-photos-fine-tta": Row("the same run, test-time augmentation", FINE_PHOTOS, "--tta 8"),

    "base": Row("window_mlp, 2,000 steps", f"{BASE} --run base"),
    "base-seed-2": Row("the same with another seed", f"{BASE} --seed 2 --run base-seed-2"),
    "base-harmonic": Row("the same from the harmonic fill", f"{BASE} --start harmonic --run base-harmonic"),
    "base-l1": Row("the same with absolute errors", f"{BASE} --loss l1 --run base-l1"),
    "base-all": Row("the same with errors in the whole window", f"{BASE} --loss-region all --run base-all"),
    "base-no-average": Row("the same without averaged weights", f"{BASE} --ema-decay 0 --run base-no-average"),
    "base-no-damages": Row("the same without new masks", f"{BASE} --masks-per-image 0 --run base-no-damages"),
    "mix": Row("ensemble of the seven runs above", "--run mix", members=ENSEMBLE),
    "mix-60": Row("ensemble of the same seven and the run of 45 minutes", "--run mix60", members=f"mlp60,{ENSEMBLE}"),
    "mix-windows": Row("ensemble of the networks on windows, whose weights the holdout chooses", "--run mix-windows",
                       members="window-unet-60,window-unet-10,pix2pix-window,generator-10"),
    "mix-photos": Row("ensemble of the run of 40 minutes from photos and that of 62 minutes", "--run mix-photos",
                      members="window-unet-photos-60,window-unet-60"),
    "mix-long": Row("ensemble of the runs of 115 and 40 minutes from photos, with test-time augmentation", "--run mix-long",
                    members="window-unet-long,window-unet-photos-60"),
    "mix-fine": Row("ensemble of the two longest runs, with test-time augmentation", "--run mix-fine",
                    members="window-unet-fine,window-unet-long"),
    "mix-photos-fine": Row("ensemble of the two longest runs from photos, with test-time augmentation",
                           "--run mix-photos-fine", members="window-unet-fine,window-unet-long"),
    "kinds-mlp": Row("window_mlp, 1 mask per image, 6 minutes and the time for windows",
                     f"{KINDS} --model window_mlp --masks-per-image 1 --run kinds-mlp"),
    "kinds-pix2pix": Row("Pix2Pix on windows (width 32), 6 minutes; its windows were cut before",
                         f"{KINDS} --model pix2pix --width 32 --run kinds-pix2pix"),
    "kinds-pretrained": Row("pretrained_unet on the same windows, 6 minutes",
                            f"{KINDS} --model pretrained_unet --masks-per-image 4 --window 2 --work-size 64 "
                            "--encoder EfficientNetLite0 --run kinds-pretrained"),
    "mix-kinds": Row("ensemble of the README's command, with test-time augmentation, and the three kinds of networks above",
                     "--augment 5x --run mix-kinds", members="window-unet-default,kinds-mlp,kinds-pix2pix,kinds-pretrained"),
    "base-tta": Row("window_mlp, 2,000 steps, test-time augmentation", f"{BASE} --run base", "--tta 8"),
    "base-5x": Row("window_mlp, 2,000 steps, five transforms of each image", f"{BASE} --augment 5x --run base-5x"),
    "base-1x": Row("the same with one transform", f"{BASE} --augment none --run base-1x"),

    "judged": Row("Pix2Pix (width 16), 1,000 steps from the smooth fill, LAMBDA 1000", f"{ADVERSARIAL} --run judged"),
    "judged-lambda-1": Row("the same with LAMBDA 1", f"{ADVERSARIAL} --lambda 1 --run judged-lambda-1"),
    "judged-lambda-10": Row("the same with LAMBDA 10", f"{ADVERSARIAL} --lambda 10 --run judged-lambda-10"),
    "judged-lambda-100": Row("the same with LAMBDA 100", f"{ADVERSARIAL} --lambda 100 --run judged-lambda-100"),
    "judged-lambda-10000": Row("the same with LAMBDA 10000", f"{ADVERSARIAL} --lambda 10000 --run judged-lambda-10000"),
    "judged-unjudged": Row("the same without the adversarial loss", f"{ADVERSARIAL} --no-adversarial --run judged-unjudged"),
    "judged-hole": Row("the same with errors in the hole only", f"{ADVERSARIAL} --loss-region hole --run judged-hole"),
    "judged-squares": Row("the same with squared errors in the hole only, without the adversarial loss",
                          f"{ADVERSARIAL} --loss l2 --loss-region hole --no-adversarial --run judged-squares"),
    "judged-mask": Row("the same with the mask as an input channel", f"{ADVERSARIAL} --mask-channel --run judged-mask"),
    "judged-fresh": Row("the same with new masks", f"{ADVERSARIAL} --fresh-masks --run judged-fresh"),
    "judged-window": Row("Pix2Pix on windows (width 32), 800 steps from the smooth fill, LAMBDA 20000",
                         f"{WINDOWS} --run judged-window"),
    "judged-window-lambda-1000": Row("the same with LAMBDA 1000", f"{WINDOWS} --lambda 1000 --run judged-window-lambda-1000"),
    "judged-window-lambda-100": Row("the same with LAMBDA 100", f"{WINDOWS} --lambda 100 --run judged-window-lambda-100"),
    "judged-window-unjudged": Row("the same without the adversarial loss",
                                  f"{WINDOWS} --no-adversarial --run judged-window-unjudged"),
}


def main() -> None:
    options = parse_options()
    prepare_dataset(options.data, options.home)
    results = read_results(RESULTS_FILE)
    solution = None
    for name in [BASELINE, *options.rows]:
        if name not in results:
            if solution is None:
                solution = read_solution(options.data)
                check_same_images(count_values(solution), results.values(), RESULTS_FILE)
            results = add_result(RESULTS_FILE, name, measure_row(options.home, ROWS[name], solution))
        print(name, results[name]["rmse"])
    TABLE_FILE.write_text(format_table(results))
    print(TABLE_FILE)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks rmse", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with photo-reconstruction.zip and solution.csv")
    parser.add_argument("--home", type=Path, required=True, help="folder for everything that the stages write")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS), metavar="NAME", help=", ".join(ROWS))
    return parser.parse_args()


def prepare_dataset(data: Path, home: Path) -> None:
    """Copy the archive into the home and prepare the dataset."""
    folder = home / "competition" / "photo_reconstruction"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "photo-reconstruction.zip").exists():
        shutil.copy(data / "photo-reconstruction.zip", folder)
    for stage in ("download", "augment"):
        run_stage(home, COMPETITION_FLAGS, stage)


def measure_row(home: Path, row: Row, solution: pd.DataFrame) -> dict[str, Any]:
    """Make the CSV file of a row and compare it with the solution."""
    run_stage(home, COMPETITION_FLAGS, "augment", row.train)
    minutes = make_predictions(home, COMPETITION_FLAGS, row)
    run_stage(home, COMPETITION_FLAGS, "serialize", f"{row.train} --force")   # so that it is the newest file
    path = find_newest_submission(home / "submissions" / "photo_reconstruction")
    squares, numbers = compute_squares(pd.read_csv(path, names=["id", "value"], header=0), solution)
    return {"rmse": float(np.sqrt(squares.sum() / numbers.sum())),
            "squares": squares.round(6).tolist(), "numbers": numbers.tolist(),
            "command": format_command(row), "minutes": minutes.round(1).tolist(),
            **read_evaluations(home, row), **describe_measurement()}


def read_evaluations(home: Path, row: Row) -> dict[str, list[float]]:
    """Return the holdout RMSE at the first and at the last evaluation of a training; nothing for a fill."""
    run = re.search(r"--run (\S+)", row.train)
    history = home / "checkpoints" / "photo_reconstruction" / (run[1] if run else "") / "history.csv"
    if not history.exists():
        return {}
    return {"evaluations": pd.read_csv(history)["holdout_rmse"].iloc[[0, -1]].tolist()}


def find_newest_submission(folder: Path) -> Path:
    paths = [path for path in folder.glob("*.csv") if path.suffixes[-2:] != [".holdout", ".csv"] and path.stem not in TABLES]
    return max(paths, key=lambda path: path.stat().st_mtime)


def read_solution(data: Path) -> pd.DataFrame:
    return pd.read_csv(data / "solution.csv", usecols=[0, 1], names=["id", "value"], header=0)


def count_values(solution: pd.DataFrame) -> list[int]:
    """Return the number of values of each image."""
    return solution.groupby(name_images(solution["id"]))["id"].count().tolist()


def name_images(ids: pd.Series) -> pd.Series:
    """Return of which image each row is."""
    return ids.str.replace(r"_box\d_\d+_\d+_\d+$", "", regex=True)


def compute_squares(submission: pd.DataFrame, solution: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of squared errors and the number of values of each image; rows are joined by id."""
    joined = solution.merge(submission, on="id", suffixes=("_true", ""), validate="one_to_one")
    if len(joined) != len(solution):
        sys.exit(f"{len(solution) - len(joined)} ids of the solution are missing in the submission.")
    joined["square"] = (joined["value"] - joined["value_true"]) ** 2
    images = joined.groupby(name_images(joined["id"]))["square"]
    return images.sum().to_numpy(), images.count().to_numpy()


def compute_intervals(result: Mapping[str, Any], baseline: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95% intervals of the RMSE and of its ratio to the baseline, over the same bootstrap samples of images."""
    samples = draw_bootstrap_samples(len(result["squares"]))
    squares, baseline_squares, numbers = (np.array(values)[samples].sum(1) for values in
                                          (result["squares"], baseline["squares"], result["numbers"]))
    return compute_interval(np.sqrt(squares / numbers)), compute_interval(np.sqrt(squares / baseline_squares))


def format_table(results: Results) -> str:
    baseline = results[BASELINE]
    lines = [format_line(ROWS[name].description, results[name], baseline) for name in ROWS if name in results]
    evaluations = [format_evaluations(ROWS[name].description, *results[name]["evaluations"]) for name in ROWS
                   if name.startswith("judged") and "evaluations" in results.get(name, {})]
    return PAGE.format(images=len(baseline["squares"]), values=sum(baseline["numbers"]), lines="\n".join(lines),
                       evaluations="\n".join(evaluations))


def format_line(description: str, result: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    (low, high), (ratio_low, ratio_high) = compute_intervals(result, baseline)
    ratio = result["rmse"] / baseline["rmse"]
    return (f"| {description} | {result['rmse']:.5f} ({low:.4f} to {high:.4f}) | {ratio:.4f} "
            f"({ratio_low:.3f} to {ratio_high:.3f}) | {format_minutes(result['minutes'])} | `{result['command']}` "
            f"| {result['hardware']} | {result['commit']} |")


def format_evaluations(description: str, first: float, last: float) -> str:
    return f"| {description} | {first:.5f} | {last:.5f} | {last / first:.4f} |"


PAGE = """# RMSE on test images

Written by `python -m benchmarks rmse --data FOLDER --home FOLDER`: {images} test images with {values:,} missing values, of a
stand-in of the competition whose originals are known. All settings were chosen on a holdout of its training images. The RMSE is
over all values, as in the competition. In brackets are 95% intervals over bootstrap samples of images; the ratio to the harmonic
fill is computed on the same samples. Minutes are those of the whole `train` stage, and in brackets those of all its cores. If a
network has the RMSE of the fill that it starts at, no evaluation on the holdout was below that fill, and so the first weights,
which change nothing, were kept. Each command also has `--competition photo_reconstruction --augment 8x`.
Flags are written as they were when the row was measured; some have other names or defaults now. Where a row continues the run of
another one, its minutes are those that it added. Runs from photos that were measured before ca05566 began with its earlier
weights, which were learned from 31 photographs and had 0.9434 of the harmonic fill.

| model | RMSE | relative to harmonic | minutes (core minutes) | flags | measured on | commit |
|---|---|---|---|---|---|---|
{lines}

## The effect of the adversarial loss

The RMSE of a small Pix2Pix on those holdout images that its training evaluates: before the first step, where it equals the fill
that it starts at, and after the last step. Where the last weights are worse, they were not kept.

| model | first evaluation | last evaluation | ratio |
|---|---|---|---|
{evaluations}

## Targets

| budget | target | more ambitious | reached |
|---|---|---|---|
| 10 minutes of two cores, windows included | 0.95 | 0.935 | 0.945 in 10.9 minutes; from photos 0.927 in 11.1 core minutes |
| 60 minutes of two cores | 0.93 | 0.91 | 0.931 in 62 minutes; from photos 0.921 in an hour of one core |
| a night | 0.915 | 0.89 | 0.9151 in four hours of one core, missed by 0.0001; 0.9161 from the newer weights of photos |
| Pix2Pix, 60 minutes | 0.97 | 0.95 | 0.948 in 31 minutes, its windows cut before |
| one H100, 9 minutes | 0.90 | 0.85 | 0.896 ([ACCELERATOR.md](ACCELERATOR.md)) |
| an ensemble of the best | 0.92 | 0.84 | 0.9151 |

Ratios to the harmonic fill on the test images, with test-time augmentation; 0.945 is without.

## Further trials, most without gain

Trials on the holdout, most with one seed each; their runs are not stored.

- Not tried: finer cells near the box than further out, outputs in a basis of principal components, an error that counts the
  border at full resolution, the mean of three seeds, first weights of `window_mlp` from a ridge regression. Contrast and
  brightness changes would only weigh windows differently, since the networks measure each in its own contrast. Windows are
  stored as bytes, half of float16. New windows at every step, drawn during training, were not built: with few photos, where they
  should help most, more masks do not help (see "Few photos").
- For `window_mlp` at 2,000 steps, one run each: absolute instead of squared errors make the ratio to the harmonic fill worse by
  0.0018. The harmonic start makes it better by 0.0012, errors in the whole window by 0.0010, averaged weights by 0.0004. Another
  seed alone makes a difference of 0.0003.
- For a small Pix2Pix at 1,000 steps on whole images: any LAMBDA, no adversarial loss, errors in the hole only, squared errors,
  the mask as a channel, new masks. None was better than the starting fill by a thousandth. With LAMBDA 1 or 10, with errors in
  the hole only, and with the mask as a channel, the weights after the last step are 2 to 25% worse than the fill.
- Test-time augmentation improves `window_mlp` by 0.0020 after 15 minutes of training and by 0.0001 after 45. An ensemble of the
  latter with seven short runs improves it by 0.0003.
- For `window_unet`, on 150 images of the holdout, where the smooth fill has 0.15257. Runs of 2.5 minutes: 0.15171 with batch
  normalization, 0.14898 without. Runs of 2 minutes without it, at half the learning rate: 0.15058; with batches of 16 0.15076;
  with SiLU in place of ReLU 0.15055; with width 48 0.15196. Group normalization (0.15181) and dividing each pixel by its norm
  (0.15132) are worse than none at the full rate. At twice the rate a network stays at the fill: 0.15222.
- An ensemble of networks on windows: the holdout gives the run of 62 minutes a weight of 0.96, that of 11 minutes 0.04, and
  Pix2Pix none. From photos, the run of 40 minutes gets 0.97 beside that of 62 minutes, and the run of 115 minutes all weight
  beside that of 40. Members of other kinds do not help either: beside the run of the README's command, `window_mlp`, Pix2Pix and
  a network with an ImageNet encoder, six minutes each, get no weight. None of these ensembles gains on images that its weights
  were not chosen on. That of two runs on windows of different sizes gains 0.0004 of the ratio on the test images.
- Better first weights: with those of photos as they are now, the RMSE is lower by 0.003 of the harmonic fill's after 7.5 minutes,
  by 0.002 by the README's command, and the same after 115 minutes (test-time augmentation, test images). The night's second half
  from them, with 12 masks on finer windows, ends at 0.14531 on the holdout, where that from the earlier ones ended at 0.14533.
  Their ensembles have 0.9161 and 0.9151 of the harmonic fill on the test images: runs that are equal on the holdout differ by
  that much there.
- More training of the earlier run of 115 minutes, on the same windows. Its holdout fell until the end, by 0.0002 in the last half
  hour, to 0.14583. After 4,000 steps more, at a low rate, it has 0.14598; with the three colours of each window in a random
  order 0.14594; and after 2,000 steps on windows that are three boxes wide (96 pixels) 0.14615. Finer windows helped: where a
  box has 48 pixels and not 32, 105 minutes more lead to 0.14533. An ensemble of both has 0.9151 of the harmonic fill on the
  test images; the target of a night was 0.915. Without test-time augmentation the first of them has 0.915 of the smooth fill on
  550 of its training photos, and 0.929 on the holdout: what it has learned of these photos alone is more than what is missing.
- New masks whose images are saved as JPEG like the competition's, so that known pixels beside a box are as dirty in training as
  in test images: after 3,000 steps of window_unet from photos 0.14819 on the holdout, without it 0.14810.
- A wider window_unet (width 40) that begins as one of width 24 with the weights of photos: after 2,000, 4,000 and 6,000 steps it
  has 0.14879, 0.14833 and 0.14807 on the holdout, that of width 24 has 0.14859, 0.14832 and 0.14797, at twice as many steps a
  minute.
- Changes to the training of window_unet from photos: after 3,000 steps of 32 windows, 4 masks per image, it has 0.14810 on the
  holdout, and 0.14830 with another seed. A rate that falls linearly: 0.14813. Half the rate: 0.14819. Twice the rate: 0.14871.
  Weight decay of 0.05: 0.14806. Averages over fewer steps (0.995): 0.14810. Half as many steps of 64 windows: 0.14817, and at 1.4
  times the rate 0.14802. Boxes of 55 to 100 pixels for training: 0.14826. Dropout of a tenth of the channels: 0.14834. One window
  for two boxes that overlap: 0.14974.
- New masks that up to 16 images in a row share, so that they are filled together, against one for each image: after 2,500 steps
  of window_unet from photos 0.14750 against 0.14730 on the holdout, and with another seed 0.14714 against 0.14720. A mask with
  its windows takes 8.5 ms of one core, and not 20.
- Few photos: window_unet from photos makes 4,000 steps on 720 photos with 4 masks each. On a holdout of 80 others it begins with
  0.14445, has 0.14346 at step 2,500, and 0.14374 at the end, so it overfits little. With 16 masks each it has 0.14374 at step
  2,500 and 0.14382 at the end; in 10,000 steps with 16 masks 0.14386 at step 6,000 and 0.14387 at the end. What is missing are
  other photos, not other masks.
- Changes to the prediction of the run of 40 minutes, on half of the holdout, without test-time augmentation: it has 0.14729. Its
  mean with a prediction of windows that are 3% wider: 0.14739. A second prediction, in which the other box is filled with the
  first one: 0.14737.
- A factor on the residual of a network that depends on the distance to the border of the hole: the best factors improve the RMSE
  by less than a part in a thousand ([BORDER.md](BORDER.md)).
- Pixels of the same photo in another crop: one of the 200 test images has such a training image. The search matched ORB features
  outside the boxes with those of all training images, fitted similarities with RANSAC, and the likeliest pairs were inspected. If
  all its pixels were known, the RMSE of the best row would be 0.3% lower.
- More training of residual_unet after the first 500 steps: with a constant learning rate it did not improve in two hours. It
  learns slowly, not nothing. On 150 holdout images, where the smooth fill has 0.15257, it has 0.15205 after five minutes of
  one core at width 16, 0.15218 with a constant rate and 0.15222 without normalization, so neither explains it. A window_unet
  has 0.15077 after three minutes of the same core: it sees a box always at one place and 1.7 times as fine, which probably
  explains it. After 300 steps at width 16 it has 0.15227, with another seed 0.15225, without averaged weights 0.15225, and
  without a limit to the norm of its gradients the same weights: the limit was never reached. The scale of the loss has no
  effect either, since Adam divides by it. Not tried: another last layer, new masks.
- An encoder with ImageNet weights: pretrained_unet on the same windows (`--window 2 --work-size 64 --start smooth
  --masks-per-image 4 --encoder EfficientNetLite0`) has 0.15234 after three minutes of one core, and 0.15236 with
  `--freeze-encoder`; with random weights it has 0.15231. The three differ by less than two seeds do, and window_unet, which
  makes six times as many steps in this time, has 0.15077: the weights do not pay.
"""
