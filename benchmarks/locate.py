"""How well masks are found that nobody tells, by kind and size of the damaged area, as benchmarks/results/LOCATE.md.

    python -m benchmarks locate --data FOLDER --home FOLDER [--minutes M]

FOLDER of --data holds photos, as for --photos. The project's own stages make two contests of them, train `--model locate` on
each, and find the masks of the test pictures, which no training and no choice has seen; here these are compared with the
true ones, area by area. An area's union takes in every connected patch that touches it.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from benchmarks._measure import RESULTS, ROOT, circumstances, read, save
from pixmend.config import Settings
from pixmend.data import photos
from pixmend.data.dataset import Dataset
from pixmend.training.history import History
from pixmend.training.unknown_masks import LocatedMaskDataset

FIGURES, TABLE = RESULTS / "LOCATE.json", RESULTS / "LOCATE.md"
CONTESTS = {"depixelation": "--batch-size 32", "hidden_areas": ""}
SIZES = (0, 16, 32, 64)   # pixels of an area's shorter side; each class ends where the next begins
GOOD = 0.95
KINDS = ("pixelated", "blurred", "black", "white")


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks locate", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    parser.add_argument("--home", type=Path, required=True, help="folder for all that the stages write")
    parser.add_argument("--minutes", type=float, default=10, help="of training, for each contest")
    asked = parser.parse_args()
    figures = read(FIGURES)
    for contest in CONTESTS:
        if contest not in figures:
            figures[contest] = measured(asked, contest)
            save(FIGURES, figures)
    TABLE.write_text(table(figures))
    print(TABLE)


def measured(asked, contest):
    """Train and find with the stages of the project, then compare area by area."""
    shared = ["--home", str(asked.home), "--competition", contest, "--photos", str(asked.data), "--augment", "8x"]
    flags = f"--model locate --minutes {asked.minutes:g} --steps 100000 {CONTESTS[contest]}".split()
    run = [*shared, *flags, "--run", "benchmark"]
    for name, given in (("download", shared), ("augment", shared), ("train", run), ("predict", run)):
        subprocess.run([sys.executable, "-m", "pixmend", name, *given], check=True, cwd=ROOT)
    settings = Settings(home=str(asked.home), competition=contest, run="benchmark")
    history, (areas, needless) = History(settings.run_folder / "history.csv"), compared(settings)
    return {"areas": areas, "needless": needless, "minutes": history.get_last("minutes"), "steps": history.get_last("step"),
            "photos": len(photos.list_image_files(asked.data)), "command": " ".join(flags), **circumstances()}


def compared(settings):
    """(kind, shorter side, intersection, union) of each area of the test pictures, and the share of pixels found for nothing."""
    ready = Dataset(settings.augment_folder, json.loads((settings.augment_folder / "index.json").read_text())["made_from"])
    told, areas, needless, pixels = LocatedMaskDataset(ready, settings.run_folder), [], 0, 0
    for row in ready.split("test"):
        true, found = ready.read_counts(row) > 0, told.mask(row)
        of_picture, alone = in_a_picture(ready.read_damaged(row), true, found)
        areas, needless, pixels = areas + of_picture, needless + alone, pixels + true.size
    return areas, needless / pixels


def in_a_picture(damaged, true, found):
    """The areas of a picture, and how many pixels were found in patches that touch none of them."""
    number, labels, stats, _ = cv2.connectedComponentsWithStats(true.astype(np.uint8), connectivity=8)
    patches = cv2.connectedComponents(found.astype(np.uint8), connectivity=8)[1]
    areas = []
    for area in range(1, number):
        inside = labels == area
        touching = np.isin(patches, np.setdiff1d(patches[inside], [0])) & (inside | ~true)
        both, either = int((inside & found).sum()), int((inside | touching).sum())
        areas.append((kind(damaged, inside), int(min(stats[area, 2:4])), both, either))
    return areas, int((found & ~np.isin(patches, np.unique(patches[true & found]))).sum())


def kind(damaged, inside):
    """What was done to an area, as a person would tell it."""
    values = damaged[inside].astype(int)
    if not np.ptp(values) and values.flat[0] in (0, 255):
        return "white" if values.flat[0] else "black"
    same = [(np.diff(damaged.astype(int), axis=axis) == 0).all(-1)[pair].mean() for axis, pair in (
        (0, inside[1:] & inside[:-1]), (1, inside[:, 1:] & inside[:, :-1]))]
    return "pixelated" if np.mean(same) > 0.5 else "blurred"


def table(figures):
    lines, commands = [], []
    for contest, row in figures.items():
        commands.append(f"- `{contest}`: `{row['command']}`, {row['steps']:.0f} steps in {row['minutes']:.1f} minutes on "
                        f"the clock, {row['photos']} photos, {row['hardware']}, commit {row['commit']}, {row['date']}. "
                        f"Patches found that touch no area: {row['needless']:.3%} of all pixels.")
        for name in KINDS:
            for low, high in zip(SIZES, [*SIZES[1:], np.inf], strict=True):
                lines += line(contest, name, low, high, row["areas"])
            lines += line(contest, name, SIZES[1], np.inf, row["areas"], "**16 and more**")
    return HEAD.format(commands="\n".join(commands), lines="\n".join(lines))


def line(contest, name, low, high, areas, title=""):
    """A line of the table, where there are such areas."""
    pairs = np.array([(both, either) for of_kind, side, both, either in areas if of_kind == name and low <= side < high])
    if not len(pairs):
        return []
    title = title or (f"{low} to {high - 1}" if high < np.inf else f"{low} and more")
    ratios = pairs[:, 0] / pairs[:, 1]
    pooled, good = pairs[:, 0].sum() / pairs[:, 1].sum(), (ratios >= GOOD).mean()
    return [f"| {contest} | {name} | {title} | {len(pairs)} | {pooled:.4f} | {ratios.mean():.4f} | {good:.0%} |"]


HEAD = """# Masks that nobody told

Made by `python -m benchmarks locate --data FOLDER --home FOLDER`: photos, resized to 256x256 (`depixelation` at
its own 64x64, in grey); the areas are those of test pictures that no training and no choice has seen. IoU is
intersection over union of an area with the patches found that touch it: of all areas' pixels together, as the mean of areas,
and as the share of areas that reach 0.95. Sizes are pixels of the shorter side. The machine was shared with other work.

{commands}

| contest | area | size | areas | IoU, pooled | IoU, mean | 0.95 or better |
|---|---|---|---|---|---|---|
{lines}
"""
