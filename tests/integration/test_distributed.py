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
def test_ctrl_c_on_one_process_stops_both_and_loses_nothing(home):
    one, zero = start_two(home, *TRAIN, "--steps", "100000", "--save-minutes", "0")
    wait_for_state(home, zero)
    one.send_signal(signal.SIGINT)
    for code, _, message in wait_for([one, zero]):
        assert code == 130 and "Traceback" not in message


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


def test_processes_come_from_the_environment_variables_of_keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    environment = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": "first:99", "KERAS_DISTRIBUTION_NUM_PROCESSES": "4",
                   "KERAS_DISTRIBUTION_PROCESS_ID": "3"}
    settings = resolve_processes(parse_flags([], environment={}), environment)
    assert (settings.processes, settings.process, settings.of_processes) == ("first:99", 3, 4)
