"""One run on several devices and by several processes: its shares, what all agree on, and a sentence where one is gone.

On JAX. Every process makes the same steps, each on its share of the batch; process 0 alone reads and writes the run's folder
and tells the others where it stands. Each is the child of a small process, since JAX ends one whose partner is gone by
an abort.
"""

import atexit
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np

from pixmend import backend, progress
from pixmend.config import flag
from pixmend.errors import FlagError, UserError
from pixmend.subprocesses import DIES_WITH_US

ADDRESSES, COUNT, NUMBER = (f"KERAS_DISTRIBUTION_{word}" for word in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))
CHILD = "PHOTO_RECONSTRUCTION_CHILD"
GONE = 75   # how a child ends that has lost the others


def resolve_processes(settings, environment=os.environ):
    """The settings with the processes that flags or Keras's environment variables tell of."""
    addresses = [word for word in (settings.processes or environment.get(ADDRESSES, "")).split(",") if word]
    if not addresses:
        if "process" in settings.given:
            raise FlagError("--process goes with --processes: host:port of each, with commas between, the same list for all.")
        return settings
    for address in addresses:
        if not re.fullmatch(r"[\w.\-\[\]:]+:\d{1,5}", address):
            raise FlagError(f"--processes: {address!r} is not host:port, as in --processes gpu1:9911,gpu2:9911.")
    count = len(addresses) if settings.processes else int(environment.get(COUNT, len(addresses)))
    number = settings.process if "process" in settings.given else int(environment.get(NUMBER, -1))
    settings = replace(settings, processes=addresses[0], process=number, of_processes=count)
    check_processes(settings)
    return settings


def check_processes(settings):
    count = settings.of_processes
    if not 0 <= settings.process < count:
        raise FlagError(f"--processes lists {count}; --process says which of them this one is, 0 to {count - 1}.")
    if count > 1 and backend.name() != "jax":
        raise UserError("--processes is for JAX, since Keras 3 cannot share a run among processes on TensorFlow: "
                        "`pip install jax` (with NVIDIA's GPUs 'jax[cuda12]') and set KERAS_BACKEND=jax.")
    if settings.batch_size == 0:
        raise FlagError("--batch-size auto is for one process; of several each takes its share of a number that you give.")
    if settings.batch_size % count:
        raise FlagError(f"--batch-size {settings.batch_size} cannot be shared evenly among {count} processes; "
                        f"take a multiple of {count}.")


def is_launcher(settings):
    return settings.of_processes > 1 and CHILD not in os.environ


def run_in_child(settings):
    """The same command again as a child; its exit code, and a sentence where it could not say one itself."""
    command = [sys.executable, "-I", "-S", "-c", DIES_WITH_US, sys.executable, *sys.orig_argv[1:]]
    child = subprocess.Popen(command, env={**os.environ, CHILD: "1"}, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: child.send_signal(number))
    code = child.wait()
    if code in (-signal.SIGINT, -signal.SIGTERM):
        raise KeyboardInterrupt
    if code == -signal.SIGKILL:
        raise UserError(f"Process {settings.process} of this training was ended from outside, most likely for want of memory; "
                        f"the others end, too. The same commands go on from the last saved state.")
    if code < 0 or code == GONE:
        raise UserError(f"Another of the {settings.of_processes} processes of this training has ended or cannot be reached, so "
                        f"process {settings.process} ends, too; its own terminal says why. The same commands, all of them, go "
                        f"on from the last saved state.")
    return code


def start_backend(settings):
    """Start the backend, together with the other processes where there are some, and share what follows among the devices."""
    if settings.of_processes == 1:
        backend.start()
    else:
        number, count, address = settings.process, settings.of_processes, settings.processes
        progress.say(f"train: process {number} of {count} looks for the others at {address} ...")
        with _ended_by_signals():
            backend.start(partial(backend.join, address, count, number))
        backend.silence_the_libraries()
        atexit.register(_leave)
        progress.say(f"train: all {count} processes are there.")
        progress.quiet |= number > 0
    share_batches(settings)


@contextlib.contextmanager
def _ended_by_signals():
    """While a library waits for others, Python would not get to answer Ctrl-C."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave():
    """The libraries' own words at the end are not for a user; what there is to say was said."""
    with contextlib.suppress(Exception):
        backend.leave()


def share_batches(settings):
    """Share each batch among the devices; of a process that is alone, among as many as divide it evenly."""
    if backend.name() != "jax":
        return
    from keras import distribution

    devices, size = distribution.list_devices(), settings.batch_size
    used = max(number for number in range(1, len(devices) + 1) if size % number == 0)
    if used < len(devices):
        if settings.of_processes > 1:
            raise FlagError(f"--batch-size {size} cannot be shared evenly among {len(devices)} devices; take a multiple.")
        progress.say(f"train: {used} of {len(devices)} devices, since --batch-size {size} is not a multiple of {len(devices)}.")
    distribution.set_distribution(distribution.DataParallel(devices=devices[:used]) if used > 1 else None)


@contextlib.contextmanager
def exit_if_process_lost(settings):
    """Where another process is gone, end at once: to take leave of it would only wait for it."""
    try:
        yield
    except Exception as error:
        if settings.of_processes > 1 and backend.comes_from_the_device(error) and not backend.out_of_memory(error):
            os._exit(GONE)
        raise


def synchronize_stop(settings, asked, minutes):
    """Whether any process was asked to stop, and process 0's clock."""
    if settings.of_processes == 1:
        return bool(asked), minutes
    told = backend.of_all_processes([bool(asked), minutes])
    return bool(told[:, 0].any()), float(told[0, 1])


def broadcast_value(settings, value):
    """Process 0's value, anything that JSON can hold."""
    if settings.of_processes == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    length = int(backend.of_all_processes([len(text)])[0, 0])
    return json.loads(backend.of_the_first_process(np.resize(text, length)).tobytes())


def broadcast_arrays(settings, arrays):
    return arrays if settings.of_processes == 1 else backend.of_the_first_process(arrays)


def check_same_settings(settings, wanted):
    """All must make the same steps on the same pictures, or they would wait for each other for ever."""
    first = broadcast_value(settings, wanted)
    other = [name for name in wanted if json.loads(json.dumps(wanted[name])) != first[name]]
    if other:
        told = ", ".join(f"{flag(name)} {wanted[name]} (there {first[name]})" for name in other)
        raise UserError(f"Process {settings.process} was started with other settings than process 0: {told}; start all "
                        f"with the same command but for --process.")
