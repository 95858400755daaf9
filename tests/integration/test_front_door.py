"""The front door and the flags: what a person types wrong is named, with the range, before anything starts."""

import subprocess

import pytest
from support.stages import ROOT, done, stage, stage_process

from pixmend import config, flags
from pixmend.cli import names
from pixmend.errors import FlagError
from pixmend.experiments import study_plans


@pytest.mark.parametrize(("flags", "told"), [
    (["--lamda", "400"], ["--lamda", "--lambda"]),
    (["--lambda", "-1"], ["--lambda", "-1", "0 to"]),
    (["--steps", "many"], ["--steps", "many"]),
    (["--augment", "6x"], ["--augment", "6x", "5x"]),
    (["--model", "pix3pix"], ["pix3pix", "pix2pix"]),
    (["--competition", "nowhere"], ["nowhere", "demo"]),
    (["--run", "../mine"], ["--run", "../mine"]),
    (["--init-from", "checkpoints/demo/a"], ["--init-from", "checkpoints/demo/a", "cannot name"]),
    (["--run", " "], ["--run ' '", "cannot name"]),
    (["--mask-run", "a b"], ["--mask-run", "a b", "cannot name"]),
    (["--mask-run", ""], ["--mask-run names no run"]),
    (["--members", "good, sub/a"], ["--members 'sub/a'", "cannot name"]),
    (["--lam", "400"], ["--lam"]),
])
def test_a_wrong_flag_ends_with_2_and_is_named(tmp_path, flags, told):
    result = stage("download", tmp_path, *flags)
    assert result.returncode == 2
    assert all(word in result.stderr for word in told), result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["download", "train", "report", "doctor"])
def test_a_home_that_is_a_file_is_a_sentence(tmp_path, name):
    (tmp_path / "file").write_text("mine")
    result = stage(name, tmp_path / "file")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert result.stderr.startswith(str(tmp_path / "file")) and "choose another --home" in result.stderr


def test_a_run_whose_flags_make_too_long_a_name_is_told_to_take_another(tmp_path):
    words = "a {class} " + "asleep " * 40
    result = stage("train", tmp_path, "--model", "stable_diffusion", "--prompt", words)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "too long" in result.stderr and "give a --run" in result.stderr


def test_a_ctrl_c_while_libraries_are_read_is_a_sentence(tmp_path):
    result = stage_process("download", tmp_path, env={"PYTHONPATH": str(ROOT / "tests" / "support" / "impatient")})
    assert result.returncode == 130
    assert result.stderr.strip() == "Stopped. The same command goes on from here."


def test_an_unknown_stage_is_named(tmp_path):
    result = stage("upload", tmp_path)
    assert result.returncode == 2
    assert "upload" in result.stderr and "download" in result.stderr


def test_help_lists_every_stage_and_every_flag_with_default_and_range(tmp_path):
    shown = done(stage("--help", tmp_path))
    flat = " ".join(shown.split())
    assert all(f" {name} " in flat for name in names("stages"))
    assert all(name in flat.split("studies (python -m pixmend study NAME): ")[1] for name in study_plans.PLANS)
    assert all(config.flag(name) in flat for name in config.SETTINGS)
    assert "(default 1000.0, 0 to 1e+06)" in flat


def test_the_pipelines_help_is_printed_once(tmp_path):
    shown = subprocess.run(["./run_pipeline.sh", "--competition", "demo", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0 and shown.stdout == done(stage("--help", tmp_path)) and not shown.stderr


def test_lambda_may_come_from_the_environment_and_a_flag_beats_it():
    assert flags.parse_flags([], environment={"LAMBDA": "400"}).LAMBDA == 400
    assert flags.parse_flags(["--lambda", "200"], environment={"LAMBDA": "400"}).LAMBDA == 200
    assert flags.parse_flags(["--lambda=200"], environment={"LAMBDA": "400"}).LAMBDA == 200
    with pytest.raises(FlagError, match="lambda"):
        flags.parse_flags([], environment={"LAMBDA": "plenty"})


def test_a_run_is_named_after_what_differs_from_the_defaults():
    name = lambda *flags: config.complete_settings(flags.parse_flags(list(flags), environment={}), {"width": 16}).run  # noqa: E731
    assert name() == name("--width", "16") == name("--quiet") == "pix2pix"
    assert name("--lambda", "400", "--steps", "150000") == "pix2pix-lambda400-steps150000"
    assert name("--width", "64", "--start", "none") == "pix2pix-width64-start-none"
    assert name("--lambda", "400", "--run", "mine") == "mine"
    assert name("--model", "stable_diffusion", "--prompt", "a {class}, ../asleep") == "stable_diffusion-prompt-a-class-..-asleep"


def test_a_flag_that_beats_the_models_own_default_is_in_the_name_though_it_is_the_default_of_all_others():
    own = {"start": "none", "loss": "l2"}
    name = lambda *flags: config.complete_settings(flags.parse_flags(list(flags), environment={}), {}, lambda model: own).run  # noqa: E731
    assert name("--model", "unet") == "unet" and name("--model", "unet", "--start", "harmonic") == "unet-start-harmonic"
    assert name("--optimizer", "sgd", "--learning-rate", "2e-4") == "pix2pix-optimizer-sgd-learning-rate0.0002"


def test_a_contests_defaults_yield_to_flags():
    complete = config.complete_settings(flags.parse_flags(["--steps", "7"], environment={}), {"steps": 100, "width": 16})
    assert (complete.steps, complete.width) == (7, 16)
