"""run.toml: every setting comes back as it was, later stages need only the run, damaged and older files are refused or read."""

import dataclasses
import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, strategies
from support.stages import SMALL, done, stage

from pixmend import config, models, run_file
from pixmend.cli import read_settings
from pixmend.config import SETTINGS, Settings
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.experiments import study, study_plans
from pixmend.networks.registry import NETWORKS
from pixmend.run_identity import weight_settings
from pixmend.scoring import run_score
from pixmend.training import run


def configure(home, *flags):
    return done(stage("configure", home, *flags)).strip()


def test_every_setting_comes_back(tmp_path):
    path = configure(tmp_path, *SMALL, "--lambda", "400", "--run", "a", "--prompt", 'a "quoted" {class}\n', "--tta", "8")
    loaded = run_file.load_run(Path(path))
    assert (loaded.LAMBDA, loaded.width, loaded.tta, loaded.prompt, loaded.run) == (400, 4, 8, 'a "quoted" {class}\n', "a")
    assert {"LAMBDA", "width", "tta", "prompt"} <= loaded.given and "beta_1" not in loaded.given
    assert loaded.stored


TEXT = strategies.text(strategies.characters(exclude_categories=["Cs"]))


@given(text=TEXT, number=strategies.floats(allow_nan=False, allow_infinity=False), whole=strategies.integers(-2**62, 2**62))
def test_toml_holds_any_value(text, number, whole):
    values = {"text": text, "number": number, "whole": whole, "flag": True, "list": [text, "b"]}
    assert tomllib.loads(run_file.format_toml({"table": values}))["table"] == values


def test_record_names_versions_hardware_and_state_of_the_checkout(tmp_path):
    tables = tomllib.loads(Path(configure(tmp_path, "--run", "a")).read_text())
    assert {"python", "keras", "numpy"} <= tables["versions"].keys()
    assert tables["hardware"]["cores"] > 0 and tables["git"].keys() >= {"date"}


def test_record_stays_that_of_the_training_until_the_run_is_trained_anew(tmp_path):
    path = Path(configure(tmp_path, "--run", "a"))
    run_file.save_trained(path.parent, weight_settings(run_file.load_run(path)) | {"competition": "demo"})
    now = tomllib.loads(path.read_text())
    earlier = {"versions": {"keras": "3.0.0"}, "hardware": {"processor": "other"}, "git": {"commit": "abc", "date": "2001-01-01"}}
    path.write_text(run_file.format_toml(now | earlier))
    configure(tmp_path, "--run", "a", "--tta", "8")
    tables = tomllib.loads(path.read_text())
    assert {name: tables[name] for name in earlier} == earlier and tables["prediction"]["tta"] == 8 and "trained" in tables
    run_file.forget_trained(path.parent)
    assert not {*earlier, "trained"} & tomllib.loads(path.read_text()).keys()
    configure(tmp_path, "--run", "a")
    assert {name: tomllib.loads(path.read_text())[name] for name in earlier} == {name: now[name] for name in earlier}


@pytest.mark.parametrize(("changed", "mark"), [(False, ""), (True, "+changes")])
def test_record_of_a_score_says_whether_the_checkout_has_changes(tmp_path, monkeypatch, changed, mark):
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        (tmp_path / "code.py").write_text("a = 1")
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=tmp_path, check=True)
    (tmp_path / "code.py").write_text("a = 2" if changed else "a = 1")
    monkeypatch.setattr(run_file, "CHECKOUT", tmp_path)
    monkeypatch.setattr(run_file, "IN_CHECKOUT", True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=tmp_path, capture_output=True, text=True).stdout.strip()
    settings = Settings(home=str(tmp_path / "home"), run="a")
    run_score.update_leaderboard(settings)
    row, = leaderboard.read_leaderboard(settings.submissions_folder / "leaderboard.csv")
    assert row["commit"] == commit + mark
    monkeypatch.setattr(study, "run_stages", lambda settings, plan: {"rmse": 1.0, "seconds": None})
    assert study.make_run(settings, study_plans.PLANS["losses"])["commit"] == commit + mark


def test_later_stages_need_only_the_run(home, tmp_path):
    done(stage("train", home, *SMALL, "--model", "smooth", "--run", "only-the-run"))
    for name in ("predict", "serialize", "score"):
        done(stage(name, home, "--run", "only-the-run"))
    assert (home / "submissions/demo/only-the-run.csv").exists()


def test_run_is_found_by_kaggles_name_of_the_competition(tmp_path):
    path = configure(tmp_path, "--competition", "photo-reconstruction", "--run", "a", "--width", "8")
    assert configure(tmp_path, "--competition", "photo-reconstruction", "--run", "a") == path
    assert run_file.load_run(Path(path)).width == 8


