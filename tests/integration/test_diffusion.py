"""Stable Diffusion through its real pipeline class, with random weights: only where DIFFUSION_ENV names an environment for it."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.stages import ROOT, done, stage

from pixmend.config import Settings
from pixmend.data import dataset
from pixmend.data.dataset import Prepared
from pixmend.data.decode import decode
from pixmend.networks import stable_diffusion

SD = ("--size", "32", "--model", "stable_diffusion", "--run", "sd")


def test_prompts_name_the_class_where_it_is_known():
    settings = Settings(prompt="photo of a {class}, outdoors", prompt_without_class="some animal")
    assert stable_diffusion.prompt("cat", settings) == "photo of a cat, outdoors"
    assert stable_diffusion.prompt("", settings) == "some animal"
    assert stable_diffusion.prompt("cat", Settings()) == "picture of a cat"


def test_the_job_holds_pictures_and_masks_white_on_black(home, tmp_path):
    ready = Prepared(home / "augment/demo")
    row = ready.split("holdout")[0]
    settings = Settings(size=32, diffusion_size=256, diffusion_steps=20)
    job = json.loads(stable_diffusion.write_job(tmp_path, ready, [(row, tmp_path / "out.png")], settings).read_text())
    listed, = job["pictures"]
    mask = decode(listed["mask"], (32, 32, 1))
    assert (job["size"], job["steps"], listed["prompt"]) == (256, 20, f"picture of a {row.kind}")
    np.testing.assert_array_equal(decode(listed["picture"], (32, 32, 3)), ready.damaged(row))
    np.testing.assert_array_equal(mask[..., 0], np.where(ready.hole(row) > 0, 255, 0))
    other = stable_diffusion.write_job(tmp_path, ready, [(ready.split("holdout")[1], tmp_path / "out.png")], settings)
    assert json.loads(other.read_text())["pictures"][0]["seed"] != listed["seed"]


def test_training_says_that_there_is_nothing_to_learn(home):
    assert "stable_diffusion is pretrained" in done(stage("train", home, *SD))


def test_a_missing_environment_is_one_sentence_with_the_command_that_makes_it(home):
    result = stage("predict", home, *SD, "--diffusion-env", home / "nowhere")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert f"python3 -m venv {home}/nowhere" in result.stderr and "requirements-diffusion.txt" in result.stderr


def test_a_size_that_the_pipeline_cannot_take_is_one_sentence(home):
    result = stage("predict", home, *SD, "--diffusion-size", "300")
    assert result.returncode == 2 and "--diffusion-size 300" in result.stderr


def test_a_child_that_fails_is_one_sentence_with_its_last_words(home):
    """An environment whose Python is a shell script that ends badly."""
    python = home / "env/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho first >&2\necho 'out of memory' >&2\nexit 3\n")
    python.chmod(0o755)
    result = stage("predict", home, *SD, "--diffusion-env", home / "env")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "--diffusion-model stabilityai/stable-diffusion-2-inpainting" in result.stderr and "out of memory" in result.stderr


@pytest.fixture(scope="module")
def env():
    return Path(os.environ.get("DIFFUSION_ENV", ROOT / ".diffusion"))


@pytest.fixture(scope="module")
def pipeline(env, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "saved"
    subprocess.run([env / "bin/python", ROOT / "tests/tiny_diffusion.py", folder], check=True, capture_output=True)
    return folder / "pipeline"


def predict(home, env, pipeline, *flags):
    tiny = ("--diffusion-env", env, "--diffusion-model", pipeline, "--diffusion-size", "64", "--diffusion-steps", "2")
    return stage("predict", home, *SD, *tiny, *flags)


@pytest.mark.diffusion
def test_pictures_are_painted_pasted_and_not_painted_twice(home, env, pipeline):
    for name in ("train", "predict"):
        done(stage(name, home, *SD) if name == "train" else predict(home, env, pipeline))
    painted = sorted((home / "checkpoints/demo/sd/painted").glob("*/*.png"))
    first = np.load(home / "checkpoints/demo/sd/holdout.npz")["values"]
    assert len(painted) == len(dataset.read_index(home / "augment/demo/index.csv")) - 260
    stamps = {path: path.stat().st_mtime_ns for path in painted}
    painted[3].unlink()
    (home / "checkpoints/demo/sd/predict.json").unlink()
    done(predict(home, env, pipeline))
    assert [path for path in painted if path.stat().st_mtime_ns != stamps[path]] == [painted[3]]
    np.testing.assert_array_equal(np.load(home / "checkpoints/demo/sd/holdout.npz")["values"], first)
    for name in ("serialize", "score"):
        shown = done(stage(name, home, *SD))
    assert "sd " in shown


@pytest.mark.diffusion
def test_another_prompt_paints_another_picture(home, env, pipeline):
    done(stage("train", home, *SD))
    values = []
    for prompt in ("picture of a {class}", "xyz"):
        done(predict(home, env, pipeline, "--prompt", prompt))
        values.append(np.load(home / "checkpoints/demo/sd/holdout.npz")["values"])
    assert not np.array_equal(*values)


@pytest.mark.diffusion
def test_a_model_that_cannot_be_loaded_is_one_sentence(home, env):
    result = predict(home, env, home / "no-such-pipeline")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "no-such-pipeline could not paint" in result.stderr
