"""What a command does to a run that exists: other flags, another model, --force, and first weights that are gone."""

import shutil

import keras
import pytest
from support.stages import SMALL, done, stage

from pixmend import models, run_file
from pixmend.cli import read_settings
from pixmend.config import UNLIMITED_STEPS, Settings
from pixmend.errors import UserError
from pixmend.run_identity import make_run_name
from pixmend.training import trainer
from pixmend.training.history import History
from pixmend.training.run import keep_found_settings

CNN = (*SMALL, "--model", "cnn", "--precision", "float32", "--steps", "2")


@pytest.fixture
def trained(home):
    """A home with a trained run `a`."""
    done(stage("train", home, *CNN, "--run", "a"))
    return home


def test_a_run_goes_on_in_the_precision_it_began_with_on_a_machine_that_would_choose_another(home):
    flags = (*SMALL, "--model", "cnn", "--steps", "2")   # without --run, by which the precision would be found in run.toml
    done(stage("train", home, *flags))
    settings = read_settings("train", ["--home", str(home), *flags])
    before = run_file.read_trained(settings.run_folder)
    other = {"float32": "bfloat16", "bfloat16": "float32"}[before["precision"]]
    run_file.save_trained(settings.run_folder, before | {"precision": other})
    assert settings.precision == "auto" and keep_found_settings(settings).precision == other


def test_a_damaged_value_that_would_be_kept_is_refused_by_the_name_of_its_file(home):
    flags = (*SMALL, "--model", "cnn", "--steps", "2", "--run", "a")
    settings = read_settings("train", ["--home", str(home), *flags])
    run_file.save_trained(settings.run_folder, {"precision": "half"})
    with pytest.raises(UserError, match=r"run\.toml: precision"):
        keep_found_settings(settings)


def read_weights(home, run="a"):
    return (home / f"checkpoints/demo/{run}/best.npz").read_bytes()


@pytest.mark.parametrize("flags", [("--init-from", "a"), ("--init-from", "a@1"),
                                   ("--init-from", "wider", "--model", "unet")], ids=str)
def test_force_deletes_nothing_where_the_new_training_cannot_begin(trained, flags):
    done(stage("train", trained, *CNN, "--run", "wider"))
    before = read_weights(trained)
    refused = stage("train", trained, *CNN, *flags, "--run", "a", "--force")
    assert refused.returncode and "--init-from" in refused.stderr and read_weights(trained) == before


def test_a_run_that_was_trained_anew_is_continued_by_its_file(trained):
    done(stage("train", trained, *CNN, "--run", "a", "--force"))
    path = trained / "checkpoints/demo/a/best.npz"
    written = path.stat().st_mtime_ns
    done(stage("train", trained, "--config", trained / "checkpoints/demo/a/run.toml"))
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize("name", ["configure", "train"])
def test_a_fill_does_not_take_the_place_of_a_trained_network(trained, name):
    refused = stage(name, trained, "--size", "32", "--model", "smooth", "--run", "a")
    assert refused.returncode == 1 and "--run" in refused.stderr
    assert run_file.read_trained(trained / "checkpoints/demo/a")["model"] == "cnn"
    done(stage(name, trained, "--size", "32", "--model", "smooth", "--run", "a", "--force"))


def test_a_trained_run_no_longer_needs_the_run_that_it_began_with(trained):
    later = (*CNN, "--run", "b", "--init-from", "a")
    done(stage("train", trained, *later))
    weights = read_weights(trained, "b")
    shutil.rmtree(trained / "checkpoints/demo/a")
    done(stage("train", trained, *later))
    assert read_weights(trained, "b") == weights
    assert stage("train", trained, *later, "--force").returncode == 1


def test_a_trained_run_no_longer_needs_the_weights_of_its_encoder(home, tmp_path):
    path, small = tmp_path / "mine.weights.h5", (32, 32, 3)
    keras.applications.MobileNetV3Small(include_top=False, weights=None, input_shape=small).save_weights(path)
    flags = (*CNN, "--model", "pretrained_unet", "--work-size", "32", "--schedule", "constant", "--run", "b",
             "--encoder", "MobileNetV3Small", "--encoder-weights", path)
    done(stage("train", home, *flags))
    path.unlink()
    assert "step 3." in done(stage("train", home, *flags, "--steps", "3"))
    for state in (home / "checkpoints/demo/b").glob("state-*.npz"):
        state.write_bytes(b"damaged")
    refused = stage("train", home, *flags, "--steps", "3")   # the training would begin again
    assert refused.returncode == 1 and "--encoder-weights" in refused.stderr


def test_a_change_of_hundreds_of_percent_is_written_as_a_number_of_them(trained, monkeypatch):
    scores = iter([0.05, 0.1252])   # of the first weights, and after the training
    monkeypatch.setattr(trainer, "evaluate_holdout", lambda *_: {"holdout_rmse": next(scores)})
    assert "is 150% above" in done(stage("train", trained, *CNN, "--run", "b", "--init-from", "a"))


