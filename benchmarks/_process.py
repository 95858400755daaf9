"""Processes that are measured: whole commands with their peak memory, and workers that wait for tasks.

A worker prepares itself once and then does one task at a time when asked, so that two workers can take turns. The worker's
side, `serve`, needs only the standard library, so that it also runs in the environment of another project.
"""

import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_SECONDS = 0.02   # between two measurements of a process's memory


def serve(**tasks: Callable[[], Any]) -> None:
    """Do each task that a line of stdin names; answer with its seconds and its result.

    The result is the number of units of work that the task consisted of, or None for one unit, or a value to report.
    """
    answers, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        gc.collect()
        start = time.perf_counter()
        result = tasks[line.strip()]()
        print(json.dumps([time.perf_counter() - start, result]), file=answers, flush=True)


class Worker:
    """A module of benchmarks/programs/ that runs in a process of its own until the `with` block ends."""

    def __init__(self, module: str, *arguments: object, python: str | Path = sys.executable) -> None:
        self.module, self.megabytes = module, 0.0
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        command = [str(python), "-m", f"benchmarks.programs.{module}", *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, env=make_environment())

    def __enter__(self) -> "Worker":
        self._read_answer()
        return self

    def run_task(self, task: str) -> tuple[float, Any]:
        """Return the seconds and the result of a task; `megabytes` becomes the peak memory during it."""
        assert self.process.stdin
        with MemoryMonitor(self.process.pid) as monitor:
            self.process.stdin.write(task + "\n")
            self.process.stdin.flush()
            seconds, result = json.loads(self._read_answer())
        self.megabytes = monitor.sum_peaks()
        return seconds, result

    def measure_seconds(self, task: str) -> float:
        """Return the seconds for one unit of work."""
        seconds, units = self.run_task(task)
        return seconds / (units or 1)

    def _read_answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self._exit_with_errors()
        return line

    def _exit_with_errors(self) -> None:
        code = self.process.wait()
        self.errors.seek(0)
        sys.exit(f"{self.errors.read().decode()}benchmarks/programs/{self.module}.py ended with code {code}; "
                 f"the reason is printed above.")

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        assert self.process.stdin and self.process.stdout
        with self.errors, self.process.stdout:
            self.process.stdin.close()
            if error_type:
                self.process.terminate()
            if self.process.wait() and not error_type:
                self._exit_with_errors()


class CommandResult(NamedTuple):
    """What a command needed: seconds from start to end, core seconds, peak memory in MB; and what it printed."""

    seconds: float
    core_seconds: float
    megabytes: float
    stdout: str


def run_stage(name: str, home: Path, *flags: object) -> CommandResult:
    """Run a stage as a user would."""
    return run_command(sys.executable, "-m", "pixmend", name, "--home", home, "--competition", "photo_reconstruction", *flags)


def run_command(*words: object) -> CommandResult:
    """Run a command to its end; end this program if the command fails."""
    command = [str(word) for word in words]
    start, core_seconds = time.perf_counter(), read_core_seconds()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=make_environment())
    with MemoryMonitor(process.pid) as monitor:
        stdout, stderr = process.communicate()
        seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{stdout}{stderr}{' '.join(command)} ended with code {process.returncode}; the reason is printed above.")
    return CommandResult(seconds, read_core_seconds() - core_seconds, monitor.sum_peaks(), stdout)


def read_core_seconds() -> float:
    """Return the core seconds of all child processes that have ended, and of their children."""
    times = os.times()
    return times.children_user + times.children_system


def make_environment() -> dict[str, str]:
    """Return this process's environment without the variable that would change a measurement."""
    kept = {name: value for name, value in os.environ.items() if name != "LAMBDA"}
    return kept | {"TF_CPP_MIN_LOG_LEVEL": "3"}


class MemoryMonitor(threading.Thread):
    """Reads the peak memory of a process and its children again and again.

    The sum of the peaks is an upper bound: the processes need not have reached them at the same time.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.stop_event = pid, threading.Event()
        self.peaks: dict[int, float] = {}

    def run(self) -> None:
        while not self.stop_event.wait(SAMPLE_SECONDS):
            for pid in list_process_tree(self.pid):
                megabytes = read_peak_memory(pid)
                if megabytes:
                    self.peaks[pid] = megabytes

    def __enter__(self) -> "MemoryMonitor":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_event.set()
        self.join()

    def sum_peaks(self) -> float:
        return sum(self.peaks.values())


def list_process_tree(pid: int) -> list[int]:
    """Return a process and all processes below it; none if it has ended."""
    tree = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                tree += list_process_tree(int(child))
    except OSError:
        return []
    return tree


def read_peak_memory(pid: int) -> float:
    """Return the most memory that a process has had, in MB with mapped files; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0
