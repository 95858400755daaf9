"""How well a network finds unknown masks, by kind and size of the damaged area: benchmarks/results/LOCATE.md.

    python -m benchmarks locate --data FOLDER --home FOLDER [--minutes M]

FOLDER of --data holds photos, as for --photos. The project's own stages make two competitions of them, train `--model locate`
on each, and predict the masks of the test images, on which nothing was trained or chosen. Here they are compared with the true
masks, area by area. The union of an area contains every connected patch of the predicted mask that touches it. A competition
whose results are stored is not measured again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks._measure import RESULTS, ROOT, Results, add_result, describe_measurement, read_results
from pixmend.config import Settings
from pixmend.data import photos
from pixmend.data.dataset import Dataset
from pixmend.training.history import History
from pixmend.training.unknown_masks import LocatedMaskDataset

RESULTS_FILE, TABLE_FILE = RESULTS / "LOCATE.json", RESULTS / "LOCATE.md"
COMPETITIONS = {"depixelation": "--batch-size 32", "hidden_areas": ""}   # with further flags
SIZE_CLASSES = ((0, 16), (16, 32), (32, 64), (64, np.inf))   # pixels of the shorter side: from, to below
ALL_LARGER = (16, np.inf)
GOOD_IOU = 0.95
DAMAGE_KINDS = ("pixelated", "blurred", "black", "white")

Area = tuple[str, int, int, int]   # kind, shorter side, pixels of the intersection, pixels of the union


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks locate", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    parser.add_argument("--home", type=Path, required=True, help="folder for everything that the stages write")
    parser.add_argument("--minutes", type=float, default=10, help="training time for each competition")
    options = parser.parse_args()
    results = read_results(RESULTS_FILE)
    for competition in COMPETITIONS:
        if competition not in results:
            results = add_result(RESULTS_FILE, competition, measure_competition(options, competition))
    TABLE_FILE.write_text(format_table(results))
    print(TABLE_FILE)


def measure_competition(options: argparse.Namespace, competition: str) -> dict[str, Any]:
    """Train and predict with the stages of the project, then compare area by area."""
    shared = ["--home", str(options.home), "--competition", competition, "--photos", str(options.data), "--augment", "8x"]
    flags = f"--model locate --minutes {options.minutes:g} --steps 100000 {COMPETITIONS[competition]}".split()
    run = [*shared, *flags, "--run", "benchmark"]
    for stage, stage_flags in (("download", shared), ("augment", shared), ("train", run), ("predict", run)):
        subprocess.run([sys.executable, "-m", "pixmend", stage, *stage_flags], check=True, cwd=ROOT)
    settings = Settings(home=str(options.home), competition=competition, run="benchmark")
    history = History(settings.run_folder / "history.csv")
    areas, false_share = compare_masks(settings)
    return {"areas": areas, "false_share": false_share, "minutes": history.get_last("minutes"),
            "steps": history.get_last("step"), "photos": len(photos.list_image_files(options.data)),
            "command": " ".join(flags), **describe_measurement()}


def compare_masks(settings: Settings) -> tuple[list[Area], float]:
    """Return all areas of the test images, and the share of pixels in predicted patches that touch no area."""
    cache_key = json.loads((settings.augment_folder / "index.json").read_text())["made_from"]
    dataset = Dataset(settings.augment_folder, cache_key)
    located = LocatedMaskDataset(dataset, settings.run_folder)
    areas, false_pixels, all_pixels = [], 0, 0
    for row in dataset.split("test"):
        true_mask, found_mask = dataset.read_counts(row) > 0, located.mask(row)
        areas += compare_areas(dataset.read_damaged(row), true_mask, found_mask)
        false_pixels += count_false_pixels(true_mask, found_mask)
        all_pixels += true_mask.size
    return areas, false_pixels / all_pixels


def label_patches(mask: np.ndarray) -> np.ndarray:
    """Return the number of the connected patch of each pixel; 0 outside the mask."""
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1])


def compare_areas(damaged: np.ndarray, true_mask: np.ndarray, found_mask: np.ndarray) -> list[Area]:
    """Compare each damaged area of an image with the predicted patches that touch it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(true_mask.astype(np.uint8), connectivity=8)
    patches = label_patches(found_mask)
    areas = []
    for number in range(1, count):
        area = labels == number
        touching = np.setdiff1d(patches[area], [0])
        union = area | (np.isin(patches, touching) & ~true_mask)
        shorter_side = int(min(stats[number, 2:4]))
        areas.append((classify_damage(damaged, area), shorter_side, int((area & found_mask).sum()), int(union.sum())))
    return areas