def test_config_of_another_home_is_taken(home, tmp_path):
    path = configure(tmp_path / "colleague", *SMALL, "--model", "ring", "--run", "theirs")
    shutil.copy(path, tmp_path / "run.toml")
    done(stage("train", home, "--config", str(tmp_path / "run.toml")))
    assert run_file.read_trained(home / "checkpoints/demo/theirs")["model"] == "ring"


def test_home_stays_where_checkpoints_is_a_link(tmp_path):
    home = tmp_path / "home"
    configure(home, "--run", "a", "--width", "8")
    (home / "checkpoints").rename(tmp_path / "scratch")
    (home / "checkpoints").symlink_to(tmp_path / "scratch")
    path = home / "checkpoints/demo/a/run.toml"
    assert run_file.find_home(path) == home and run_file.load_run(path).width == 8


def test_flag_that_contradicts_the_training_is_refused(home):
    done(stage("train", home, *SMALL, "--model", "mean", "--run", "trained"))
    result = stage("predict", home, "--run", "trained", "--split-seed", "2")
    assert result.returncode == 1 and "--split-seed" in result.stderr and "trained" in result.stderr


def test_unknown_run_is_refused_with_the_nearest_name(home):
    configure(home, *SMALL, "--run", "lambda400")
    result = stage("predict", home, "--run", "lamda400")
    assert result.returncode == 1 and "lambda400" in result.stderr


@pytest.mark.parametrize("name", ["=cmd", "+cmd", "-cmd", "@cmd", "../elsewhere"])
def test_file_with_a_name_that_no_run_can_have_is_refused(tmp_path, name):
    path = Path(configure(tmp_path, *SMALL, "--run", "a"))
    path.write_text(path.read_text().replace('run = "a"', f'run = "{name}"'))
    result = stage("train", tmp_path, "--config", str(path))
    assert result.returncode == 2 and str(path) in result.stderr and os.listdir(tmp_path / "checkpoints/demo") == ["a"]


@pytest.mark.parametrize(("old", "new"), [
    ("width = 4", "width = 1000000000"), ("width = 4", "width = nan"), ("width = 4", 'width = "4"'),
    ("width = 4", "widht = 4"), ("width = 4", "width = ["), ("augment = ", "augment = 7 #"),
    ('competition = "demo"', 'competition = "text"'), ('damage = ""', 'damage = "landscapes"'),
    ('run = "a"', 'run = "a"\ntrained = 3'), ("[training]", "[trainig]"), ('run = "a"', 'run = "a"\nLAMBDA = 400.0'),
    ("[prediction]", "[prediction]\nwidth = 8")])
def test_damaged_run_file_is_refused_by_name(tmp_path, old, new):
    path = configure(tmp_path, *SMALL, "--run", "a")
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))
    result = stage("train", tmp_path, "--run", "a")
    assert result.returncode in (1, 2) and "run.toml" in result.stderr and "Traceback" not in result.stderr


def test_run_file_that_an_editor_saved_with_a_byte_order_mark_is_read(tmp_path):
    path = Path(configure(tmp_path, *SMALL, "--run", "a"))
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert run_file.load_run(path).width == 4


def test_settings_of_the_first_edition_are_read(tmp_path):
    stored = {"contest": "demo", "model": "pix2pix", "even": False, "damages": 2, "seed": 3}
    (tmp_path / "settings.json").write_text(json.dumps(stored))
    trained = run_file.add_missing_settings(run_file.read_trained(tmp_path))
    assert (trained["competition"], trained["masks_per_image"], trained["split_seed"], trained["LAMBDA"]) == ("demo", 2, 3, 1000)


