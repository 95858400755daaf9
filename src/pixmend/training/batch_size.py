"""`--batch-size auto`: the largest power of two that fits, found by training real steps with ever larger batches.

An accelerator reports when its memory is full. A CPU's machine would only become slow and kill the process, so there the memory
that a size used is measured, and the next size is tried only if twice as much is at most half of what was free.
"""

import os
import resource
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import keras
from keras import distribution

from pixmend import backend
from pixmend.config import Settings
from pixmend.progress import print_message
from pixmend.training import setup
from pixmend.training.optimizer import get_learning_rate
from pixmend.training.steps import build_steps
from pixmend.training.window_batches import BatchSource

LARGEST = 512
MEMORY_SHARE = 0.5   # of the free memory that training may use on a CPU


def find_largest_batch_size(
        model: keras.Model, settings: Settings, make_batches: Callable[[Settings], BatchSource], images: int) -> int:
    """Return the size; it is not above the number of images. The weights are afterwards as they were before."""
    untrained = deepcopy(setup.read_variables(model))
    used_at_first, free_at_first = get_peak_memory(), get_free_memory()
    spread = distribution.distribution()
    size = spread.num_model_replicas if spread else 1
    while 2 * size <= min(LARGEST, images):
        if not backend.list_accelerators() and 2 * (get_peak_memory() - used_at_first) > MEMORY_SHARE * free_at_first:
            break
        print_message(f"train: --batch-size auto tries {2 * size} ...")
        if not fits(model, make_batches(replace(settings, batch_size=2 * size))):
            break
        size *= 2
    setup.assign_variables(model, untrained)
    print_message(f"train: --batch-size auto uses {size}.")
    return size


def fits(model: keras.Model, batches: BatchSource) -> bool:
    steps = build_steps(model, batches)
    try:
        steps.run([steps.load(0)], [get_learning_rate(batches.settings, 0, 0.0)])
    except Exception as error:
        if not backend.is_out_of_memory(error):
            raise
        return False
    return True


def get_peak_memory() -> int:
    """Return the most bytes that this process has used at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def get_free_memory() -> int:
    """Return the free bytes of the machine, or of the container in which this process runs, whichever are fewer."""
    machine, limit, used = map(Path, ("/proc/meminfo", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"))
    if machine.exists():
        free = next(int(line.split()[1]) * 1024 for line in machine.read_text().splitlines() if line.startswith("MemAvailable"))
    else:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    if limit.exists() and used.exists() and (limit_text := limit.read_text().strip()).isdigit():
        free = min(free, int(limit_text) - int(used.read_text()))
    return free
