"""Worker processes: results in order, no memory of the parent's items, no hang beside OpenCV, no survivor of the parent."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.stages import ROOT

from pixmend import files
from pixmend.errors import UserError

AFTER_OPENCV = """
import os
from pathlib import Path

import cv2
import numpy as np

from pixmend import workers

IMAGE = np.zeros((2000, 2000, 3), np.uint8)


def blur(chunk):
    return len(chunk) * len(cv2.GaussianBlur(IMAGE, (0, 0), 3))


def is_asleep(thread):
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "S"


cv2.setNumThreads(3)
blur([0])
threads = [thread for thread in Path("/proc/self/task").iterdir() if thread.name != str(os.getpid())]
while not all(map(is_asleep, threads)):
    pass
print(sum(workers.run_in_chunks(blur, range(20), size=2, label="blur")), cv2.getNumThreads())
"""

GENERATOR = """
from pixmend import workers

made = []


def items():
    made.extend(range(1000))
    yield from range(101)


def work(chunk):
    return chunk, len(made)


chunks, inherited = zip(*workers.run_in_chunks(work, items(), size=4, label="count"))
print(sum(chunks, []) == list(range(101)), max(map(len, chunks)) <= 4, *set(inherited))
"""

ENDLESS = """
import os, sys, time
from pathlib import Path

from pixmend import files, workers


def work(chunk):
    Path(sys.argv[1], f"worker-{os.getpid()}").touch()
    time.sleep(600)


with files.try_lock(sys.argv[1]):
    list(workers.run_in_chunks(work, range(100), size=1, label="endless"))
"""

# The first worker looks for its parent when that has died, and before the second worker, which holds a pipe to the parent.
PARENT_DIES_FIRST = """
import multiprocessing, os, signal, sys, time
from pathlib import Path

from pixmend import workers

PARENT, FIRST = os.getpid(), Path(sys.argv[1], "first")
start_worker = workers.start_worker


def start_late(*arguments):
    end = time.monotonic() + 5
    if multiprocessing.current_process().name.endswith("-1"):
        FIRST.write_text(str(os.getpid()))
        while os.getppid() == PARENT:
            pass
    else:
        while not FIRST.exists():
            pass
        os.kill(PARENT, signal.SIGKILL)
        while Path("/proc", FIRST.read_text()).exists() and time.monotonic() < end:
            pass
    start_worker(*arguments)


workers.start_worker, workers.count_cores = start_late, lambda: 2
list(workers.run_in_chunks(print, range(100), size=1, label="late"))
"""


def test_results_are_in_order_and_items_take_no_memory_in_the_workers():
    process = subprocess.run([sys.executable, "-c", GENERATOR], cwd=ROOT, capture_output=True, text=True)
    assert process.stdout.split() == ["True", "True", "0"], process.stderr


def test_workers_start_while_threads_of_opencv_wait_in_the_parent():
    process = subprocess.Popen([sys.executable, "-c", AFTER_OPENCV], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                               start_new_session=True)
    try:
        out, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)   # the workers, too
        raise
    assert out.split() == [str(20 * 2000), "3"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends workers on Linux only")
def test_killed_parent_leaves_no_worker_and_no_lock(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", ENDLESS, str(tmp_path)], cwd=ROOT, start_new_session=True)
    wait_until(lambda: list(tmp_path.glob("worker-*")))
    workers = [int(path.name.removeprefix("worker-")) for path in tmp_path.glob("worker-*")]
    parent.kill()
    parent.wait()
    try:
        wait_until(lambda: not any(is_running(worker) for worker in workers))
        wait_until(lambda: can_lock(tmp_path))   # a worker that was just starting has inherited the lock
    finally:
        os.killpg(parent.pid, signal.SIGKILL) if any(map(is_running, workers)) else None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends workers on Linux only")
def test_workers_end_whose_parent_dies_while_they_start(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", PARENT_DIES_FIRST, str(tmp_path)], cwd=ROOT, start_new_session=True)
    parent.wait()
    try:
        wait_until(lambda: not is_running(int((tmp_path / "first").read_text())))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


def can_lock(folder: Path) -> bool:
    try:
        with files.try_lock(folder):
            return True
    except UserError:
        return False


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()