def test_run_folder_of_the_first_edition_is_used(prepared_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(prepared_home, home)
    done(stage("train", home, *SMALL, "--model", "ring", "--run", "old"))
    folder, old_names = home / "checkpoints/demo/old", {new: old for old, new in config.RENAMED.items()}
    trained = run_file.read_trained(folder)
    (folder / "run.toml").unlink()
    (folder / "settings.json").write_text(json.dumps({old_names.get(name, name): value for name, value in trained.items()}))
    for name in ("predict", "serialize", "score"):
        done(stage(name, home, "--run", "old"))
    assert (home / "submissions/demo/old.csv").exists()


# What a run did whose file does not have a setting. It never changes: a setting with a new default gets `earlier=` its old one.
WITHOUT_A_SETTING = {
    "seed": 1, "size": 256, "photos": "", "hole_colour": "black", "holdout": 0.1, "folds": 1, "split_seed": 1, "augment": "5x",
    "damage": "", "unknown_masks": False, "model": "pix2pix", "width": 64, "levels": 8, "work_size": 64, "window": 0.0,
    "mask_channel": False, "start": "harmonic", "encoder": "EfficientNetV2B0", "encoder_weights": "imagenet", "precision": "auto",
    "adversarial": False, "LAMBDA": 1000.0, "disc_lambda": 1.0, "loss": "l1", "loss_region": "all", "contrast_weighting": False,
    "steps": 20000, "minutes": 0.0, "batch_size": 4, "optimizer": "adam", "learning_rate": 2e-4, "beta_1": 0.5, "beta_2": 0.999,
    "weight_decay": 0.0, "schedule": "constant", "warmup_steps": 0, "ema_decay": 0.0, "clip_norm": 0.0, "init_from": "",
    "masks_per_image": 0, "fresh_masks": False, "jitter": 0, "noise": 0.0, "evaluate_every": 500, "evaluation_images": 64,
    "diffusion_model": "stabilityai/stable-diffusion-2-inpainting", "prompt": "picture of a {class}",
    "prompt_without_class": "animal", "diffusion_size": 512, "diffusion_steps": 50}
PREDICTION = {"predict_mode": "inference", "tta": 1, "mask_run": "locate", "channel_order": "bgr", "value_scale": "unit"}


def test_setting_that_a_run_does_not_have_is_as_it_was_before_there_was_one():
    filled = run_file.add_missing_settings({})
    assert {name: filled[name] for name in WITHOUT_A_SETTING} == WITHOUT_A_SETTING


@pytest.mark.parametrize("first_edition", [False, True])
def test_run_of_an_older_version_keeps_what_that_version_did(tmp_path, monkeypatch, first_edition):
    """Defaults of a setting, of a model and of a competition that change later have no part in it."""
    folder = tmp_path / "checkpoints/demo/old"
    folder.mkdir(parents=True)
    if first_edition:
        (folder / "settings.json").write_text(json.dumps({"model": "window_mlp", "damages": 3, "width": 8, "seed": 2}))
    else:
        tables = {"run": "old", "common": {"competition": "demo", "seed": 2}, "versions": {"pixmend": "2.0.0"},
                  "network": {"model": "window_mlp", "width": 8}, "training": {"masks_per_image": 3}}
        (folder / "run.toml").write_text(run_file.format_toml(tables))
    for name, default in (("jitter", 286), ("fresh_masks", True), ("tta", 8)):
        spec = SETTINGS[name]
        monkeypatch.setitem(SETTINGS, name, dataclasses.replace(spec, default=default, earlier=spec.default))
    later = {**NETWORKS["window_mlp"].defaults, "masks_per_image": 0, "fresh_masks": True, "width": 512}
    monkeypatch.setitem(NETWORKS, "window_mlp", dataclasses.replace(NETWORKS["window_mlp"], defaults=later))
    settings = models.apply_model_defaults(read_settings("train", ["--home", str(tmp_path), "--run", "old"]))
    stored = {"model": "window_mlp", "masks_per_image": 3, "width": 8, "seed": 2, "split_seed": 2}
    expected = WITHOUT_A_SETTING | PREDICTION | stored
    assert {name: getattr(settings, name) for name in expected} == expected


def test_configure_keeps_the_file_of_a_run_that_was_trained_with_other_settings(tmp_path):
    path = Path(configure(tmp_path, "--model", "window_mlp", "--masks-per-image", "30", "--run", "window_mlp"))
    run_file.save_trained(path.parent, weight_settings(run_file.load_run(path)) | {"competition": "demo"})
    before = path.read_text()   # as by a version whose default was 30
    refused = stage("configure", tmp_path, "--model", "window_mlp")
    assert refused.returncode == 1 and "--masks-per-image 30" in refused.stderr and path.read_text() == before
    configure(tmp_path, "--run", "window_mlp")
    assert run_file.load_run(path).masks_per_image == 30
    configure(tmp_path, "--model", "window_mlp", "--force")
    assert run_file.load_run(path).masks_per_image < 30


@pytest.mark.parametrize("content", ["[1, 2]", '"text"', "{", "[" * 100_000])
def test_damaged_settings_of_the_first_edition_are_refused(tmp_path, content):
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(UserError, match=r"settings\.json"):
        run_file.read_trained(tmp_path)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_a_help_line_and_a_default(name):
    assert len(SETTINGS[name].help) > 10
    assert dataclasses.replace(Settings(), **{name: SETTINGS[name].default}) == Settings()


def test_a_new_run_says_how_long_it_trains_where_no_flag_does(tmp_path, capsys):
    def tell(*given, **values):
        settings = models.apply_model_defaults(Settings(home=str(tmp_path), run="a", given=frozenset(given), **values))
        run.tell_default_budget(settings)
        return capsys.readouterr().out

    assert "window_unet for 20,000 steps" in tell(competition="photo_reconstruction") and "for 800 steps" in tell()
    assert not tell("steps", steps=5) and not tell("minutes", minutes=3.0)
    run_file.save_trained(tmp_path / "checkpoints/demo/a", {"model": "window_unet"})
    assert not tell() and tell(force=True)
