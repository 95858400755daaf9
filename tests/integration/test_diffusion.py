"""Stable Diffusion: its job files and errors; and, where DIFFUSION_ENV names an environment, its pipeline with random weights."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.stages import ROOT, done, stage

from pixmend.config import Settings
from pixmend.data import dataset
from pixmend.data.dataset import Dataset
from pixmend.data.decode import decode_image
from pixmend.networks import stable_diffusion

SD = ("--size", "32", "--model", "stable_diffusion", "--run", "sd")


def test_prompt_names_the_class_if_it_is_known():
    settings = Settings(prompt="photo of a {class}, outdoors", prompt_without_class="some animal")
    assert stable_diffusion.format_prompt("cat", settings) == "photo of a cat, outdoors"
    assert stable_diffusion.format_prompt("", settings) == "some animal"
    assert stable_diffusion.format_prompt("cat", Settings()) == "picture of a cat"


def test_job_has_images_masks_and_a_seed_for_each(home, tmp_path):
    dataset = Dataset(home / "augment/demo")
    row, other_row = dataset.split("holdout")[:2]
    settings = Settings(size=32, diffusion_size=256, diffusion_steps=20)
    job = json.loads(stable_diffusion.write_job(tmp_path, dataset, [(row, tmp_path / "out.png")], settings).read_text())
    item, = job["images"]
    mask = decode_image(item["mask"], (32, 32, 1))
    assert (job["size"], job["steps"], item["prompt"]) == (256, 20, f"picture of a {row.label}")
    np.testing.assert_array_equal(decode_image(item["image"], (32, 32, 3)), dataset.read_damaged(row))
    np.testing.assert_array_equal(mask[..., 0], np.where(dataset.read_counts(row) > 0, 255, 0))
    other_path = stable_diffusion.write_job(tmp_path, dataset, [(other_row, tmp_path / "out.png")], settings)
    other_job = json.loads(other_path.read_text())
    assert other_job["images"][0]["seed"] != item["seed"]


def test_training_a_pretrained_pipeline_ends_at_once(home):
    assert "stable_diffusion" in done(stage("train", home, *SD))


def test_errors_name_the_flag_and_the_next_step(home):
    missing = stage("predict", home, *SD, "--diffusion-env", home / "nowhere")
    assert missing.returncode == 1 and f"python3 -m venv {home}/nowhere" in missing.stderr
    wrong_size = stage("predict", home, *SD, "--diffusion-size", "300")
    assert wrong_size.returncode == 2 and "--diffusion-size" in wrong_size.stderr


def test_error_of_the_child_process_is_shown(home):
    """The environment's Python is a shell script that fails."""
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
    subprocess.run([env / "bin/python", ROOT / "tests/support/tiny_diffusion.py", folder], check=True, capture_output=True)
    return folder / "pipeline"


def predict(home, env, pipeline, *flags):
    tiny = ("--diffusion-env", env, "--diffusion-model", pipeline, "--diffusion-size", "64", "--diffusion-steps", "2")
    return stage("predict", home, *SD, *tiny, *flags)


@pytest.mark.diffusion
def test_every_image_is_predicted_once(home, env, pipeline):
    for name in ("train", "predict"):
        done(stage(name, home, *SD) if name == "train" else predict(home, env, pipeline))
    results = sorted((home / "checkpoints/demo/sd/painted").glob("*/*.png"))
    first = np.load(home / "checkpoints/demo/sd/holdout.npz")["values"]
    assert len(results) == len(dataset.read_index(home / "augment/demo/index.csv")) - 260
    times = {path: path.stat().st_mtime_ns for path in results}
    results[3].unlink()
    (home / "checkpoints/demo/sd/predict.json").unlink()
    done(predict(home, env, pipeline))
    assert [path for path in results if path.stat().st_mtime_ns != times[path]] == [results[3]]
    np.testing.assert_array_equal(np.load(home / "checkpoints/demo/sd/holdout.npz")["values"], first)
    for name in ("serialize", "score"):
        shown = done(stage(name, home, *SD))
    assert "sd " in shown


@pytest.mark.diffusion
def test_another_prompt_gives_another_image(home, env, pipeline):
    done(stage("train", home, *SD))
    values = []
    for prompt in ("picture of a {class}", "xyz"):
        done(predict(home, env, pipeline, "--prompt", prompt))
        values.append(np.load(home / "checkpoints/demo/sd/holdout.npz")["values"])
    assert not np.array_equal(*values)


@pytest.mark.diffusion
def test_model_that_cannot_be_loaded_is_named(home, env):
    result = predict(home, env, home / "no-such-pipeline")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "no-such-pipeline failed" in result.stderr
