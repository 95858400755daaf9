"""What several benchmarks need: running a stage and timing it, bootstrap intervals, the machine and the commit, result files."""

import datetime
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._process import make_environment
from pixmend import files
from pixmend.experiments.run_costs import describe_processor
from pixmend.run_file import describe_checkout
from pixmend.workers import count_cores

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results"   # the tables, and the results that they are made from
BOOTSTRAP_SAMPLES = 2000
MIN_TRAINING_MINUTES = 0.5   # core minutes; a train stage with fewer had nothing to train

Results = dict[str, Any]   # JSON: what was measured, by the name of the row


@dataclass(frozen=True)
class Row:
    """One row of a table: the flags of its run, further flags of `predict`, and for an ensemble the runs that it averages."""

    description: str
    train: str = ""
    predict: str = ""
    members: str = ""


def run_stage(home: Path, competition_flags: Sequence[str], stage: str, flags: str = "") -> np.ndarray:
    """Run a stage as a user would, with flags as in a shell; return its minutes: elapsed, and added up over all cores."""
    command = [sys.executable, "-m", "pixmend", stage, "--home", str(home), *competition_flags, *shlex.split(flags)]
    start, times_before = time.monotonic(), os.times()
    subprocess.run(command, check=True, cwd=ROOT, env=make_environment())
    times = os.times()
    core_seconds = (times.children_user + times.children_system
                    - times_before.children_user - times_before.children_system)
    return np.array([time.monotonic() - start, core_seconds]) / 60


def make_predictions(home: Path, competition_flags: Sequence[str], row: Row, run: str = "") -> np.ndarray:
    """Train and predict the run of a row, or average the runs of an ensemble; return the minutes of training or averaging."""
    run_flags = f"{row.train} --run {run}" if run else row.train
    if row.members:
        return run_stage(home, competition_flags, "ensemble", f"{run_flags} --members {row.members}")
    minutes = run_stage(home, competition_flags, "train", run_flags)
    run_stage(home, competition_flags, "predict", f"{run_flags} {row.predict}")
    return minutes


def format_command(row: Row) -> str:
    """Return the flags of a row as its table shows them."""
    members = f"--members {row.members}" if row.members else ""
    return " ".join(flags for flags in (row.train, row.predict, members) if flags)


def draw_bootstrap_samples(image_count: int) -> np.ndarray:
    """Return image numbers, one row per bootstrap sample.

    They are the same at each call, so that all runs are compared on the same images.
    """
    return np.random.default_rng(1).integers(0, image_count, (BOOTSTRAP_SAMPLES, image_count))


def compute_interval(values: np.ndarray) -> np.ndarray:
    """Return the two ends of the 95% interval of a value that was computed for each bootstrap sample."""
    return np.percentile(values, [2.5, 97.5])


def format_minutes(minutes: Sequence[float]) -> str:
    """Return "elapsed minutes (core minutes)", or nothing if there was nothing to train."""
    elapsed, core_minutes = minutes
    return f"{elapsed:.1f} ({core_minutes:.1f})" if core_minutes > MIN_TRAINING_MINUTES else ""


def describe_hardware() -> str:
    cores = count_cores()
    return f"{cores} core{'s' if cores > 1 else ''} ({describe_processor()})"


def describe_measurement() -> dict[str, str]:
    """Return when, where and with which code something was measured."""
    commit = describe_checkout().get("commit", "")
    return {"date": datetime.date.today().isoformat(), "commit": commit, "hardware": describe_hardware()}


def check_same_images(numbers: Sequence[int], rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """End this program if stored rows are of other images: their numbers of missing values tell it."""
    if any(row.get("numbers", list(numbers)) != list(numbers) for row in rows):
        sys.exit(f"{path} has rows of other images than those that are measured now, and a table cannot have both. Take the data "
                 "of these rows; or delete the file, and all rows are measured with the data of now.")


def read_results(path: Path) -> Results:
    """Return the stored results, or none if the file does not exist."""
    results: Results = json.loads(path.read_text()) if path.exists() else {}
    return results


def write_results(path: Path, results: Results) -> None:
    """Write one row per line; a row with a value for each image is long."""
    rows = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in results.items()]
    files.write_text(path, "{\n" + ",\n".join(rows) + "\n}\n")


def add_result(path: Path, name: str, result: Mapping[str, Any]) -> Results:
    """Add a row to the stored results, to which another process may have added some meanwhile; return all."""
    results = read_results(path) | {name: dict(result)}
    write_results(path, results)
    return results
