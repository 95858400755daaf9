"""What a correction by the distance to the border of a hole could gain at most: benchmarks/results/BORDER.md.

    python -m benchmarks border --home FOLDER [--runs NAME ...]

FOLDER is that of `python -m benchmarks rmse`, with those runs in it. The residual that a run adds to its fill is multiplied by
one factor for each distance. The factors are fitted by least squares on the same holdout images that are then measured, so
that no correction of this form can gain more.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._measure import RESULTS, Results, add_result, describe_measurement
from benchmarks.rmse import COMPETITION_FLAGS
from pixmend.data.dataset import Dataset, open_dataset
from pixmend.flags import parse_flags
from pixmend.reporting.error_section import measure_distances
from pixmend.submissions import predictions

RESULTS_FILE, TABLE_FILE = RESULTS / "BORDER.json", RESULTS / "BORDER.md"
START = "smooth"
DISTANCES = 64   # number of distances in pixels, from 0; the last one includes all longer ones
SHOWN_DISTANCES = (1, 2, 3, 5, 10, 20, 30)


def make_zeros() -> np.ndarray:
    return np.zeros(DISTANCES)


@dataclass
class DistanceSums:
    """Sums over all holdout images for each distance.

    `error` is the square of what the fill misses, `residual` the square of what the run adds to the fill, `product` the
    product of both, `values` the number of values.
    """

    error: np.ndarray = field(default_factory=make_zeros)
    residual: np.ndarray = field(default_factory=make_zeros)
    product: np.ndarray = field(default_factory=make_zeros)
    values: np.ndarray = field(default_factory=make_zeros)

    def add(self, distances: np.ndarray, weights: np.ndarray, error: np.ndarray, residual: np.ndarray) -> None:
        """Add missing pixels: their distances and weights, (pixels,), error and residual, (pixels, channels)."""
        for total, values in ((self.error, error**2), (self.residual, residual**2), (self.product, error * residual),
                              (self.values, np.ones_like(residual))):
            total += np.bincount(distances, (weights[:, None] * values).sum(-1), DISTANCES)

    def compute_factors(self) -> np.ndarray:
        """Return the factor of each distance with which the residual leaves the smallest error."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.residual > 0, self.product / self.residual, 0)

    def summarize(self) -> dict[str, Any]:
        """Return the RMSE of the fill, of the run and of the corrected run, and the factors of some distances."""
        factors = self.compute_factors()
        squares = {"fill": self.error,
                   "run": self.error - 2 * self.product + self.residual,
                   "corrected": self.error - factors * self.product}
        summary: dict[str, Any] = {name: float(np.sqrt(sums.sum() / self.values.sum())) for name, sums in squares.items()}
        return summary | {"factors": {str(distance): float(factors[distance]) for distance in SHOWN_DISTANCES}}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks border", description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="the folder of `python -m benchmarks rmse`")
    parser.add_argument("--runs", nargs="+", default=["base", "mix"], metavar="NAME", help="its runs; default: base and mix")
    options = parser.parse_args()
    dataset = open_dataset(parse_flags(["--home", str(options.home), *COMPETITION_FLAGS], environment={}))
    for run in options.runs:
        path = options.home / "checkpoints" / "photo_reconstruction" / run / "holdout.npz"
        images = predictions.read_images(path, dataset, dataset.split("holdout"))
        results = add_result(RESULTS_FILE, run, measure_sums(dataset, images).summarize() | describe_measurement())
        TABLE_FILE.write_text(format_table(results))
    print(TABLE_FILE)


def measure_sums(dataset: Dataset, images: Iterable[np.ndarray]) -> DistanceSums:
    """Add up the holdout images of a dataset and a run's predictions of them."""
    sums = DistanceSums()
    for row, image in zip(dataset.split("holdout"), images, strict=True):
        counts = dataset.read_counts(row)
        mask = counts > 0
        fill = dataset.read_input(row, START)[mask] / 255
        distances = np.minimum(measure_distances(mask)[mask], DISTANCES - 1)
        sums.add(distances, counts[mask].astype(float), dataset.read_original(row)[mask] / 255 - fill, image[mask] - fill)
    return sums


def format_table(results: Results) -> str:
    lines = []
    for run, result in results.items():
        rmse = [f"{result[name]:.5f}" for name in ("fill", "run", "corrected")]
        factors = [f"{factor:.2f}" for factor in result["factors"].values()]
        lines.append(f"| {' | '.join([run, *rmse, *factors, result['hardware'], result['commit']])} |")
    return PAGE.format(distances=" | ".join(map(str, SHOWN_DISTANCES)), rule="---|" * (6 + len(SHOWN_DISTANCES)),
                       lines="\n".join(lines))


PAGE = """# A correction at the border of a hole

Written by `python -m benchmarks border --home FOLDER`, for runs of [RMSE.md](RMSE.md). The table has the RMSE on the holdout: of
the smooth fill; of the run, which adds a residual to this fill; and of the run with its residual multiplied by the best factor
for each distance from the border. The factors are fitted on the same images, so no correction by distance can gain more. The
other columns are the factors at some distances in pixels. If the predictions of a network did not continue the known pixels at
the border, its factors there would be near 0.

| run | fill | run | corrected | {distances} | measured on | commit |
|{rule}
{lines}
"""


if __name__ == "__main__":
    main()
