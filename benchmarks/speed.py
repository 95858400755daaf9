"""How fast this project is, compared with what a user would do instead and with physical limits: benchmarks/results/SPEED.md.

    python -m benchmarks speed [--rows NAME ...] [--home FOLDER] [--torch-python PATH] [--compare]

All data is made from photos inside installed packages. This project and each alternative take turns on the same machine, and
only the ratios of each turn count. A row is saved as soon as it is measured; without --rows, all rows are measured that
SPEED.json does not hold from this commit. With --compare nothing is saved: new results are compared with the stored ones, and
the exit code is 1 if a ratio fell by more than the spread of its turns.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import _data, _speed_rows
from benchmarks._measure import RESULTS, Results, describe_checkout, describe_measurement, read_results, write_results
from benchmarks._speed_rows import Options


@dataclass(frozen=True)
class Row:
    """One row of the table.

    `alternatives` describes what this project is compared with, and `target_ratios` says how many times as fast it should be.
    `at_least` and `at_most` are the targets of further facts.
    """

    description: str
    measure: Callable[[Options], dict[str, Any]]
    alternatives: Mapping[str, str]
    target_ratios: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    unit: str = "s"


TUTORIAL, PYTORCH = "the step of the TensorFlow tutorial, float32", "PyTorch, bfloat16 autocast, channels last"
STEP = "one step of Pix2Pix, 256x256, 57 million parameters"

ROWS = {
    "step-8": Row(
        f"{STEP}, batch 8", partial(_speed_rows.measure_step, batch=8),
        {"tutorial": TUTORIAL, "pytorch": PYTORCH}, {"tutorial": 1.6, "pytorch": 1}),
    "step-1": Row(
        f"{STEP}, batch 1", partial(_speed_rows.measure_step, batch=1),
        {"tutorial": TUTORIAL, "pytorch": PYTORCH}, {"tutorial": 1, "pytorch": 1}),
    "curve": Row(
        "RMSE of Pix2Pix over 200 steps, 64x64, width 16, from equal first weights", _speed_rows.measure_curve,
        {"tutorial": TUTORIAL}, {"tutorial": 1}, unit="RMSE"),
    "loop": Row(
        "500 steps of the training loop: data, an evaluation on the holdout, a saved state; width 16, batch 4",
        _speed_rows.measure_loop, {"bare": "the bare compiled step on one fixed batch"}, {"bare": 0.95}),
    "scaling": Row(
        "a training step by two processes on JAX, a core each; width 16, batch 8 of both together", _speed_rows.measure_scaling,
        {"one": "the same by one process on one core",
         "half": "batch 4 by one process on one core, which is what each of the two does"}),
    "feed": Row(
        "the input pipeline alone, one image", _speed_rows.measure_input_pipeline,
        {"copy": "reading and dividing the same arrays"}, at_least={"images per second": 2000}),
    "augment": Row(
        "prepare 14,000 JPEGs: decode, check, store", _speed_rows.measure_augment,
        {"opencv": "a plain OpenCV loop on all cores"}, {"opencv": 0.9}, at_most={"MB": 1000}),
    "fill": Row(
        "the harmonic fill of an image, 256x256, two boxes, one core", _speed_rows.measure_fill,
        {"scipy": "SciPy's sparse direct solver on the hole"}, {"scipy": 8},
        at_most={"seconds per image": 0.005, "RMSE": 1e-4}),
    "predict": Row(
        "25 test images predicted with test-time augmentation, pasted and written", _speed_rows.measure_predict,
        {"bare": "eight times the bare forward pass"}, {"bare": 0.9}),
    "serialize": Row(
        "the 33,750 rows of an image in a submission of 6.75 million; in the table below, the whole stage with all checks",
        _speed_rows.measure_serialize,
        {"loop": "the loop of past entrants: tuples and a DataFrame", "raw": "the same bytes, written raw",
         "pandas": "ids in a list, values in an array, `to_csv`"}, {"loop": 15}, at_most={"seconds": 3, "MB": 1000}),
    "score": Row(
        "6.75 million rows of two files scored, with the start and end of the process", _speed_rows.measure_score,
        {"pandas": "`read_csv`, `merge`"}, {"pandas": 5}),
    "start": Row(
        "a stage without a network, from start to end", _speed_rows.measure_start,
        {"python": "`python -c pass`"}, at_most={"seconds": 0.5}),
}


def main() -> int:
    options = parse_options()
    folder = options.out or (Path(tempfile.gettempdir()) if options.quick else RESULTS)
    stored = read_results(folder / "SPEED.json")
    results = {} if options.compare else stored
    names = options.rows or choose_rows(stored, options.compare)
    with tempfile.TemporaryDirectory(prefix="speed-") as temporary:
        home = options.home or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        for name in names:
            results[name] = measure_row(name, make_measure_options(options, home))
            if not options.compare:
                save_results(folder, results)
    if options.compare:
        return compare_results(stored, results)
    print(folder / "SPEED.md")
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks speed", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--home", type=Path, help="folder for the data that is made here; default: a temporary one")
    parser.add_argument("--torch-python", type=Path, help="the Python of an environment with PyTorch, for its column")
    parser.add_argument("--compare", action="store_true", help="compare with the stored ratios; exit code 1 if any fell")
    parser.add_argument("--quick", action="store_true", help="toy sizes, which only show that everything runs")
    parser.add_argument("--out", type=Path, help="folder for SPEED.json and SPEED.md; default: benchmarks/results")
    options = parser.parse_args()
    if options.torch_python and not options.torch_python.exists():
        parser.error(f"--torch-python {options.torch_python} does not exist.")
    return options


def make_measure_options(options: argparse.Namespace, home: Path) -> Options:
    sizes = _data.TOY_SIZES if options.quick else _data.Sizes()
    return Options(home, sizes, options.quick, options.torch_python)


def choose_rows(stored: Results, compare: bool) -> list[str]:
    """Return the stored rows to compare with; or else the rows that are not stored from this commit."""
    if compare:
        return [name for name in ROWS if name in stored]
    commit = describe_checkout().get("commit", "")
    return [name for name in ROWS if stored.get(name, {}).get("commit") != commit]


def measure_row(name: str, options: Options) -> dict[str, Any]:
    """Measure one row, print its result and return it."""
    print(f"{name}: {ROWS[name].description}", flush=True)
    os.sync()   # gigabytes of the row before may not be on the disk yet
    result = ROWS[name].measure(options) | describe_measurement()
    for line in describe_result(result):
        print(f"  {line}", flush=True)
    return result


def save_results(folder: Path, results: Results) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_results(folder / "SPEED.json", results)
    (folder / "SPEED.md").write_text(format_table(results))


def list_alternatives(result: Mapping[str, Any]) -> list[str]:
    return [name for name in result["seconds"] if name != "ours"]


def compute_ratios(result: Mapping[str, Any], alternative: str) -> tuple[float, float, float]:
    """Return how many times as fast this project was in each turn: lowest, median, highest."""
    turns = zip(result["seconds"]["ours"], result["seconds"][alternative], strict=True)
    ratios = sorted(other / ours for ours, other in turns)
    return ratios[0], statistics.median(ratios), ratios[-1]


def is_reached(name: str, alternative: str, result: Mapping[str, Any]) -> bool | None:
    """Return whether the median ratio reaches its target, or None without a target; for RMSE, the highest ratio counts."""
    target = ROWS[name].target_ratios.get(alternative)
    if target is None:
        return None
    _, median, highest = compute_ratios(result, alternative)
    return (highest if ROWS[name].unit == "RMSE" else median) >= target


def compare_results(stored: Results, results: Results) -> int:
    """Print which ratios fell by more than the larger spread of both measurements; return 1 if any did."""
    fell = []
    for name in results:
        for alternative in list_alternatives(results[name]):
            if name in stored and alternative in list_alternatives(stored[name]):
                fell.append(compare_ratios(name, alternative, stored[name], results[name]))
    return 1 if any(fell) else 0


def compare_ratios(name: str, alternative: str, stored: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Print both ratios, and return whether the ratio fell."""
    old_low, old, old_high = compute_ratios(stored, alternative)
    new_low, new, new_high = compute_ratios(result, alternative)
    fell = old - new > max(old_high - old_low, new_high - new_low)
    print(f"{'FELL' if fell else 'ok  '}  {name} against {alternative}: {old:.3g} ({old_low:.3g} to {old_high:.3g}) in "
          f"{stored['commit']}, {new:.3g} ({new_low:.3g} to {new_high:.3g}) now")
    return fell


