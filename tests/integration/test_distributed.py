"""One run trained by several processes and devices: the same result, one writer, and a clear message if a process is lost."""

import os
import shutil
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from support.crashes import newest_state
from support.stages import JAX, SMALL, done, stage_process, start_stage

from pixmend.errors import FlagError, UserError
from pixmend.flags import parse_flags
from pixmend.training.distributed import resolve_processes

CNN = (*SMALL, "--model", "cnn", "--precision", "float32", "--run", "a")
TRAIN = (*SMALL, "--levels", "2", "--precision", "float32", "--run", "a")
TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
RUN = Path("checkpoints/demo/a")


def find_addresses(count=2):
    """Return free ports of this machine, which stay free for a while."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ",".join(f"127.0.0.1:{port}" for port in ports)


def start_two(home, *flags):
    """Start the two processes of one run, process 1 first."""
    addresses = find_addresses()
    return [start_stage("train", home, *flags, "--processes", addresses, "--process", number, env=JAX) for number in (1, 0)]


def make_slurm_variables(number, count=2):
    """Return what srun sets in the task of this number, on this machine."""
    return {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": str(count), "SLURM_PROCID": str(number),
            "SLURM_STEP_NUM_TASKS": str(count), "SLURM_LOCALID": str(number)}


def start_tasks(home, *flags, env=JAX):
    """Start the two tasks of one run as srun does, task 1 first."""
    port = {"JAX_COORDINATOR_PORT": find_addresses(1).rpartition(":")[2]}
    return [start_stage("train", home, *flags, env=env | port | make_slurm_variables(number)) for number in (1, 0)]


def wait_for(processes):
    return [(process.returncode, out, err) for process in processes for out, err in [process.communicate(timeout=300)]]


def wait_for_state(home, process):
    while not list((home / RUN).glob("state-*.npz")) and process.poll() is None:
        time.sleep(0.05)


def largest_difference(left, right):
    """Return the largest difference between the weights of the newest states of two homes."""
    weights = []
    for home in (left, right):
        with np.load(max((home / RUN).glob("state-*.npz"))) as archive:
            weights.append({name: archive[name].astype(np.float64) for name in archive.files if name.startswith("model/")})
    return max(np.abs(weights[0][name] - weights[1][name]).max() for name in weights[0])


@pytest.mark.long
def test_two_processes_train_one_run(home):
    (one, quiet, error), (zero, printed, other_error) = wait_for(start_two(home, *CNN, "--steps", "2"))
    assert (one, zero) == (0, 0), error + other_error
    assert "step 2." in printed and "step" not in quiet
    assert newest_state(home / RUN)[1] == 2


@pytest.mark.long
def test_two_tasks_of_slurm_train_one_run_and_task_0_alone_prints(home):
    (one, quiet, error), (zero, printed, other_error) = wait_for(start_tasks(home, *CNN, "--steps", "2"))
    assert (one, zero) == (0, 0), error + other_error
    assert "step 2." in printed and "through Slurm" in printed and quiet == error == ""
    assert newest_state(home / RUN)[1] == 2


@pytest.mark.long
def test_tasks_of_slurm_that_are_preempted_end_with_the_same_code_and_go_on(home):
    one, zero = start_tasks(home, *CNN, "--steps", "100000", "--save-minutes", "0")
    wait_for_state(home, zero)
    one.send_signal(signal.SIGUSR1)
    (code, quiet, error), (other, _, message) = wait_for([one, zero])
    assert code == other == 85 and "continues from here" in message and quiet == error == "", error + message
    step = newest_state(home / RUN)[1]
    for code, out, error in wait_for(start_tasks(home, *CNN, "--steps", step + 2)):
        assert code == 0, out + error
    assert newest_state(home / RUN)[1] == step + 2


@pytest.mark.long
def test_a_task_that_is_killed_ends_the_other_with_one_message(home):
    one, zero = start_tasks(home, *CNN, "--steps", "100000", "--save-minutes", "0")
    wait_for_state(home, zero)
    one.kill()
    began = time.monotonic()
    (code, _, _), (other, _, message) = wait_for([one, zero])
    assert code == -signal.SIGKILL and other == 1 and time.monotonic() - began < 60
    assert message.count("Another of the 2 processes") == 1 and "Traceback" not in message


@pytest.mark.long
def test_tasks_with_tensorflow_end_in_one_message(home):
    tensorflow = {"KERAS_BACKEND": "tensorflow"}
    (one, _, silent), (zero, _, message) = wait_for(start_tasks(home, *CNN, "--steps", "2", env=tensorflow))
    assert one == zero == 1 and silent == ""
    assert "Slurm has started 2 tasks" in message and "Install JAX" in message and len(message.splitlines()) == 1


@pytest.mark.slow
def test_a_run_continues_after_one_of_its_processes_was_killed(home):
    one, zero = start_two(home, *TRAIN, "--steps", "100000", "--save-minutes", "0")
    wait_for_state(home, zero)
    child = Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text().split()[0]
    os.kill(int(child), signal.SIGKILL)
    _, (code, _, message) = wait_for([one, zero])
    assert code == 1 and "last saved state" in message and "Traceback" not in message
    step = newest_state(home / RUN)[1]
    for code, out, error in wait_for(start_two(home, *TRAIN, "--steps", step + 2, "--save-minutes", "0")):
        assert code == 0, out + error
    assert newest_state(home / RUN)[1] == step + 2


@pytest.mark.slow
def test_two_processes_and_two_devices_give_what_one_gives(home, tmp_path):
    alone = shutil.copytree(home, tmp_path / "alone")
    done(stage_process("train", alone, *TRAIN, "--steps", "4", env=JAX))
    for code, out, error in wait_for(start_two(home, *TRAIN, "--steps", "4")):
        assert code == 0, out + error
    assert largest_difference(home, alone) < 1e-5
    printed = done(stage_process("train", home, *TRAIN, "--steps", "4", "--force", env=JAX | TWO_DEVICES))
    assert "devices" not in printed
    assert largest_difference(home, alone) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("number", "wanted"), [(signal.SIGINT, 130), (signal.SIGUSR1, 85), (signal.SIGTERM, 85)])
def test_a_signal_to_one_process_stops_both_and_loses_nothing(home, number, wanted):
    one, zero = start_two(home, *TRAIN, "--steps", "100000", "--save-minutes", "0")
    wait_for_state(home, zero)
    one.send_signal(number)
    for code, _, message in wait_for([one, zero]):
        assert code == wanted and "Traceback" not in message


@pytest.mark.slow
def test_processes_with_different_settings_are_refused(home):
    addresses = find_addresses()
    flags = (*TRAIN, "--steps", "4", "--processes", addresses)
    one = start_stage("train", home, *flags, "--process", "1", "--clip-norm", "1", env=JAX)
    zero = start_stage("train", home, *flags, "--process", "0", env=JAX)
    (code, _, message), (other, _, other_message) = wait_for([one, zero])
    assert code == 1 and "--clip-norm 1.0 (process 0: 0.0)" in message
    assert other == 1 and "Traceback" not in message + other_message


@pytest.mark.parametrize(("flags", "environment", "message"), [
    (["--process", "1"], {}, "--processes"),
    (["--processes", "a:1,b:2"], {}, "--process must be"),
    (["--processes", "a:1,b", "--process", "0"], {}, "'b' is not host:port"),
    (["--processes", "a:1,b:2", "--process", "2"], {}, "between 0 and 1"),
    (["--processes", "a:1,b:2", "--process", "1", "--batch-size", "3"], {"KERAS_BACKEND": "jax"}, "multiple of 2"),
    (["--processes", "a:1,b:2", "--process", "1", "--batch-size", "auto"], {"KERAS_BACKEND": "jax"}, "one process"),
    (["--processes", "a:1,b:2", "--process", "1"], {"KERAS_BACKEND": "tensorflow"}, "KERAS_BACKEND=jax"),
])
def test_impossible_processes_are_refused(monkeypatch, flags, environment, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((FlagError, UserError), match=message):
        resolve_processes(parse_flags(flags, environment={}), {})


@pytest.mark.parametrize("name", ["KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID"])
def test_a_variable_of_keras_that_is_no_number_is_refused_by_its_name(name):
    environment = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": "a:1,b:2", name: "$(JOB_COMPLETION_INDX)"}   # Kubernetes leaves typos
    with pytest.raises(FlagError, match=name):
        resolve_processes(parse_flags([], environment={}), environment)


def test_processes_come_from_the_environment_variables_of_keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    environment = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": "first:99", "KERAS_DISTRIBUTION_NUM_PROCESSES": "4",
                   "KERAS_DISTRIBUTION_PROCESS_ID": "3"}
    settings = resolve_processes(parse_flags([], environment={}), environment)
    assert (settings.processes, settings.process, settings.of_processes) == ("first:99", 3, 4)


@pytest.mark.parametrize(("variables", "wanted"), [
    (make_slurm_variables(1), ("Slurm", 1, 2)),
    ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}, ("Open MPI", 3, 4)),
    ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"} | make_slurm_variables(0, 1), ("Open MPI", 1, 2)),
    ({"TPU_WORKER_ID": "1", "TPU_WORKER_HOSTNAMES": "a,b,c,d"}, ("TPU pod", 1, 4)),
])
def test_tasks_are_recognized_by_the_variables_of_their_cluster(monkeypatch, variables, wanted):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    settings = resolve_processes(parse_flags([], environment={}), variables)
    assert (settings.cluster, settings.process, settings.of_processes) == wanted and not settings.processes


@pytest.mark.parametrize("variables", [
    {},
    make_slurm_variables(0, 1),
    {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},   # a job script, without srun
    make_slurm_variables(0, 1) | {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8", "SLURM_NTASKS": "1"},
    {"JOB_COMPLETION_INDEX": "1", "KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    {"TPU_WORKER_ID": "0", "TPU_WORKER_HOSTNAMES": "localhost"},
])
def test_a_single_task_is_no_distributed_training(variables):
    settings = parse_flags([], environment={})
    assert resolve_processes(settings, variables) == settings


def test_given_processes_come_before_those_of_a_cluster(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    flags = parse_flags(["--processes", "a:1,b:2", "--process", "1"], environment={})
    settings = resolve_processes(flags, make_slurm_variables(0, 4))
    assert (settings.cluster, settings.processes, settings.process, settings.of_processes) == ("", "a:1", 1, 2)
