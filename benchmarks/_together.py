"""A training run by one or more processes on JAX, each held to a core of its own: the seconds of a step."""

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

from benchmarks._process import ROOT, environment

WARM, STEPS = 5, 20   # steps after which time is taken, and in all


def seconds_a_step(home, side, width, batch, count):
    """Of a run from its first step on; what compiles is not counted."""
    flags = ["--home", home, "--competition", "photo_reconstruction", "--size", side, "--model", "pix2pix", "--width", width,
             "--batch-size", batch, "--run", f"together{count}", "--steps", STEPS, "--evaluate-every", WARM, "--evaluation-images", 1,
             "--force", "--quiet"]
    listed = ",".join(f"127.0.0.1:{port}" for port in free_ports(count))
    shares = [["--processes", listed, "--process", number] if count > 1 else [] for number in range(count)]
    started = [begun([*flags, *share], core) for core, share in zip(cores(count), shares, strict=True)]
    for process in started:
        _, err = process.communicate()
        if process.returncode:
            sys.exit(f"{err}A training of {count} processes ended with code {process.returncode}, for the reason above.")
    return from_history(Path(home) / "checkpoints" / "photo_reconstruction" / f"together{count}" / "history.csv")


def begun(flags, core):
    command = [sys.executable, "-m", "pixmend", "train", *map(str, flags)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env=environment() | {"KERAS_BACKEND": "jax"}, preexec_fn=lambda: os.sched_setaffinity(0, {core}))


def cores(count):
    """As many cores as processes; where there are fewer, some are shared."""
    present = sorted(os.sched_getaffinity(0))
    return [present[number % len(present)] for number in range(count)]


def free_ports(count):
    """Ports of this machine that nobody listens at."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def from_history(path):
    with open(path, newline="", encoding="utf-8") as file:
        minutes = {int(row["step"]): float(row["minutes"]) for row in csv.DictReader(file)}
    return 60 * (minutes[STEPS] - minutes[WARM]) / (STEPS - WARM)
