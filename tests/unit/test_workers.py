"""Work spread over processes: what their parent has running beside must not hold them up."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AFTER_OPENCV = """
import os
from pathlib import Path

import cv2
import numpy as np

from pixmend import workers

PICTURE = np.zeros((2000, 2000, 3), np.uint8)


def blur(chunk):
    return len(chunk) * len(cv2.GaussianBlur(PICTURE, (0, 0), 3))


def asleep(thread):
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "S"


cv2.setNumThreads(3)
blur([0])
threads = [thread for thread in Path("/proc/self/task").iterdir() if thread.name != str(os.getpid())]
while not all(map(asleep, threads)):
    pass
print(sum(workers.over_chunks(blur, range(20), size=2, label="blur")), cv2.getNumThreads())
"""

OF_A_GENERATOR = """
from pixmend import workers

made = []


def items():
    made.extend(range(1000))
    yield from range(101)


def told(chunk):
    return chunk, len(made)


chunks, inherited = zip(*workers.over_chunks(told, items(), size=4, label="count"))
print(sum(chunks, []) == list(range(101)), max(map(len, chunks)) <= 4, *set(inherited))
"""


def test_items_come_in_order_in_chunks_and_what_they_are_made_of_takes_no_room_in_the_workers():
    process = subprocess.run([sys.executable, "-c", OF_A_GENERATOR], cwd=ROOT, capture_output=True, text=True)
    assert process.stdout.split() == ["True", "True", "0"], process.stderr


def test_workers_begin_while_opencv_s_threads_wait_in_the_parent():
    """A forked worker that found such threads waited for them without end; the parent has them back afterwards."""
    process = subprocess.Popen([sys.executable, "-c", AFTER_OPENCV], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                               start_new_session=True)
    try:
        out, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)   # its workers, too
        raise
    assert out.split() == [str(20 * 2000), "3"]
