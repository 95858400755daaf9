"""The same code on JAX: no TensorFlow needed, one compiled step, groups with the bits of single steps, batches that fit."""

import re
import shutil
import subprocess
import sys

import pytest
from support.crashes import count_process_writes, killed_at, newest_state
from support.stages import JAX, ROOT, SMALL, clean_environment, done, stage, stage_process

from pixmend import config, flags

TRAIN = (*SMALL, "--levels", "2", "--steps", "6", "--ema-decay", "0.9", "--save-minutes", "0", "--evaluate-every", "3")


def on_jax(name, home, *flags, **env):
    """A stage where TensorFlow cannot be imported."""
    result = stage_process(name, home, *TRAIN, *flags, env=JAX | env)
    done(result)
    return result.stdout + result.stderr


def run_of(home, name="a"):
    """The newest state, and the history without its clock."""
    folder = home / "checkpoints" / "demo" / name
    lines = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()]
    clock = lines[0].index("minutes")
    return newest_state(folder), [line[:clock] + line[clock + 1:] for line in lines]


@pytest.fixture(scope="module")
def single_steps(prepared_home, tmp_path_factory):
    """A run on JAX, step by step, and what JAX says of its compilations."""
    home = tmp_path_factory.mktemp("single") / "home"
    shutil.copytree(prepared_home, home)
    return home, on_jax("train", home, "--run", "a", JAX_LOG_COMPILES="1")


def compilations(log, function):
    return len(re.findall(rf"Finished XLA compilation of jit\({function}\)", log))


def test_the_step_and_the_prediction_are_compiled_once(single_steps):
    _, log = single_steps
    assert compilations(log, "_train_step") == compilations(log, "predict_step") == 1


def test_a_group_of_steps_has_the_bits_of_its_steps_one_by_one(single_steps, home):
    log = on_jax("train", home, "--run", "a", "--steps-per-call", "5", JAX_LOG_COMPILES="1")
    assert run_of(home) == run_of(single_steps[0])
    assert compilations(log, "_train_step") == 1


def test_a_run_on_jax_is_predicted_serialized_and_scored_without_tensorflow(single_steps):
    home, _ = single_steps
    for name in ("predict", "serialize", "score"):
        log = on_jax(name, home, "--run", "a")
    assert "of harmonic" in log


@pytest.mark.slow
def test_killed_on_jax_it_goes_on_to_the_same_bits(single_steps, home, tmp_path, monkeypatch):
    """At two thirds of its writes, when some states are there and more are to come."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    in_pairs = (*TRAIN, "--run", "a", "--steps-per-call", "2")
    all_writes = count_process_writes("train", shutil.copytree(home, tmp_path / "undisturbed"), *in_pairs)
    assert killed_at(all_writes * 2 // 3, "train", home, *in_pairs)
    assert 0 < newest_state(home / "checkpoints/demo/a")[1] < 6
    on_jax("train", home, "--run", "a")
    assert run_of(home) == run_of(single_steps[0])


def test_batches_that_fit_are_found_and_leave_no_trace(home):
    on_tensorflow = (*TRAIN, "--model", "unet")
    told = done(stage("train", home, *on_tensorflow, "--run", "found", "--batch-size", "auto"))
    size = re.search(r"auto uses (\d+)\.", told)[1]
    assert int(size) in (2, 4, 8, 16, 32, 64, 128, 256, 512)
    done(stage("train", home, *on_tensorflow, "--run", "given", "--batch-size", size))
    assert run_of(home, "found") == run_of(home, "given")
    again = done(stage("train", home, *on_tensorflow, "--run", "found", "--batch-size", "auto"))
    assert "has all its 6 steps" in again and "tries" not in again


def test_auto_is_a_word_of_its_flag_and_of_the_runs_name():
    chosen = config.complete_settings(flags.parse_flags(["--batch-size", "auto"], {}), environment={})
    assert (chosen.batch_size, chosen.run) == (0, "pix2pix-batch-size-auto")


MODELS_AND_LEARNING = """
import sys, pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-m", sys.argv[1], *sys.argv[2:]]))
"""


def held_on_jax(marks, *names):
    """Tests of other files, in a process whose backend is JAX."""
    ended = subprocess.run([sys.executable, "-c", MODELS_AND_LEARNING, marks, *names], cwd=ROOT / "tests", capture_output=True,
                           text=True, env=clean_environment() | JAX | {"PYTHONPATH": f"{JAX['PYTHONPATH']}:{ROOT}/src"})
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_distances_rates_averages_norms_and_batches_hold_on_jax():
    chosen = "distance or rate or averaged or batch_norm or bits or turned"
    held_on_jax("not slow", "unit/test_learning.py", "unit/test_floats.py", "-k", chosen)


@pytest.mark.slow
def test_every_model_and_all_learning_hold_on_jax():
    held_on_jax("not slow", "unit/test_models.py", "unit/test_networks.py", "unit/test_adversarial.py", "unit/test_layers.py",
                "unit/test_learning.py", "unit/test_floats.py")
