"""One run by several processes and devices: the same result, one writer, and a sentence where a process is gone."""

import os
import shutil
import signal
import socket
from pathlib import Path

import numpy as np
import pytest
from support.crashes import newest_state
from support.stages import JAX, SMALL, done, stage_process, start_stage

from pixmend.errors import FlagError, UserError
from pixmend.flags import parse_flags
from pixmend.training.distributed import resolve_processes

TRAIN = (*SMALL, "--levels", "2", "--precision", "float32", "--run", "a")
TWO_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


def addresses(count=2):
    """Free ports of this machine, which stay so for a while."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ",".join(f"127.0.0.1:{port}" for port in ports)


def both(home, *flags):
    """Two processes of one run, begun in the order in which nobody would."""
    listed = addresses()
    return [start_stage("train", home, *TRAIN, *flags, "--processes", listed, "--process", number, env=JAX) for number in (1, 0)]


def ended(processes):
    return [(process.returncode, out, err) for process in processes for out, err in [process.communicate(timeout=300)]]


def weights(home):
    with np.load(max((home / "checkpoints" / "demo" / "a").glob("state-*.npz"))) as archive:
        return {name: archive[name].astype(np.float64) for name in archive.files if name.startswith("model/")}


def largest_difference(left, right):
    left, right = weights(left), weights(right)
    return max(np.abs(left[name] - right[name]).max() for name in left)


@pytest.fixture(scope="module")
def alone(prepared_home, tmp_path_factory):
    home = tmp_path_factory.mktemp("alone") / "home"
    shutil.copytree(prepared_home, home)
    done(stage_process("train", home, *TRAIN, "--steps", "4", env=JAX))
    return home


def test_two_processes_end_as_one_does_and_go_on_after_one_was_killed(home, alone):
    one, zero = both(home, "--steps", "100000", "--save-minutes", "0")
    run = home / "checkpoints" / "demo" / "a"
    while not list(run.glob("state-*.npz")) and zero.poll() is None:
        pass
    child = Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text().split()[0]
    os.kill(int(child), signal.SIGKILL)
    (_, _, _), (code, _, told) = ended([one, zero])
    assert code == 1 and "Another of the 2 processes" in told and "last saved state" in told and "Traceback" not in told
    step = newest_state(run)[1]
    (first, quiet, _), (second, spoken, _) = ended(both(home, "--steps", step + 2, "--save-minutes", "0"))
    assert (first, second) == (0, 0) and f"step {step + 2}," in spoken and "step" not in quiet
    assert newest_state(run)[1] == step + 2


@pytest.mark.slow
def test_two_processes_and_two_devices_give_what_one_gives(home, alone):
    for code, out, err in ended(both(home, "--steps", "4")):
        assert code == 0, out + err
    assert largest_difference(home, alone) < 1e-5
    told = done(stage_process("train", home, *TRAIN, "--steps", "4", "--force", env=JAX | TWO_DEVICES))
    assert "devices" not in told
    assert largest_difference(home, alone) < 1e-5


@pytest.mark.slow
def test_ctrl_c_on_one_stops_both_and_nothing_is_lost(home):
    one, zero = both(home, "--steps", "100000", "--save-minutes", "0")
    run = home / "checkpoints" / "demo" / "a"
    while not list(run.glob("state-*.npz")) and zero.poll() is None:
        pass
    one.send_signal(signal.SIGINT)
    for code, _, told in ended([one, zero]):
        assert code == 130 and "goes on from here" in told and "Traceback" not in told


@pytest.mark.slow
def test_other_flags_are_named(home):
    listed = addresses()
    odd = start_stage("train", home, *TRAIN, "--steps", "4", "--processes", listed, "--process", "1", "--clip-norm", "1", env=JAX)
    zero = start_stage("train", home, *TRAIN, "--steps", "4", "--processes", listed, "--process", "0", env=JAX)
    (code, _, told), (other, _, also) = ended([odd, zero])
    assert code == 1 and "--clip-norm 1.0 (process 0: 0.0)" in told and other == 1 and "Traceback" not in told + also


@pytest.mark.parametrize(("flags", "environment", "told"), [
    (["--process", "1"], {}, "--processes"),
    (["--processes", "a:1,b:2"], {}, "--process must be"),
    (["--processes", "a:1,b", "--process", "0"], {}, "'b' is not host:port"),
    (["--processes", "a:1,b:2", "--process", "2"], {}, "between 0 and 1"),
    (["--processes", "a:1,b:2", "--process", "1", "--batch-size", "3"], {"KERAS_BACKEND": "jax"}, "multiple of 2"),
    (["--processes", "a:1,b:2", "--process", "1", "--batch-size", "auto"], {"KERAS_BACKEND": "jax"}, "one process"),
    (["--processes", "a:1,b:2", "--process", "1"], {"KERAS_BACKEND": "tensorflow"}, "KERAS_BACKEND=jax"),
])
def test_what_cannot_be_is_said_before_anything_starts(monkeypatch, flags, environment, told):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((FlagError, UserError), match=told):
        resolve_processes(parse_flags(flags, environment={}), {})


def test_kerass_own_variables_tell_of_the_processes(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    told = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": "first:99", "KERAS_DISTRIBUTION_NUM_PROCESSES": "4",
            "KERAS_DISTRIBUTION_PROCESS_ID": "3"}
    found = resolve_processes(parse_flags([], environment={}), told)
    assert (found.processes, found.process, found.of_processes) == ("first:99", 3, 4)
