"""The same code on JAX, where TensorFlow cannot be imported; and batch sizes that are found by trial."""

import re
import shutil
import subprocess
import sys

import pytest
from support.crashes import count_process_writes, killed_at, newest_state
from support.stages import JAX, ROOT, SMALL, clean_environment, done, stage, stage_process

from pixmend.training import batch_size

FLAGS = (*SMALL, "--steps", "6", "--ema-decay", "0.9", "--save-minutes", "0", "--evaluate-every", "3")
CNN, PIX2PIX = (*FLAGS, "--model", "cnn", "--run", "a"), (*FLAGS, "--levels", "2", "--run", "a")


def run_on_jax(name, home, *flags, **env):
    """Run a stage on JAX; return its output with what JAX logs."""
    result = stage_process(name, home, *flags, env=JAX | {"JAX_LOG_COMPILES": "1"} | env)
    done(result)
    return result.stdout + result.stderr


def read_run(home, name="a"):
    """Return the newest state of a run, and its history without the clock."""
    folder = home / "checkpoints" / "demo" / name
    lines = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()]
    clock = lines[0].index("minutes")
    return newest_state(folder), [line[:clock] + line[clock + 1:] for line in lines]


def count_compilations(log, function):
    return len(re.findall(rf"Finished XLA compilation of jit\({function}\)", log))


@pytest.fixture(scope="module")
def single_steps(module_home):
    """A home with a run on JAX, trained one step a call, and its log."""
    return module_home, run_on_jax("train", module_home, *CNN)


def test_step_and_prediction_are_compiled_once(single_steps):
    _, log = single_steps
    assert count_compilations(log, "_train_step") == count_compilations(log, "predict_step") == 1


def test_steps_sent_together_give_the_bits_of_single_steps(single_steps, home):
    log = run_on_jax("train", home, *CNN, "--steps-per-call", "5")
    assert read_run(home) == read_run(single_steps[0])
    assert count_compilations(log, "_train_step") == 1


def test_a_run_on_jax_is_predicted_without_tensorflow(single_steps):
    home, _ = single_steps
    run_on_jax("predict", home, "--run", "a")
    assert (home / "checkpoints/demo/a/test.npz").exists()


@pytest.mark.slow
def test_an_adversarial_run_killed_on_jax_continues_to_the_same_bits(home, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    undisturbed, two_steps = shutil.copytree(home, tmp_path / "undisturbed"), (*PIX2PIX, "--steps-per-call", "2")
    writes = count_process_writes("train", undisturbed, *two_steps)
    assert killed_at(writes * 2 // 3, "train", home, *two_steps)
    assert 0 < newest_state(home / "checkpoints/demo/a")[1] < 6
    run_on_jax("train", home, *PIX2PIX)
    assert read_run(home) == read_run(undisturbed)


@pytest.mark.slow
def test_every_stage_runs_without_tensorflow(home):
    for name in ("train", "predict", "serialize", "score"):
        run_on_jax(name, home, *PIX2PIX)


@pytest.mark.long
def test_the_largest_batch_size_is_found_and_leaves_no_trace(home, monkeypatch):
    monkeypatch.setattr(batch_size, "LARGEST", 8)
    flags = (*CNN[:-1], "found", "--batch-size", "auto")
    printed = done(stage("train", home, *flags))
    size = re.search(r"auto uses (\d+)\.", printed)[1]
    assert int(size) in (2, 4, 8)
    done(stage("train", home, *CNN[:-1], "given", "--batch-size", size))
    assert read_run(home, "found") == read_run(home, "given")
    again = done(stage("train", home, *flags))
    assert "is finished at step 6" in again and "tries" not in again


def run_tests_on_jax(*arguments):
    """Run tests of other files in a process whose backend is JAX."""
    result = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *arguments],
                            cwd=ROOT / "tests", capture_output=True, text=True,
                            env=clean_environment() | JAX | {"PYTHONPATH": f"{JAX['PYTHONPATH']}:{ROOT}/src"})
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.long
def test_compact_batches_expand_to_the_same_bits_on_jax():
    run_tests_on_jax("unit/test_device_batches.py", "-k", "compact_images or transform")


@pytest.mark.slow
def test_networks_losses_and_optimizers_work_on_jax():
    names = ("models", "networks", "layers", "adversarial", "learning", "device_batches")
    run_tests_on_jax(*(f"unit/test_{name}.py" for name in names))