def describe_result(result: Mapping[str, Any]) -> list[str]:
    ratios = [f"{name}: {compute_ratios(result, name)[1]:.3g} times as fast" for name in list_alternatives(result)]
    return ratios + [f"{fact}: {value:.3g}" for fact, value in result["facts"].items()]


def format_table(results: Results) -> str:
    names = [name for name in ROWS if name in results]
    has_pytorch = any("pytorch" in results[name]["seconds"] for name in names)
    note = "" if has_pytorch else "\nPyTorch's rows are missing, because `--torch-python` named no environment that has it."
    ratios = [line for name in names for line in format_ratio_lines(name, results[name])]
    facts = [line for name in names for line in format_fact_lines(name, results[name])]
    return PAGE.format(note=note, ratios="\n".join(ratios), facts="\n".join(facts))


def format_ratio_lines(name: str, result: Mapping[str, Any]) -> list[str]:
    row, seconds = ROWS[name], result["seconds"]
    lines = []
    for alternative in list_alternatives(result):
        low, median, high = compute_ratios(result, alternative)
        ours, other = statistics.median(seconds["ours"]), statistics.median(seconds[alternative])
        lines.append(format_line(
            f"`{name}`", row.description, row.alternatives[alternative],
            format_amount(ours, row.unit), format_amount(other, row.unit),
            f"**{median:.3g}** ({low:.3g} to {high:.3g}; {len(seconds[alternative])})",
            str(row.target_ratios.get(alternative, "")), format_reached(is_reached(name, alternative, result)),
            f"{result['hardware']}, {result['commit']}, {result['date']}"))
    return lines


