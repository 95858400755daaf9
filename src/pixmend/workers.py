"""Work spread over the machine's cores: chunks to processes, results in order, one bar; Ctrl-C and errors end all."""

import contextlib
import math
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from pixmend.errors import UserError
from pixmend.progress import ProgressBar

PIECES = 4   # for each core at least


def count_cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def split_into_chunks(items, size):
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk


def run_in_chunks(function, items, *, size, label, unit="pictures"):
    """Yield `function(chunk)` for chunks of the items, of this size or smaller, in order, at most a few chunks ahead.

    Forked workers begin before the items are asked for, so that those of a generator take no room in them.
    """
    with ProcessPoolExecutor(count_cores(), _context(), _one_core) as pool:
        try:
            with _beginning_workers():
                pool.submit(int)   # nothing to do, but all are begun
            yield from _in_order(pool, function, list(items), size, label, unit)
        except BrokenProcessPool:
            raise UserError(f"{label}: a worker process was ended from outside, most likely for want of memory; "
                            f"close other programs and run the same command again.") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _in_order(pool, function, items, size, label, unit):
    size = _even_size(len(items), size)
    pieces = split_into_chunks(items, size)
    with ProgressBar(label, len(items)) as bar:
        with _beginning_workers():   # those that are not forked
            waiting = [pool.submit(function, piece) for piece in islice(pieces, 2 * count_cores())]
        while waiting:
            result = waiting.pop(0).result()
            waiting.extend(pool.submit(function, piece) for piece in islice(pieces, 1))
            bar.advance(min(size, bar.total - bar.done), f"{bar.rate():.0f} {unit}/s")
            yield result


def _even_size(items, size):
    """So many items a chunk, of this size or smaller, that each core has as many chunks as the others and all end together."""
    for_each_core = max(PIECES, math.ceil(items / (size * count_cores())))
    return max(1, math.ceil(items / (for_each_core * count_cores())))


@contextlib.contextmanager
def _beginning_workers():
    with _ctrl_c_held_back(), _opencv_alone():
        yield


@contextlib.contextmanager
def _ctrl_c_held_back():
    """Ctrl-C waits for the end of this, and processes begun meanwhile never see it, so that the parent alone answers.

    They inherit that it is blocked, from their first instant on. Here that is not enough, since a library's thread may take
    the signal instead.
    """
    asked, blocked = [], signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handlers = {number: signal.signal(number, lambda *_: asked.append(True)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _opencv_alone():
    """OpenCV's threads, where it has begun some, end: a process forked while one waits would wait for it without end."""
    cv2 = sys.modules.get("cv2")
    threads = cv2.getNumThreads() if cv2 else 1
    if threads > 1:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        if threads > 1:
            cv2.setNumThreads(threads)


def _context():
    """The platform's way to begin a process; a fresh interpreter where a backend runs, whose threads no fork survives."""
    return multiprocessing.get_context("spawn" if "keras" in sys.modules else None)


def _one_core():
    """Every worker keeps to one core, and ends where it is told to."""
    import cv2
    from threadpoolctl import threadpool_limits

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)
    threadpool_limits(1)
