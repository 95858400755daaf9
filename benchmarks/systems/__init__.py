"""The tables of five projects, made again beside baselines and this project's own networks: benchmarks/results/SYSTEMS.md.

    python -m benchmarks systems --data FOLDER --home FOLDER [--rows TABLE/NAME ...] [--seeds 1,2]

FOLDER of --data holds photo-reconstruction.zip, in the format of the competition. Its original photos are also those of the
competitions that are made from photos. Each row is made by the project's own stages as a user would run them, once with each
seed, and is scored on the holdout. What is stored is not measured again, so a measurement can be stopped and continued.
"""

import argparse
from pathlib import Path

from benchmarks._measure import RESULTS
from benchmarks.systems.plan import SEEDS
from benchmarks.systems.run import ROWS, ROWS_LEFT_OUT, Bench, write_page


def main() -> None:
    options = parse_options()
    bench = Bench(options.data, options.home, options.out, f"--steps {options.steps}" if options.steps else "")
    for seed in options.seeds:
        for row in options.rows:
            bench.measure(row, seed)
    write_page(options.out)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks systems", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with photo-reconstruction.zip")
    parser.add_argument("--home", type=Path, required=True, help="folder for everything that the stages write")
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS + ROWS_LEFT_OUT, metavar="TABLE/NAME",
                        help=f"{', '.join(ROWS)}; only where named: {', '.join(ROWS_LEFT_OUT)}")
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=list(SEEDS),
                        help="seeds of each row, separated by commas")
    parser.add_argument("--steps", type=int, help="steps of each training, to try the benchmark itself; needs --out")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results and the page")
    options = parser.parse_args()
    if options.steps and options.out.resolve() == RESULTS.resolve():
        parser.error("With --steps, the figures are those of a trial: name another folder for them with --out, and one for its "
                     "runs with --home.")
    return options
