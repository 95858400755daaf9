"""Work spread over the cores of the machine: chunks to worker processes, results in order, one progress bar."""

import contextlib
import ctypes
import math
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from pixmend import files
from pixmend.errors import UserError
from pixmend.progress import ProgressBar
from pixmend.subprocesses import delay_stop_signals

MIN_CHUNKS = 4   # for each core
PRELOADED = ["pixmend.competitions.prepare"]   # what most workers import; without a backend
PR_SET_PDEATHSIG = 1
T = TypeVar("T")
WorkFunction = Callable[[list[Any]], Any]   # receives a chunk of the items, in a worker process


def count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def split_into_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk


def run_in_chunks(function: WorkFunction, items: Iterable[Any], *, size: int, label: str, unit: str = "images") -> Iterator[Any]:
    """Yield `function(chunk)` for chunks of the items, in order, at most a few chunks ahead."""
    # The threads of a backend survive no fork: with one, a server is forked instead of this process.
    context = multiprocessing.get_context("forkserver" if "keras" in sys.modules else None)
    context.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(count_cores(), context, start_worker, (context.get_start_method(),)) as pool:
        try:
            with prepare_fork():
                pool.submit(int)   # Forked workers start before the items are requested, which then take no memory in them.
            yield from collect_in_order(pool, function, list(items), size, label, unit)
        except BrokenProcessPool:
            raise UserError(f"{label}: a worker process was ended from outside, probably because the memory is full. "
                            f"Close other programs and run the same command again.") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def collect_in_order(
        pool: ProcessPoolExecutor, function: WorkFunction, items: list[Any], size: int, label: str, unit: str) -> Iterator[Any]:
    # All cores get the same number of chunks, at least a few, so that they end together.
    chunks_a_core = max(MIN_CHUNKS, math.ceil(len(items) / (size * count_cores())))
    size = max(1, math.ceil(len(items) / (chunks_a_core * count_cores())))
    chunks = split_into_chunks(items, size)
    with ProgressBar(label, len(items)) as bar:
        with prepare_fork():   # for workers that are not forked
            waiting = [pool.submit(function, chunk) for chunk in islice(chunks, 2 * count_cores())]
        while waiting:
            result = waiting.pop(0).result()
            waiting.extend(pool.submit(function, chunk) for chunk in islice(chunks, 1))
            bar.advance(min(size, bar.total - bar.done), f"{bar.rate():.0f} {unit}/s")
            yield result


@contextlib.contextmanager
def prepare_fork() -> Iterator[None]:
    """Delay signals to stop and end OpenCV's threads while processes start.

    The processes inherit that Ctrl-C and SIGUSR1 are blocked: what a terminal or a scheduler sends to all, only the parent
    answers. In the parent, handlers are needed as well, because a thread of a library may get the signal. A process that is
    forked while OpenCV's threads wait would wait for ever.
    """
    cv2: Any = sys.modules.get("cv2")
    threads = cv2.getNumThreads() if cv2 else 1
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGUSR1})
    with delay_stop_signals():
        try:
            if threads > 1:
                cv2.setNumThreads(1)
            yield
        finally:
            if threads > 1:
                cv2.setNumThreads(threads)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def start_worker(method: str) -> None:
    """End a worker with its parent process, and keep it to one core."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)   # ends this process when its parent dies, by any signal
    if has_lost_parent(method):
        os._exit(1)
    import cv2
    from threadpoolctl import threadpool_limits

    files.close_inherited_locks()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)
    threadpool_limits(1)


def has_lost_parent(method: str) -> bool:
    """Return whether the parent has died already.

    A forked worker cannot learn it from multiprocessing, whose pipe to the parent is held open by the workers forked later.
    """
    parent = multiprocessing.parent_process()
    return parent is None or (os.getppid() != parent.pid if method == "fork" else not parent.is_alive())