def format_fact_lines(name: str, result: Mapping[str, Any]) -> list[str]:
    lines = []
    for fact, value in result["facts"].items():
        at_least, at_most = ROWS[name].at_least.get(fact), ROWS[name].at_most.get(fact)
        target, reached = "", None
        if at_least is not None:
            target, reached = f"{at_least:g} or more", value >= at_least
        if at_most is not None:
            target, reached = f"{at_most:g} or less", value <= at_most
        lines.append(format_line(f"`{name}`", fact, f"{value:.3g}", target, format_reached(reached)))
    return lines


def format_line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def format_reached(reached: bool | None) -> str:
    return {None: "", True: "yes", False: "**no**"}[reached]


def format_amount(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:.4f}"
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"


PAGE = """# Speed

Written by `python -m benchmarks speed`. This project and each alternative take turns on the same data. The ratio says how many
times as fast this project is, or for RMSE how many times as low: the median over the turns, and in brackets the lowest ratio, the
highest ratio and the number of turns. A target is reached by the median; of RMSE, whose turns are trainings from other first
weights, by the highest ratio. Times are medians. They belong to this machine on this day; only the ratios are worth comparing.
MB is the sum of the peak memory of a process and its child processes, with the pages of mapped files.{note}

| row | work | alternative | this project | the alternative | ratio | target | reached | measured on |
|---|---|---|---|---|---|---|---|---|
{ratios}

| row | fact | value | target | reached |
|---|---|---|---|---|
{facts}
"""


if __name__ == "__main__":
    sys.exit(main())