def count_false_pixels(true_mask: np.ndarray, found_mask: np.ndarray) -> int:
    """Return the number of pixels in predicted patches that touch no damaged area."""
    patches = label_patches(found_mask)
    touching = np.unique(patches[true_mask & found_mask])
    return int((found_mask & ~np.isin(patches, touching)).sum())


def classify_damage(damaged: np.ndarray, area: np.ndarray) -> str:
    """Return the kind of damage of an area as a person would call it."""
    image = damaged.astype(int)
    values = image[area]
    if not np.ptp(values) and values.flat[0] in (0, 255):
        return "white" if values.flat[0] else "black"
    equal_below = (np.diff(image, axis=0) == 0).all(-1)[area[1:] & area[:-1]].mean()
    equal_right = (np.diff(image, axis=1) == 0).all(-1)[area[:, 1:] & area[:, :-1]].mean()
    return "pixelated" if (equal_below + equal_right) / 2 > 0.5 else "blurred"


def format_table(results: Results) -> str:
    runs, lines = [], []
    for competition, result in results.items():
        runs.append(format_run(competition, result))
        for kind in DAMAGE_KINDS:
            for low, high in SIZE_CLASSES:
                title = f"{low} to {high - 1}" if high < np.inf else f"{low} and more"
                lines += format_line(competition, kind, low, high, title, result["areas"])
            lines += format_line(competition, kind, *ALL_LARGER, "**16 and more**", result["areas"])
    return PAGE.format(runs="\n".join(runs), lines="\n".join(lines))


def format_run(competition: str, result: dict[str, Any]) -> str:
    return (f"- `{competition}`: `{result['command']}`, {result['steps']:.0f} steps in {result['minutes']:.1f} minutes, "
            f"{result['photos']} photos, {result['hardware']}, commit {result['commit']}, {result['date']}. "
            f"Predicted patches that touch no area: {result['false_share']:.3%} of all pixels.")


def format_line(competition: str, kind: str, low: float, high: float, title: str, areas: list[Area]) -> list[str]:
    """Return one line for the areas of a kind and a size; no line if there are none."""
    selected = [(intersection, union) for area_kind, side, intersection, union in areas
                if area_kind == kind and low <= side < high]
    if not selected:
        return []
    intersections, unions = np.array(selected).T
    ratios = intersections / unions
    pooled, good_share = intersections.sum() / unions.sum(), (ratios >= GOOD_IOU).mean()
    return [f"| {competition} | {kind} | {title} | {len(ratios)} | {pooled:.4f} | {ratios.mean():.4f} | {good_share:.0%} |"]


PAGE = """# Finding unknown masks

Written by `python -m benchmarks locate --data FOLDER --home FOLDER`: photos, resized to 256x256 (`depixelation` to its own 64x64,
in grey). The areas are those of test images, on which nothing was trained or chosen. IoU is the intersection over the union of
an area and the predicted patches that touch it: over the pixels of all areas together (pooled), as the mean over the areas, and
as the share of areas that reach 0.95. Sizes are pixels of the shorter side. Other work ran on the machine at the same time.

{runs}

| competition | damage | size | areas | IoU, pooled | IoU, mean | IoU of 0.95 or more |
|---|---|---|---|---|---|---|
{lines}
"""
