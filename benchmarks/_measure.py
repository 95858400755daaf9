"""What the benchmarks share: a stage run as a user would and its minutes, draws of pictures, the machine and the commit."""

import datetime
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixmend.experiments.run_costs import describe_processor
from pixmend.run_file import describe_checkout
from pixmend.workers import count_cores

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results"   # the tables and their figures
DRAWS = 2000
NOTHING_LEARNT = 0.5   # core minutes of a train stage that found its run done, or a fill


@dataclass(frozen=True)
class Row:
    """One line of a table: the flags of its run, those of predict alone, and of a mix the runs that are mixed."""

    what: str
    train: str = ""
    predict: str = ""
    members: str = ""


def stage(home, contest, name, flags=""):
    """Run a stage as a user would; its wall and core minutes."""
    command = [sys.executable, "-m", "pixmend", name, "--home", str(home), *contest, *flags.split()]
    began, before = time.monotonic(), os.times()
    subprocess.run(command, check=True, cwd=ROOT)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return np.array([time.monotonic() - began, spent]) / 60


def made(home, contest, row, run=""):
    """Predict, after training or, of a mix, what its members have predicted; the minutes that took."""
    named = f"{row.train} --run {run}" if run else row.train
    if row.members:
        return stage(home, contest, "ensemble", f"{named} --members {row.members}")
    minutes = stage(home, contest, "train", named)
    stage(home, contest, "predict", f"{named} {row.predict}")
    return minutes


def command_of(row):
    return " ".join(filter(None, (row.train, row.predict, row.members and f"--members {row.members}")))


def draws(pictures):
    """Numbers of pictures, a row a draw; the same each time, so that what is compared is of the same pictures."""
    return np.random.default_rng(1).integers(0, pictures, (DRAWS, pictures))


def interval(values):
    """95% of the values of all draws."""
    return np.percentile(values, [2.5, 97.5])


def told_minutes(minutes):
    return f"{minutes[0]:.1f} ({minutes[1]:.1f})" if minutes[1] > NOTHING_LEARNT else ""


def hardware():
    return f"{count_cores()} core{'s' * (count_cores() > 1)} ({describe_processor()})"


def circumstances():
    """When, where and on which code a row was measured."""
    return {"date": datetime.date.today().isoformat(), "commit": describe_checkout().get("commit", ""), "hardware": hardware()}


def read(path):
    return json.loads(path.read_text()) if path.exists() else {}


def save(path, figures):
    """A line a row, which is long where it has a figure for each picture."""
    path.write_text("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in figures.items()) + "\n}\n")
