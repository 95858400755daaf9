"""One run trained by several devices and several processes, on JAX.

Every process trains the same steps, each on its share of the batch. Process 0 alone reads and writes the run's folder and sends
the others its state. JAX aborts a process whose partner is gone, so each one runs as the child of a small process, which
reports that in plain words.
"""

import atexit
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import numpy as np

from pixmend import backend, progress
from pixmend.config import Settings, flag
from pixmend.errors import FlagError, Preempted, UserError
from pixmend.subprocesses import WARNINGS, end_with_parent, replace_signal_handlers

IS_CHILD = "PIXMEND_TRAINING_CHILD"
EXIT_PROCESS_LOST = 75   # exit code of a child that has lost another process
# Documented variables with a task's number and the number of tasks. They are of a step that srun started: a job's own variables
# say the same in a job script, which is one process. mpirun starts its daemons by srun, so it comes first.
TASK_VARIABLES = {"Open MPI": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), "Slurm": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")}


@dataclass(frozen=True)
class Task:
    """This process as one of the tasks that a cluster has started together."""

    cluster: str = ""
    number: int = 0
    count: int = 1

    def refuse(self, error: UserError) -> NoReturn:
        """Raise an error that every task meets; in a cluster only task 0 reports it."""
        if self.cluster and self.number:
            raise SystemExit(error.exit_code)
        raise error


def find_task(environment: Mapping[str, str]) -> Task:
    """Return which task this process is; outside of clusters the only one."""
    for cluster, (number, count) in TASK_VARIABLES.items():
        if number in environment and count in environment:
            return Task(cluster, int(environment[number]), int(environment[count]))
    if "TPU_WORKER_ID" in environment and (hosts := environment.get("TPU_WORKER_HOSTNAMES")):
        return Task("TPU pod", int(environment["TPU_WORKER_ID"]), len(hosts.split(",")))
    return Task()


