"""Programs to be measured, each a child process: whole commands with their peak memory, and workers that wait to be asked.

A worker makes itself ready once and then does a piece of its work each time its name is asked for, so that two of them can
take turns. Its side needs the standard library alone and so runs in another project's environment, too.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOOK_SECONDS = 0.02   # between two looks at a command's memory


def serve(**works):
    """Do each work that a line of stdin names; answer with its seconds and what it returned: how many units, where not one."""
    answers, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        gc.collect()
        began = time.perf_counter()
        result = works[line.strip()]()
        print(json.dumps([time.perf_counter() - began, result]), file=answers, flush=True)


class Worker:
    """A module of benchmarks/works at work in a process of its own, which ends with the `with` block."""

    def __init__(self, module, *arguments, python=sys.executable):
        self.module, self.megabytes = module, 0
        self.heard = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        command = [python, "-m", f"benchmarks.works.{module}", *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.heard,
                                        text=True, env=environment())

    def __enter__(self):
        self._answer()
        return self

    def ask(self, work):
        """Seconds and result of one piece of work; the peak memory meanwhile is kept in `megabytes`."""
        with Watch(self.process.pid) as watch:
            self.process.stdin.write(work + "\n")
            self.process.stdin.flush()
            answer = json.loads(self._answer())
        self.megabytes = watch.megabytes
        return answer

    def seconds(self, work):
        """Seconds a unit of work."""
        seconds, units = self.ask(work)
        return seconds / (units or 1)

    def _answer(self):
        if not (line := self.process.stdout.readline()):
            self._fail()
        return line

    def _fail(self):
        code = self.process.wait()
        self.heard.seek(0)
        sys.exit(f"{self.heard.read().decode()}benchmarks/works/{self.module}.py ended with code {code}, for the reason above.")

    def __exit__(self, kind, *_):
        with self.heard, self.process.stdout:
            self.process.stdin.close()
            if kind:
                self.process.terminate()
            if self.process.wait() and not kind:
                self._fail()


class Ended(NamedTuple):
    """A command's seconds from start to end, those that cores worked, the MB held at most, and what it printed."""

    seconds: float
    core_seconds: float
    megabytes: float
    out: str


def stage(name, home, *flags):
    """Run a stage as a user would."""
    return run(sys.executable, "-m", "pixmend", name, "--home", home, "--competition", "photo_reconstruction", *flags)


def run(*command):
    command, began, before = list(map(str, command)), time.perf_counter(), worked()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    with Watch(process.pid) as watch:
        out, err = process.communicate()
        seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{out}{err}{' '.join(command)} ended with code {process.returncode}, for the reason above.")
    return Ended(seconds, worked() - before, watch.megabytes, out)


def worked():
    """Seconds that cores have spent on all children that have ended, and on theirs."""
    spent = os.times()
    return spent.children_user + spent.children_system


def environment():
    """This process's environment without what would change a figure."""
    return {k: v for k, v in os.environ.items() if k != "LAMBDA"} | {"TF_CPP_MIN_LOG_LEVEL": "3"}


class Watch(threading.Thread):
    """Looks now and then at the peaks of a process and of its children; their sum is more than all held at one time."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.peaks, self.pid, self.ended = {}, pid, threading.Event()

    def run(self):
        while not self.ended.wait(LOOK_SECONDS):
            self.peaks |= {pid: megabytes for pid in family(self.pid) if (megabytes := peak(pid))}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    @property
    def megabytes(self):
        return sum(self.peaks.values())


def family(pid):
    """A process and all below it."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(one for child in children for one in family(child))]


def peak(pid):
    """The most memory that a process ever held, in MB, mapped files included; 0 where it has ended."""
    try:
        told = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in told.splitlines() if line.startswith("VmHWM")), 0)
