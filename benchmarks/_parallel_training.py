"""A training by one or more processes on JAX, each on a core of its own, and the seconds of one of its steps."""

import csv
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks._process import ROOT, make_environment

WARM_UP_STEPS, STEPS = 5, 20   # steps before the measured ones, and all steps


def measure_step_seconds(home: Path, side: int, width: int, batch: int, count: int) -> float:
    """Train with `count` processes and return the seconds of a step; the first steps, which compile, are not counted."""
    run = f"together{count}"
    flags = ["--home", home, "--competition", "photo_reconstruction", "--size", side, "--model", "pix2pix_published",
             "--width", width, "--start", "harmonic", "--batch-size", batch, "--run", run, "--steps", STEPS,
             "--evaluate-every", WARM_UP_STEPS, "--evaluation-images", 1, "--force", "--quiet"]
    addresses = ",".join(f"127.0.0.1:{port}" for port in find_free_ports(count))
    processes = []
    for number, core in enumerate(choose_cores(count)):
        process_flags = ["--processes", addresses, "--process", number] if count > 1 else []
        processes.append(start_training([*flags, *process_flags], core))
    wait_for_all(processes)
    return read_step_seconds(Path(home) / "checkpoints" / "photo_reconstruction" / run / "history.csv")


def start_training(flags: Sequence[object], core: int) -> subprocess.Popen[str]:
    """Start `pixmend train` on one core."""
    command = [sys.executable, "-m", "pixmend", "train", *map(str, flags)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env=make_environment() | {"KERAS_BACKEND": "jax"},
                            preexec_fn=lambda: os.sched_setaffinity(0, {core}))


def wait_for_all(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Wait until all processes have ended; end this program if one has failed."""
    for process in processes:
        _, errors = process.communicate()
        if process.returncode:
            sys.exit(f"{errors}A training of {len(processes)} processes ended with code {process.returncode}; "
                     f"the reason is printed above.")


def choose_cores(count: int) -> list[int]:
    """Return a core for each process; if there are fewer cores, processes share them."""
    cores = sorted(os.sched_getaffinity(0))
    return [cores[number % len(cores)] for number in range(count)]


def find_free_ports(count: int) -> list[int]:
    """Return ports of this machine that no program listens on."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def read_step_seconds(history: Path) -> float:
    """Return the seconds of a step after the warm-up, from the times in history.csv."""
    with open(history, newline="", encoding="utf-8") as file:
        minutes = {int(row["step"]): float(row["minutes"]) for row in csv.DictReader(file)}
    return 60 * (minutes[STEPS] - minutes[WARM_UP_STEPS]) / (STEPS - WARM_UP_STEPS)
