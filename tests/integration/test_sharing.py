"""Exported runs: what other programs read in them, and runs that are published and fetched back, against hubs on loopback."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file
from skimage import data
from support.model_hubs import HUB_TOKEN, KAGGLE_TOKEN, ModelHubs
from support.stages import JAX, SMALL, clean_environment, done, stage, stage_process

import pixmend
from pixmend.config import Settings
from pixmend.errors import UserError
from pixmend.models import LEARNED_HOLDOUT
from pixmend.sharing import model_card
from pixmend.sharing.export import describe_inputs

pytestmark = pytest.mark.long

WINDOW = ("--model", "window_mlp", "--size", "32", "--width", "8", "--work-size", "16", "--masks-per-image", "0", "--batch-size",
          "8", "--steps", "12", "--evaluate-every", "12", "--start", "none", "--learning-rate", "0.02", "--ema-decay", "0")
FILES = {"model.keras", "model.onnx", "model.safetensors", "settings.json", "README.md", "before-after.jpg"}
PLACES = ["hub:someone/mend", "kaggle:someone/mend/keras/windows"]
PHOTO = np.ascontiguousarray(data.astronaut()[:120:2, :160:2])
MASK = np.zeros(PHOTO.shape[:2], bool)
MASK[20:32, 30:45] = True


@pytest.fixture(scope="module")
def home(module_home):
    short = (*SMALL, "--steps", "4")
    for run, flags in (("windows", WINDOW), ("whole", short), ("finder", (*short, "--model", "locate", "--start", "none"))):
        done(stage("train", module_home, *flags, "--run", run))
    for command in ("predict", "serialize", "score"):
        done(stage(command, module_home, "--run", "windows"))
    for run in ("windows", "whole"):
        done(stage("export", module_home, "--run", run))
    return module_home


@pytest.fixture
def exported(home, tmp_path):
    """A copy of the exported run, which a test may damage."""
    return shutil.copytree(home / "exports/demo/windows", tmp_path / "exported")


@pytest.fixture
def files(tmp_path):
    """A picture and its mask, as flags of mend."""
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    return tmp_path / "photo.png", "--mask", tmp_path / "mask.png"


def make_inputs(shape):
    rng = np.random.default_rng(3)
    return [rng.random((2, *shape), np.float32), (rng.random((2, *shape[:2], 1)) < 0.3).astype(np.float32)]


def run_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    inputs = make_inputs(session.get_inputs()[0].shape[1:])
    names = [node.name for node in session.get_inputs()]
    return inputs, session.run(None, dict(zip(names, inputs, strict=True)))[0]


@pytest.mark.parametrize("run", ["windows", "whole"])
def test_keras_and_onnx_files_compute_the_same(home, run):
    import keras

    import pixmend.networks.keras_layers  # noqa: F401

    folder = home / "exports/demo" / run
    network = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    inputs, output = run_onnx(folder / "model.onnx")
    assert np.abs(output - np.asarray(network(inputs))).max() < 1e-4


def test_onnx_file_computes_what_the_network_does_on_jax(home, tmp_path):
    inputs, output = run_onnx(home / "exports/demo/whole/model.onnx")
    np.savez(tmp_path / "inputs.npz", *inputs)
    program = ("import sys, numpy as np, keras, pixmend.networks.keras_layers as _; assert keras.backend.backend() == 'jax';"
               "arrays = np.load(sys.argv[2]); network = keras.saving.load_model(sys.argv[1], safe_mode=True);"
               "np.save(sys.argv[3], np.asarray(network([arrays[name] for name in arrays.files])))")
    run_program(program, home / "exports/demo/whole/model.keras", tmp_path / "inputs.npz", tmp_path / "output.npy")
    assert np.abs(np.load(tmp_path / "output.npy") - output).max() < 1e-4


def run_program(program, *arguments):
    environment = clean_environment() | JAX
    subprocess.run([sys.executable, "-c", program, *map(str, arguments)], env=environment, check=True)


def test_folder_has_all_files_and_a_card_with_what_was_measured(home):
    folder = home / "exports/demo/windows"
    card = (folder / "README.md").read_text()
    score = (home / "submissions/demo/leaderboard.csv").read_text().splitlines()[1].split(",")[1]
    assert {path.name for path in folder.iterdir()} == FILES and score in card
    assert Image.open(folder / "before-after.jpg").size == (3 * 32, 4 * 32)
    described = json.loads((folder / "settings.json").read_text())
    weights = load_file(folder / "model.safetensors")
    assert sorted(weights) == sorted(described["weights"]) and described["inputs"]["image"]["shape"][1:] == [16, 16, 3]
    assert str(home) not in json.dumps(described) + card


def test_card_has_no_score_of_earlier_weights(home, tmp_path):
    copy = shutil.copytree(home, tmp_path / "home")
    score = (home / "submissions/demo/leaderboard.csv").read_text().splitlines()[1].split(",")[1]
    done(stage("train", copy, *WINDOW, "--run", "windows", "--seed", "2", "--force"))
    assert stage("export", copy, "--run", "windows").returncode == 1
    (copy / "checkpoints/demo/windows/score.json").unlink()
    done(stage("export", copy, "--run", "windows"))
    assert score not in (copy / "exports/demo/windows/README.md").read_text()


def test_card_says_where_photos_learned_from_the_holdout(tmp_path):
    settings, score = Settings(run="own", model="window_mlp", home=str(tmp_path)), {"learned_holdout": True}
    cards = [model_card.format_card(settings, model_card.read_measured(settings, found)) for found in (score, {"ids": []}, None)]
    assert [LEARNED_HOLDOUT in card for card in cards] == [True, False, False]


@pytest.mark.parametrize(("start", "is_filled"), [("given", False), ("none", False), ("smooth", True)])
def test_card_names_the_fill_of_the_input(start, is_filled):
    assert ("filled" in model_card.describe_output(Settings(start=start))) == is_filled
    assert ("filled" in describe_inputs(Settings(start=start))["image"]["missing pixels"]) == is_filled


@pytest.mark.parametrize(("model", "is_mended"), [("locate", False), ("mlp", False), ("window_mlp", True)])
def test_card_has_a_command_only_where_it_works(model, is_mended):
    card = model_card.format_card(Settings(model=model, run="own"), model_card.Measured({"iou": "0.9"}))
    assert ("pixmend mend PHOTO" in card) == is_mended and ("restores none" in card) == (model == "locate")
    assert "no score" not in card and "| 0.9 |" in card


def test_network_without_an_onnx_form_is_exported_without_it(home):
    done(stage("export", home, "--run", "finder"))
    folder = home / "exports/demo/finder"
    assert (folder / "model.keras").exists() and not (folder / "model.onnx").exists()


@pytest.mark.parametrize("flags", [("--run", "nothing"), ("--run", "fill", "--model", "smooth"), ("--run", "untrained", *SMALL)])
def test_what_has_no_weights_is_refused(home, flags):
    done(stage("configure", home, "--run", "fill", "--model", "smooth", "--size", "32"))
    done(stage("configure", home, "--run", "untrained", *SMALL))
    assert stage("export", home, *flags).returncode == 1


def test_exported_run_mends_as_the_run_itself(home, exported, files, tmp_path):
    for run, out in (("windows", "own"), (f"folder:{exported}", "shared")):
        done(stage("mend", home, *files, "--run", run, "--out", tmp_path / out))
    assert (tmp_path / "own/photo.png").read_bytes() == (tmp_path / "shared/photo.png").read_bytes()
    run = pixmend.load_run(f"folder:{exported}", home=str(tmp_path / "elsewhere"))
    assert (pixmend.mend(PHOTO, MASK, run) == np.asarray(Image.open(tmp_path / "own/photo.png"))).all()


def test_folder_of_a_shared_run_may_have_spaces(home, exported, files, tmp_path):
    folder = exported.rename(tmp_path / "my own models")
    done(stage("mend", home, *files, "--run", f"folder:{folder}", "--out", tmp_path / "out"))
    assert pixmend.load_run(f"folder:{folder}", home=str(tmp_path / "home")).name == "windows"


def test_commands_that_need_a_run_of_their_own_refuse_a_shared_one(home, exported):
    assert stage("predict", home, "--run", f"folder:{exported}").returncode == 2


def change_settings(folder, **values):
    path = folder / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_weights(folder, change):
    """Change the weights, and the hash in settings.json with them, as an attacker would."""
    from pixmend.files import hash_file

    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")
    described = json.loads((folder / "settings.json").read_text())
    change_settings(folder, files=described["files"] | {"model.safetensors": hash_file(folder / "model.safetensors")})


@pytest.mark.parametrize("damage", [
    lambda folder: (folder / "model.safetensors").write_bytes(b"x" + (folder / "model.safetensors").read_bytes()[1:]),
    lambda folder: (folder / "model.safetensors").unlink(),
    lambda folder: (folder / "settings.json").write_text("[" * 100_000),
    lambda folder: change_settings(folder, run="../../outside"),
    lambda folder: change_settings(folder, run="folder:../../outside"),
    lambda folder: change_settings(folder, competition="../outside"),
    lambda folder: change_settings(folder, channels=10**9),
    lambda folder: change_settings(folder, format=2),
    lambda folder: change_settings(folder, settings={"model": "os.system"}),
    lambda folder: change_settings(folder, settings=json.loads((folder / "settings.json").read_text())["settings"] | {
        "width": 10**9}),
    lambda folder: change_settings(folder, weights=["0000/nothing"]),
    lambda folder: change_weights(folder, lambda arrays: {name: array[..., :1] for name, array in arrays.items()}),
    lambda folder: change_weights(folder, lambda arrays: {name: array * np.float32("nan") for name, array in arrays.items()}),
])
def test_damaged_and_hostile_exports_are_refused(exported, tmp_path, damage):
    damage(exported)
    with pytest.raises(UserError):
        pixmend.mend(PHOTO, MASK, pixmend.load_run(f"folder:{exported}", home=str(tmp_path / "home")))
    assert {path.name for path in tmp_path.iterdir()} <= {"home", "exported"}


@pytest.fixture
def hubs():
    with ModelHubs() as hubs:
        yield hubs


@pytest.mark.parametrize("place", PLACES)
def test_published_run_comes_back(home, hubs, files, tmp_path, place):
    environment = hubs.environment(tmp_path)
    publish = ("publish", home, "--run", "windows", "--to", place)
    done(stage_process(*publish, env=environment))
    assert hubs.calls == []
    for _ in range(2):   # the second time a new version
        output = done(stage_process(*publish, "--send", env=environment))
    name = place.partition(":")[2]
    folder = home / "exports/demo/windows"
    assert hubs.files[name] == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert HUB_TOKEN not in output and KAGGLE_TOKEN not in output
    result = stage_process("mend", tmp_path / "new", *files, "--run", place, "--out", tmp_path / "out", env=environment)
    done(stage("mend", home, *files, "--run", "windows", "--out", tmp_path / "own"))
    assert result.returncode == 0 and result.stderr == ""
    assert (tmp_path / "out/photo.png").read_bytes() == (tmp_path / "own/photo.png").read_bytes()
    assert {path.name for path in (tmp_path / "new").rglob("*.*")} <= {"run.toml", "best.npz", ".lock"}


@pytest.mark.parametrize("place", PLACES)
def test_refused_login_and_unknown_models_are_messages(home, hubs, files, tmp_path, place):
    environment = hubs.environment(tmp_path, login=False)
    for command in (("publish", home, "--run", "windows", "--to", place, "--send"),
                    ("mend", tmp_path / "new", *files, "--run", place, "--out", tmp_path / "out")):
        result = stage_process(*command, env=environment)
        assert result.returncode == 1 and "Traceback" not in result.stderr and not any(hubs.files.values())


def test_hub_that_cannot_be_reached_is_a_message(home, tmp_path):
    with ModelHubs() as closed:
        environment = closed.environment(tmp_path)
    result = stage_process("publish", home, "--run", "windows", "--to", PLACES[0], "--send", env=environment)
    assert result.returncode == 1 and PLACES[0] in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("place", ["", "hub", "hub:someone", "hub:a/b/c", "kaggle:a/b", "elsewhere:a/b", "hub:/b"])
def test_places_that_do_not_exist_are_refused(home, place):
    assert stage("publish", home, "--run", "windows", "--to", place).returncode == 2


def test_changed_export_is_not_published(home, tmp_path):
    shutil.copytree(home / "exports", tmp_path / "exports")
    shutil.copytree(home / "checkpoints", tmp_path / "checkpoints")
    (tmp_path / "exports/demo/windows/README.md").write_text("changed")
    assert stage("publish", tmp_path, "--run", "windows", "--to", PLACES[0]).returncode == 1
    assert stage("publish", tmp_path, "--run", "whole", "--to", PLACES[0]).returncode == 0
    os.remove(tmp_path / "exports/demo/whole/model.onnx")
    assert stage("publish", tmp_path, "--run", "whole", "--to", PLACES[0]).returncode == 1