def test_first_weights_of_another_split_are_refused_by_the_split(trained):
    """Run `a` is trained already, so to train it is no help."""
    done(stage("augment", trained, "--size", "32", "--folds", "2"))
    refused = stage("train", trained, *CNN, "--folds", "2", "--run", "b", "--init-from", "a")
    assert refused.returncode == 1 and "a was trained with --folds 1" in refused.stderr and "Train it first" not in refused.stderr


@pytest.mark.parametrize(("model", "kind"), [("smooth", "a run of smooth"), ("ensemble", "a mix")])
def test_first_weights_of_a_run_that_is_not_trained_are_refused_with_the_reason(trained, model, kind):
    run_file.save_trained(trained / "checkpoints/demo/b", {"model": model})
    refused = stage("train", trained, *CNN, "--run", "c", "--init-from", "b")
    assert refused.returncode == 2 and f"is {kind}," in refused.stderr and "Train it first" not in refused.stderr


def test_damaged_first_weights_are_not_called_those_of_another_network(trained):
    path = trained / "checkpoints/demo/a/best.npz"
    path.write_bytes(path.read_bytes()[:-100])
    refused = stage("train", trained, *CNN, "--run", "b", "--init-from", "a")
    assert refused.returncode == 1 and f"{path} is damaged" in refused.stderr and "same network" not in refused.stderr


def test_fewer_steps_than_a_run_was_trained_for_are_refused_and_leave_its_file_as_it_was(trained):
    done(stage("train", trained, *CNN, "--run", "a", "--steps", "4"))
    refused = stage("train", trained, *CNN, "--run", "a", "--steps", "2")
    assert refused.returncode == 1 and "trained for 4 steps" in refused.stderr and "--steps 4" in refused.stderr
    assert run_file.read_trained(trained / "checkpoints/demo/a")["steps"] == 4


def test_fewer_minutes_than_a_run_was_trained_for_are_refused_and_leave_its_file_as_it_was(trained):
    run_b, folder = (*CNN, "--schedule", "constant", "--run", "b"), trained / "checkpoints/demo/b"
    done(stage("train", trained, *run_b, "--steps", "100000", "--minutes", "0.01"))
    refused = stage("train", trained, *run_b, "--steps", "100000", "--minutes", "0.005")
    assert refused.returncode == 1 and "--minutes 0.1 or more" in refused.stderr
    assert run_file.read_trained(folder)["minutes"] == 0.01
    done(stage("train", trained, *run_b, "--steps", "100000", "--minutes", "0.01"))


@pytest.mark.parametrize(("flags", "more", "steps"), [
    ((), ("--steps", "4"), 4), (("--early-stopping", "1", "--steps", "9"), ("--early-stopping", "0"), 9)], ids=str)
def test_a_finished_run_says_what_continues_it(trained, monkeypatch, flags, more, steps):
    scores = iter(range(1, 20))   # no evaluation is better than the first one
    monkeypatch.setattr(trainer, "evaluate_holdout", lambda *_: {"holdout_rmse": 1 + 0.01 * next(scores)})
    run_b = (*CNN, "--evaluate-every", "1", "--run", "b", *flags)
    done(stage("train", trained, *run_b))
    again = done(stage("train", trained, *run_b))
    assert f"To continue it: {'more --steps' if more[0] == '--steps' else ' '.join(more)};" in again
    assert f"train: step {steps}." in done(stage("train", trained, *run_b, *more))


def test_defaults_follow_the_flags_that_they_depend_on(tmp_path):
    home = ("--home", str(tmp_path))
    done(stage("configure", tmp_path, "--run", "a", "--model", "window_mlp", "--start", "telea"))

    def read(*flags):
        return models.apply_model_defaults(read_settings("train", [*home, "--run", "a", *flags]))

    other = read("--model", "pix2pix")
    assert (other.adversarial, other.batch_size, other.start, other.run) == (True, 32, "telea", "a")
    assert read("--minutes", "60").steps == UNLIMITED_STEPS and read("--minutes", "60").model == "window_mlp"
    assert read("--optimizer", "sgd").learning_rate == 0.01
    assert read("--width", "99").batch_size == read().batch_size == 512


def test_flags_without_effect_are_reported(home):
    flags = ("--work-size", "128", "--freeze-encoder", "--optimizer", "rmsprop", "--beta-1", "0.8")
    printed = done(stage("train", home, *CNN, *flags))
    assert all(f"{name} has no effect" in printed for name in ("--work-size", "--freeze-encoder", "--beta-1"))


def test_runs_of_long_numbers_have_names_of_their_own():
    names = {make_run_name(Settings(seed=seed), {}, {}) for seed in (20240501, 20240502)}
    assert len(names) == 2


def test_weights_of_another_run_are_not_the_best_ones_of_this_run(tmp_path):
    history = History(tmp_path / "history.csv")
    for step, rmse in enumerate((0.150, 0.160, 0.155, 0.152)):
        history.add(step=step, minutes=0.0, holdout_rmse=rmse)
    assert history.count_since_best(counts_start=True) == 3 and history.count_since_best(counts_start=False) == 0


def test_a_refused_flag_is_named_as_it_is_typed(trained):
    refused = stage("predict", trained, "--run", "a", "--mask-channel")
    assert refused.returncode == 1 and refused.stderr.rstrip("\x1b[0m\n").endswith("--mask-channel")
