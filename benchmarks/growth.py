"""What each further picture costs, from a thousand to a million of them, in time and in memory, as benchmarks/results/GROWTH.md.

    python -m benchmarks growth [--sizes N ...] [--home FOLDER]

Pictures are 32x32 with two boxes of 9, all different, so that tens of thousands of files are made in seconds. The set of a
million is simulated: its arrays are sparse files that claim their size and hold nothing, beside an index of a million rows and
a thousand test pictures; so opening, batching and painting of so large a set are measured, and reading its files is not.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import _data
from benchmarks._measure import RESULTS, describe_checkout, hardware, save
from benchmarks._process import Ended, Worker, stage
from pixmend import files
from pixmend.config import Settings
from pixmend.data import dataset

SIDE = 32
BASE = 100   # pictures of the set whose time is taken away from every other's: what a stage's start costs
STEPS_ASKED = 7   # times; the pages of a large set that come first cost more than all later ones
SIZES, SIMULATED, SIMULATED_TEST = (1_000, 7_000, 35_000), 1_000_000, 1_000
NETWORK = ("--model", "pix2pix", "--width", "4", "--run", "network", "--augment", "none", "--size", SIDE)
FILL = ("--model", "ring", "--run", "filled", "--augment", "none", "--size", SIDE)
WORKS = {
    "augment": "`augment`: decode, check, fill, find twins, index; a training picture of two files",
    "step": "a training step with its batch of 4, a picture of the set open",
    "predict": "`predict` by a network, a test picture",
    "serialize": "`serialize`, a test picture's 486 rows, checked against the sample",
    "score": "`score` of two files, a test picture's 486 rows",
}


def main():
    asked = parse()
    where = asked.out or RESULTS
    figures = {}
    with tempfile.TemporaryDirectory(prefix="growth-") as temporary:
        home = asked.home or Path(temporary)
        for pictures in (BASE, *asked.sizes):
            figures[pictures] = measured(home / str(pictures), pictures, home / str(BASE))
            keep(where, figures)
        figures[asked.simulated] = of_a_simulated_set(home / str(asked.simulated), asked.simulated, home / str(BASE))
        keep(where, figures)
    print(where / "GROWTH.md")


def parse():
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="N", help="pictures of the sets that are made")
    parser.add_argument("--simulated", type=int, default=SIMULATED, metavar="N", help="pictures of the set that is simulated")
    parser.add_argument("--home", type=Path, help="folder for the data made here, kept; without it a temporary one")
    parser.add_argument("--out", type=Path, help="folder for GROWTH.json and GROWTH.md; without it, this one")
    return parser.parse_args()


def measured(home, pictures, base):
    """Core seconds and MB of each work on a set of so many training pictures, and on one of so many test pictures."""
    training, test, figures = home / "training", home / "test", {}
    contest(training, pictures, 1)
    figures["augment"] = told("augment", pictures, stage("augment", training, *NETWORK[6:]))
    figures["step"] = told("step", pictures, step(training))
    contest(test, 12, pictures)
    stage("augment", test, *NETWORK[6:])
    figures["predict"] = told("predict", pictures, network(test, base))
    stage("predict", test, *FILL)
    figures["serialize"] = told("serialize", pictures, stage("serialize", test, *FILL))
    figures["score"] = told("score", pictures, score(test))
    forget(home, base)
    return figures


def told(work, pictures, ended):
    print(f"{work}, {pictures} pictures: {ended.core_seconds:.3g} core seconds, {ended.megabytes:.0f} MB", flush=True)
    return [ended.core_seconds, ended.megabytes]


def forget(home, base):
    """The room on the disk, but for the first set's, whose network all others use."""
    if home != base:
        shutil.rmtree(home)


def contest(home, training, test):
    if not home.exists():
        _data.contest(home, training, test, side=SIDE, different=max(training, test))


def step(home):
    """One step, of many in a process that has the set open and trains: the median after the first, which compile."""
    with Worker("step_of_a_set", home, SIDE) as worker:
        seconds, _ = worker.ask("steps")
        core_seconds = statistics.median(worker.ask("steps")[1] for _ in range(STEPS_ASKED))
        return Ended(seconds, core_seconds, worker.megabytes, "")


