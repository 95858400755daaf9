"""`--batch-size auto`: the largest power of two that fits, found by doubling with real steps until the memory ends.

An accelerator says so itself. A CPU's machine would only grow slow and end the process, so there the memory that the last size
took is measured, and the next is tried where twice as much leaves as much again. What was learnt in the trials is forgotten.
"""

import os
import resource
from dataclasses import replace
from pathlib import Path

from keras import distribution

from pixmend import backend
from pixmend.progress import say
from pixmend.training import setup
from pixmend.training.steps import build_steps
from pixmend.training.trainer import learning_rate

MOST = 512
SHARE = 0.5   # of the free memory that training may take on a CPU


def find_largest_batch_size(model, settings, batches_of, pictures):
    """`batches_of(settings)` are the run's batches under a size; no size is above the number of its pictures."""
    untrained, memory = setup.copy_variables(model), Memory()
    spread = distribution.distribution()
    size = spread.num_model_replicas if spread else 1
    while 2 * size <= min(MOST, pictures) and memory.allows_twice():
        say(f"train: --batch-size auto tries {2 * size} ...")
        if not fits(model, batches_of(replace(settings, batch_size=2 * size))):
            break
        size *= 2
    setup.assign_variables(model, untrained)
    say(f"train: --batch-size auto takes {size}.")
    return size


def fits(model, batches):
    steps = build_steps(model, batches)
    try:
        steps.make([steps.load(0)], [learning_rate(batches.settings, 0, 0.0)])
    except Exception as error:
        if not backend.out_of_memory(error):
            raise
        return False
    return True


class Memory:
    """Of a CPU's machine: what was free at first, and what this process has taken since at most."""

    def __init__(self):
        self.first, self.free = taken(), free()

    def allows_twice(self):
        return bool(backend.accelerators()) or 2 * (taken() - self.first) <= SHARE * self.free


def taken():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def free():
    """Bytes that the machine, or the container that this process is in, has left."""
    return min([of_the_machine(), *of_the_container()])


def of_the_machine():
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def of_the_container():
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    text = limit.read_text().strip() if limit.exists() and used.exists() else ""
    return [int(text) - int(used.read_text())] if text.isdigit() else []