def resolve_processes(settings: Settings, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return settings whose processes come from the flags, from Keras's environment variables or from a cluster's."""
    listed = settings.processes or environment.get("KERAS_DISTRIBUTION_JOB_ADDRESSES", "")
    addresses = [address for address in listed.split(",") if address]
    if not addresses:
        if "process" in settings.given:
            raise FlagError("--process needs --processes: host:port of each process, separated by commas, the same list for all.")
        task = find_task(environment)
        if task.count == 1:
            return settings
        check_processes(task, settings.batch_size)
        return replace(settings, cluster=task.cluster, process=task.number, of_processes=task.count)
    for address in addresses:
        if not re.fullmatch(r"[\w.\-\[\]:]+:\d{1,5}", address):
            raise FlagError(f"--processes: {address!r} is not host:port. Example: --processes gpu1:9911,gpu2:9911")
    count = len(addresses) if settings.processes else read_number(environment, "KERAS_DISTRIBUTION_NUM_PROCESSES", len(addresses))
    number = settings.process if "process" in settings.given else read_number(environment, "KERAS_DISTRIBUTION_PROCESS_ID", -1)
    check_processes(Task(number=number, count=count), settings.batch_size)
    return replace(settings, processes=addresses[0], process=number, of_processes=count)


def read_number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise FlagError(f"The environment variable {name} is {text!r}, and not a whole number.") from None


def check_processes(task: Task, size: int) -> None:
    count = task.count
    if not 0 <= task.number < count:
        raise FlagError(f"--processes lists {count} processes, so --process must be between 0 and {count - 1}.")
    if count > 1 and backend.get_name() != "jax":
        started = f"{task.cluster} has started {count} tasks, which need" if task.cluster else "--processes needs"
        task.refuse(UserError(f"{started} JAX: with TensorFlow, Keras 3 cannot train one run in several processes. Install JAX "
                              f"(with NVIDIA GPUs 'jax[cuda12]') and set KERAS_BACKEND=jax."))
    if size == 0:
        task.refuse(FlagError("--batch-size auto is for one process. Give a number, of which each process takes an equal share."))
    if size % count:
        task.refuse(FlagError(f"--batch-size {size} cannot be divided among {count} processes; use a multiple of {count}."))


def is_launcher(settings: Settings) -> bool:
    """Tell whether this process is to start the one that trains."""
    return settings.of_processes > 1 and IS_CHILD not in os.environ


def run_in_child(settings: Settings) -> int:
    """Run this process's command in a child; return its exit code, or report why it was ended."""
    command = end_with_parent([sys.executable, *sys.orig_argv[1:]])
    child = subprocess.Popen(command, env={**os.environ, IS_CHILD: "1"}, start_new_session=True)
    received: set[int] = set()

    def forward(number: int, _: Any) -> None:
        received.add(number)
        child.send_signal(number)

    with replace_signal_handlers(forward):
        code = child.wait()
    if received & set(WARNINGS) and (code < 0 or code == EXIT_PROCESS_LOST):
        raise Preempted   # all processes are warned; this one was still waiting for the others
    if code == -signal.SIGINT:
        raise KeyboardInterrupt
    if code == -signal.SIGKILL:
        raise UserError(f"Process {settings.process} of this training was killed from outside, most likely because memory ran "
                        f"out; the other processes end, too. The same commands continue from the last saved state.")
    if code < 0 or code == EXIT_PROCESS_LOST:
        task = Task(settings.cluster, settings.process, settings.of_processes)
        task.refuse(UserError(
            f"Another of the {task.count} processes of this training has ended or cannot be reached, so process {task.number} "
            f"ends, too; {'the output of its task' if task.cluster else 'the terminal of the other one'} shows why. Run the same "
            f"command for every process again to continue from the last saved state."))
    return code


def start_backend(settings: Settings) -> None:
    """Start the backend, together with the other processes if there are any, and share batches among the devices."""
    if settings.of_processes == 1:
        backend.start_keras()
    else:
        number, count, address, cluster = settings.process, settings.of_processes, settings.processes, settings.cluster
        place = f"at {address}" if address else f"through {cluster}"
        progress.print_message(f"train: process {number} of {count} connects to the others {place} ...")
        with replace_signal_handlers(signal.SIG_DFL):   # Python's own handlers do not run while a library waits
            backend.start_keras(partial(backend.join_processes, address, cluster, count, number))
        backend.silence_libraries()
        atexit.register(backend.leave_processes)
        progress.print_message(f"train: all {count} processes are connected.")
        progress.quiet |= number > 0
    share_batches(settings)


def share_batches(settings: Settings) -> None:
    """Share each batch among the devices; a single process uses as many of them as divide the batch evenly."""
    if backend.get_name() != "jax":
        return
    from keras import distribution

    devices, size = distribution.list_devices(), settings.batch_size
    used = max(number for number in range(1, len(devices) + 1) if size % number == 0)
    if used < len(devices):
        if settings.of_processes > 1:
            raise FlagError(f"--batch-size {size} cannot be divided among {len(devices)} devices; use a multiple.")
        progress.print_message(f"train: {used} of {len(devices)} devices are used, because --batch-size {size} is not a "
                               f"multiple of {len(devices)}.")
    distribution.set_distribution(distribution.DataParallel(devices=devices[:used]) if used > 1 else None)


@contextlib.contextmanager
def exit_if_process_lost(settings: Settings) -> Iterator[None]:
    """End this process at once where another one is gone: an orderly end would wait for it."""
    try:
        yield
    except Exception as error:
        if settings.of_processes > 1 and backend.is_device_error(error) and not backend.is_out_of_memory(error):
            os._exit(EXIT_PROCESS_LOST)
        raise


def synchronize_stop(settings: Settings, signal_number: int, minutes: float) -> tuple[int, float]:
    """Return the signal by which any process was asked to stop, 0 if none was, and the minutes of process 0."""
    if settings.of_processes == 1:
        return signal_number, minutes
    values = backend.gather_from_processes([signal_number, minutes])
    return int(values[:, 0].max()), float(values[0, 1])


def broadcast_value(settings: Settings, value: Any) -> Any:
    """Return process 0's value, which JSON can hold."""
    if settings.of_processes == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    length = int(backend.gather_from_processes([len(text)])[0, 0])
    return json.loads(backend.broadcast_from_first_process(np.resize(text, length)).tobytes())


def check_same_settings(settings: Settings, own: dict[str, Any]) -> None:
    """Refuse settings that differ from those of process 0: the processes would wait for each other forever."""
    first = broadcast_value(settings, own)
    different = [name for name in own if json.loads(json.dumps(own[name])) != first[name]]
    if different:
        labels = {name: name if name == "dataset" else flag(name) for name in different}
        listed = ", ".join(f"{label} {own[name]} (process 0: {first[name]})" for name, label in labels.items())
        raise UserError(f"Process {settings.process} has other settings than process 0: {listed}. "
                        f"Start all processes with the same command; only --process differs.")
