"""What each further image costs in time and memory, from a thousand to a million images: benchmarks/results/GROWTH.md.

    python -m benchmarks growth [--sizes N ...] [--home FOLDER]

Images are 32x32 with two boxes of side 9, all different, so that tens of thousands of files are made in seconds. The dataset
of a million images is simulated: its arrays are sparse files without content, and its index has a million rows, a thousand of
them for test images. So opening, batching and predicting with such a dataset are measured, but not reading its files.
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import _data
from benchmarks._measure import RESULTS, Results, describe_measurement, write_results
from benchmarks._process import CommandResult, Worker, run_stage
from pixmend import files
from pixmend.config import Settings
from pixmend.data import dataset

SIDE = 32
BASE = 100   # images of the dataset whose time is subtracted from that of all others: it is what starting a stage costs
STEP_ROUNDS = 7   # the first pages that are read of a large dataset cost more than all later ones
SIZES, SIMULATED, SIMULATED_TEST = (1_000, 7_000, 35_000), 1_000_000, 1_000
DATASET_FLAGS = ("--augment", "none", "--size", SIDE)
NETWORK = ("--model", "pix2pix_published", "--start", "harmonic", "--batch-size", "4", "--width", "4",
           "--predict-mode", "inference", "--run", "network", *DATASET_FLAGS)
FILL = ("--model", "ring", "--run", "filled", *DATASET_FLAGS)
STAGES = {
    "augment": "`augment`: decode, check, fill, find near duplicates, write the index; for a training image of two files",
    "step": "a training step with its batch of 4 images from the dataset",
    "predict": "`predict` with a network, for a test image",
    "serialize": "`serialize`: the 486 rows of a test image, checked against the sample submission",
    "score": "`score` of two files: the 486 rows of a test image",
}
MEASURED = "measured"   # the entry of GROWTH.json that is no size: when, where and with which code

Cost = list[float]   # core seconds, MB


def main() -> None:
    options = parse_options()
    folder = options.out or RESULTS
    results: Results = {MEASURED: describe_measurement()}
    with tempfile.TemporaryDirectory(prefix="growth-") as temporary:
        home = options.home or Path(temporary)
        base = home / str(BASE)
        for size in (BASE, *options.sizes):
            results[str(size)] = measure_dataset(home / str(size), size, base)
            save_results(folder, results)
        results[str(options.simulated)] = measure_simulated(home / str(options.simulated), options.simulated, base)
        save_results(folder, results)
    print(folder / "GROWTH.md")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="N", help="numbers of images of the datasets")
    parser.add_argument("--simulated", type=int, default=SIMULATED, metavar="N", help="number of images of the simulated dataset")
    parser.add_argument("--home", type=Path, help="folder for the data that is made here; default: a temporary one")
    parser.add_argument("--out", type=Path, help="folder for GROWTH.json and GROWTH.md; default: benchmarks/results")
    return parser.parse_args()


def measure_dataset(home: Path, size: int, base: Path) -> dict[str, Cost]:
    """Measure each stage on a dataset with `size` training images, or on one with `size` test images.

    What an earlier call has left there is deleted: a stage that finds its results costs nothing.
    """
    shutil.rmtree(home, ignore_errors=True)
    training, test = home / "training", home / "test"
    costs = {}
    _data.write_competition(training, size, 1, side=SIDE, different=size)
    costs["augment"] = report_cost("augment", size, run_stage("augment", training, *DATASET_FLAGS))
    costs["step"] = report_cost("step", size, measure_step(training))
    _data.write_competition(test, 12, size, side=SIDE, different=max(12, size))
    run_stage("augment", test, *DATASET_FLAGS)
    costs["predict"] = report_cost("predict", size, predict_with_network(test, base))
    run_stage("predict", test, *FILL)
    costs["serialize"] = report_cost("serialize", size, run_stage("serialize", test, *FILL))
    costs["score"] = report_cost("score", size, score_submission(test))
    delete_data(home, base)
    return costs


def report_cost(stage: str, size: int, result: CommandResult) -> Cost:
    """Print and return what a stage has cost."""
    print(f"{stage}, {size} images: {result.core_seconds:.3g} core seconds, {result.megabytes:.0f} MB", flush=True)
    return [result.core_seconds, result.megabytes]


def delete_data(home: Path, base: Path) -> None:
    """Delete the data of a dataset that was measured, except the first one: all others use its network."""
    if home != base:
        shutil.rmtree(home)


def measure_step(home: Path) -> CommandResult:
    """Measure a step in a process that trains on the dataset: the median after the first steps, which compile."""
    with Worker("dataset_step", home, SIDE) as worker:
        seconds, _ = worker.run_task("steps")
        core_seconds = statistics.median(worker.run_task("steps")[1] for _ in range(STEP_ROUNDS))
        return CommandResult(seconds, core_seconds, worker.megabytes, "")


def predict_with_network(home: Path, base: Path) -> CommandResult:
    """Run `predict` with the network of the first dataset, as if it had been trained on this dataset."""
    one_step = (*NETWORK, "--steps", "1", "--evaluation-images", "1")
    checkpoints = base / "test" / "checkpoints"
    if not checkpoints.exists():
        run_stage("train", base / "test", *one_step)
    if home != base / "test":
        shutil.copytree(checkpoints, home / "checkpoints", ignore=shutil.ignore_patterns(dataset.PICTURES))
    return run_stage("predict", home, *one_step)


def score_submission(home: Path) -> CommandResult:
    """Run `score` on the submission, with a solution that has the same values."""
    submission = home / "submissions" / "photo_reconstruction" / "filled.csv"
    solution = home / "solution.csv"
    with open(submission, "rb") as rows, open(solution, "wb") as file:
        file.write(next(rows).rstrip(b"\n") + b",Usage\n")
        file.writelines(row[:-1] + b",Public\n" for row in rows)
    return run_stage("score", home, "--submission", submission, "--solution", solution)


def measure_simulated(home: Path, size: int, base: Path) -> dict[str, Cost]:
    """Measure training and predicting with a million images, of which only the test images are predicted."""
    shutil.rmtree(home, ignore_errors=True)
    write_simulated_dataset(home, size, min(SIMULATED_TEST, size // 2))
    costs = {"step": report_cost("step", size, measure_step(home)),
             "predict": report_cost("predict", size, predict_with_network(home, base))}
    delete_data(home, base)
    return costs


def write_simulated_dataset(home: Path, size: int, test: int) -> None:
    """Write a dataset as `augment` does, but with sparse arrays, and with the same two boxes in every test image."""
    settings = Settings(home=str(home), competition="photo_reconstruction", size=SIDE, augment="none")
    folder = settings.augment_folder
    folder.mkdir(parents=True)
    shapes = {"pictures": (2 * size - test, *settings.shape), "counts": (size, SIDE, SIDE)}
    for name in dataset.ARRAYS:
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shapes.get(name, (size, *settings.shape)))
    counts = np.load(folder / "counts.npy", mmap_mode="r+")
    counts[-test:, 4:13, 4:13] = counts[-test:, 20:29, 20:29] = 1
    with open(folder / "index.csv", "w", encoding="utf-8") as file:
        file.write(",".join(dataset.COLUMNS) + "\n")
        file.writelines(format_index_line(number, size, test) for number in range(size))
    write_simulated_manifest(folder, settings)


def write_simulated_manifest(folder: Path, settings: Settings) -> None:
    cache_key = {"arrays": dataset.ARRAYS, "archive": "simulated", "size": SIDE, "broken": settings.broken_images,
                 **{name: getattr(settings, name) for name in (*dataset.SPLIT_SETTINGS, "augment")}}
    names = ["index.csv", *(f"{name}.npy" for name in dataset.ARRAYS)]
    files.write_manifest(folder / "index.json", cache_key, [folder / name for name in names])


def format_index_line(number: int, size: int, test: int) -> str:
    """Return a line of index.csv: the last images are test images, and each thousandth of the others is in the holdout."""
    if number >= size - test:
        return f"Test ({number}).jpeg,Test ({number}).jpeg,,as-is,test,{number},-1\n"
    split, name = "holdout" if number % 1000 == 0 else "train", f"Tiger-Train ({number}).jpeg"
    return f"{name},{name},Tiger,as-is,{split},{number},{size + number}\n"


def save_results(folder: Path, results: Results) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_results(folder / "GROWTH.json", results)
    (folder / "GROWTH.md").write_text(format_table(results))


def format_table(results: Results) -> str:
    sizes = [int(name) for name in results if name not in (MEASURED, str(BASE))]
    lines = []
    for stage, description in STAGES.items():
        cells = [format_cost(stage, size, results) for size in sizes]
        lines.append(f"| {' | '.join([description, *cells])} |")
    return PAGE.format(base=BASE, hardware=results[MEASURED]["hardware"], commit=results[MEASURED]["commit"],
                       sizes=" | ".join(f"{size:,}" for size in sizes), rule="---|" * (len(sizes) + 1), lines="\n".join(lines))


def format_cost(stage: str, size: int, results: Results) -> str:
    """Return what each image beyond those of the first dataset has cost; for a training step, what the whole step has cost."""
    if stage not in results[str(size)]:
        return ""
    seconds, megabytes = results[str(size)][stage]
    if stage != "step":
        base_seconds, _ = results[str(BASE)][stage]
        seconds = (seconds - base_seconds) / (size - BASE)
    return f"{1000 * seconds:.3g} ms, {megabytes:.0f} MB"


PAGE = """# Growth

Written by `python -m benchmarks growth`, with images of 32x32: the core time that each image beyond the first {base} costs (for a
training step, the whole step), and the sum of the peak memory of the process and its child processes, with the pages of mapped
files. The largest dataset is simulated: sparse files, an index with as many rows, and a thousand test images to predict. It has
no image files that `augment`, `serialize` and `score` could read.
Measured on {hardware}; commit {commit}.

| images | {sizes} |
|{rule}
{lines}
"""


if __name__ == "__main__":
    main()