def network(home, base):
    """`predict` with the network of the first set, trained for one step, taken for one that has seen this set's pictures."""
    kept = base / "test" / "checkpoints"
    if not kept.exists():
        stage("train", base / "test", *NETWORK, "--steps", "1", "--evaluation-images", "1")
    if home != base / "test":
        shutil.copytree(kept, home / "checkpoints", ignore=shutil.ignore_patterns(dataset.PICTURES))
    return stage("predict", home, *NETWORK, "--steps", "1", "--evaluation-images", "1")


def score(home):
    submission, solution = home / "submissions" / "photo_reconstruction" / "filled.csv", home / "solution.csv"
    with open(submission, "rb") as rows, open(solution, "wb") as file:
        file.write(next(rows).rstrip(b"\n") + b",Usage\n")
        file.writelines(row[:-1] + b",Public\n" for row in rows)
    return stage("score", home, "--submission", submission, "--solution", solution)


def of_a_simulated_set(home, pictures, base):
    """Training and painting with a million pictures, of which the test pictures alone are painted."""
    simulate(home, pictures, min(SIMULATED_TEST, pictures // 2))
    figures = {"step": told("step", pictures, step(home)), "predict": told("predict", pictures, network(home, base))}
    forget(home, base)
    return figures


def simulate(home, pictures, test):
    """A prepared set as `augment` writes it, its arrays sparse; holes are one and the same box in every picture."""
    settings = Settings(home=str(home), competition="photo_reconstruction", size=SIDE, augment="none")
    folder = settings.augment_folder
    folder.mkdir(parents=True)
    shapes = {"pictures": (2 * pictures - test, *settings.shape), "counts": (pictures, SIDE, SIDE)}
    for name in dataset.ARRAYS:
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shapes.get(name, (pictures, *settings.shape)))
    counts = np.load(folder / "counts.npy", mmap_mode="r+")
    counts[-test:, 4:13, 4:13] = counts[-test:, 20:29, 20:29] = 1
    with open(folder / "index.csv", "w", encoding="utf-8") as file:
        file.write(",".join(dataset.COLUMNS) + "\n")
        file.writelines(line(n, pictures, test) for n in range(pictures))
    made_from = {"arrays": dataset.ARRAYS, "archive": "simulated", "size": SIDE, "broken": settings.broken_images,
                 **{name: getattr(settings, name) for name in (*dataset.SPLIT_SETTINGS, "augment")}}
    made = ["index.csv", *(f"{name}.npy" for name in dataset.ARRAYS)]
    files.write_manifest(folder / "index.json", made_from, [folder / name for name in made])


def line(number, pictures, test):
    if number >= pictures - test:
        return f"Test ({number}).jpeg,Test ({number}).jpeg,,as-is,test,{number},-1\n"
    split, name = "holdout" if number % 1000 == 0 else "train", f"Tiger-Train ({number}).jpeg"
    return f"{name},{name},Tiger,as-is,{split},{number},{pictures + number}\n"


def keep(where, figures):
    where.mkdir(parents=True, exist_ok=True)
    save(where / "GROWTH.json", figures)
    (where / "GROWTH.md").write_text(table(figures))


def table(figures):
    sizes = [size for size in figures if size != BASE]
    lines = [f"| {what} | {' | '.join(cell(name, size, figures) for size in sizes)} |" for name, what in WORKS.items()]
    return HEAD.format(hardware=hardware(), commit=describe_checkout().get("commit", ""), base=BASE, lines="\n".join(lines),
                       sizes=" | ".join(f"{size:,}" for size in sizes), rule="---|" * (len(sizes) + 1))


def cell(work, size, figures):
    """What each picture beyond the first hundred cost; of a step, what all of it cost."""
    if work not in figures[size]:
        return ""
    seconds, megabytes = figures[size][work]
    each = seconds if work == "step" else (seconds - figures[BASE][work][0]) / (size - BASE)
    return f"{1000 * each:.3g} ms, {megabytes:.0f} MB"


HEAD = """# Growth

Made by `python -m benchmarks growth`, of pictures of 32x32: the core time that each picture beyond the first {base} costs (of a
training step: all of it), and the peaks of the process and its children added up, pages of mapped files included. The last
set is simulated: sparse files and an index of so many rows, with a thousand test pictures to be painted; there are no
files of it that `augment`, `serialize` and `score` could read.
Measured on {hardware}; commit {commit}.

| | {sizes} |
|{rule}
{lines}
"""


if __name__ == "__main__":
    sys.exit(main())
