"""What a correction by the distance to the border of a hole could gain at most, as benchmarks/results/BORDER.md.

    python -m benchmarks border --home FOLDER [--runs NAME ...]

FOLDER is that of `python -m benchmarks rmse`, with those runs in it. What a run adds to its fill is multiplied by a factor of
its own at each distance, found by least squares on the very holdout pictures that are then measured: no correction of that
form, a ramp for one, can gain more.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks._measure import RESULTS, circumstances, read, save
from benchmarks.rmse import CONTEST
from pixmend.data import dataset
from pixmend.flags import parse_flags
from pixmend.reporting.error_section import measure_distances
from pixmend.submissions import predictions

FIGURES, TABLE = RESULTS / "BORDER.json", RESULTS / "BORDER.md"
START, FARTHEST = "smooth", 64
SHOWN = (1, 2, 3, 5, 10, 20, 30)


@dataclass
class Sums:
    """Over all pictures, by distance: what is missing in the fill, what the run adds, both, and how many values."""

    missing: np.ndarray
    added: np.ndarray
    both: np.ndarray
    values: np.ndarray

    def figures(self):
        with np.errstate(invalid="ignore", divide="ignore"):
            factors = np.where(self.added > 0, self.both / self.added, 0)
        squares = {"fill": self.missing, "run": self.missing - 2 * self.both + self.added,
                   "corrected": self.missing - factors * self.both}
        rmses = {name: float(np.sqrt(of_all.sum() / self.values.sum())) for name, of_all in squares.items()}
        return rmses | {"factors": {str(distance): float(factors[distance]) for distance in SHOWN}}


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks border", description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="the folder of `python -m benchmarks rmse`")
    parser.add_argument("--runs", nargs="+", default=["base", "mix"], metavar="NAME", help="of its runs; base and mix")
    asked = parser.parse_args()
    ready, figures = dataset.open_dataset(parse_flags(["--home", str(asked.home), *CONTEST], environment={})), read(FIGURES)
    for run in asked.runs:
        path = asked.home / "checkpoints" / "photo_reconstruction" / run / "holdout.npz"
        figures[run] = sums(ready, predictions.read_images(path, ready, ready.split("holdout"))).figures() | circumstances()
        save(FIGURES, figures)
        TABLE.write_text(table(figures))
    print(TABLE)


def sums(ready, pictures):
    found = Sums(*np.zeros((4, FARTHEST)))
    for row, picture in zip(ready.split("holdout"), pictures, strict=True):
        counts = ready.read_counts(row)
        mask = counts > 0
        fill = ready.read_input(row, START)[mask] / 255
        missing, added = ready.read_original(row)[mask] / 255 - fill, picture[mask] - fill
        distance, weight = np.minimum(measure_distances(mask)[mask], FARTHEST - 1), counts[mask][:, None].astype(float)
        for total, values in ((found.missing, missing**2), (found.added, added**2), (found.both, missing * added),
                              (found.values, np.ones_like(added))):
            total += np.bincount(distance, (weight * values).sum(-1), FARTHEST)
    return found


def table(figures):
    lines = [f"| {run} | {row['fill']:.5f} | {row['run']:.5f} | {row['corrected']:.5f} | "
             f"{' | '.join(f'{factor:.2f}' for factor in row['factors'].values())} | {row['hardware']} | {row['commit']} |"
             for run, row in figures.items()]
    return HEAD.format(shown=" | ".join(map(str, SHOWN)), rule="---|" * (6 + len(SHOWN)), lines="\n".join(lines))


HEAD = """# A correction at the border of a hole

Made by `python -m benchmarks border --home FOLDER` of runs of benchmarks/results/RMSE.md: RMSE on the holdout of the smooth fill, of
the run, which adds something to it, and of the run with what it adds multiplied by the best factor at each distance from the
border, fitted on the same pictures, so that no correction by distance can gain more; and that factor at some distances in
pixels. A network that did not meet the border would ask for factors near 0 there.

| run | the fill | the run | corrected | {shown} | measured on | commit |
|{rule}
{lines}
"""


if __name__ == "__main__":
    main()
