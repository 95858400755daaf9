"""Logs of trainings: what their libraries read back is history.csv, also after a stop, and no log changes or ends a training."""

import contextlib
import importlib.util
import os
import pty
import sys
import time

import pytest
from support.crashes import newest_state, outcome
from support.stages import JAX, SMALL, clean_environment, done, stage, stage_process, start_stage
from support.training_logs import READERS, read_history, read_tensorboard

from pixmend.cli import read_settings
from pixmend.config import Settings
from pixmend.data.dataset import open_dataset
from pixmend.setting_values import LOG_LIBRARIES
from pixmend.training.loggers import registry
from pixmend.training.loggers.training_log import TrainingLog

pytestmark = pytest.mark.long

CNN = (*SMALL, "--model", "cnn", "--precision", "float32", "--save-minutes", "0")
RUN = (*CNN, "--learning-rate", "1e-3", "--warmup-steps", "9", "--run", "a")
OFFLINE = {"WANDB_MODE": "offline"}


@pytest.fixture(params=LOG_LIBRARIES)
def library(request):
    return request.param


def train(library, home, *flags):
    """Train run `a`; Trackio takes its folder when it is imported, so it needs a process of its own for each home."""
    if library == "trackio":
        return done(stage_process("train", home, *RUN, "--log", library, *flags))
    return done(stage("train", home, *RUN, "--log", library, *flags, environment=clean_environment() | OFFLINE))


def check_log(library, home, without_image=()):
    """Check that a log holds the lines of history.csv, the learning rate, and images of 4 rows with 3 images of 32 pixels."""
    run = home / "checkpoints/demo/a"
    values, sizes = READERS[library](home, run)
    history = {step: line | {"learning_rate": 1e-4 * min(max(step, 1), 10)} for step, line in read_history(run).items()}
    assert values.keys() == history.keys()
    for step, line in history.items():
        assert values[step] == pytest.approx(line, rel=1e-6)
    assert sizes == {step: (4 * 32, 3 * 32) for step in history if step not in without_image}


def test_a_log_equals_the_history_at_the_end_and_after_an_evaluation_was_lost(library, home):
    train(library, home, "--steps", "8")
    check_log(library, home)
    train(library, home, "--steps", "16")
    check_log(library, home)
    max((home / "checkpoints/demo/a").glob("state-*.npz")).unlink()   # as after a kill before the last state was saved
    train(library, home, "--steps", "20")
    check_log(library, home)


def test_a_log_that_begins_late_gets_the_evaluations_before_it(library, home):
    done(stage("train", home, *RUN, "--steps", "8"))
    train(library, home, "--steps", "12")
    check_log(library, home, without_image=(0, 4, 8))


def test_a_run_that_is_trained_anew_has_a_new_log(library, home):
    train(library, home, "--steps", "8")
    train(library, home, "--steps", "4", "--force")
    check_log(library, home)


def test_all_settings_of_the_run_are_in_tensorboard_once(home):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    for steps in ("4", "8"):
        train("tensorboard", home, "--steps", steps)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    log = EventAccumulator(str(home / "checkpoints/demo/a/logs/tensorboard")).Reload()
    content = log.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    stored = HParamsPluginData.FromString(content).session_start_info.hparams
    assert stored["model"].string_value == "cnn" and stored["steps"].number_value == 8
    assert len(list((home / "checkpoints/demo/a/logs/tensorboard").iterdir())) == 1


def test_a_log_changes_neither_the_name_nor_one_bit_of_a_run(home, prepared_home):
    done(stage("train", home, *CNN, "--steps", "8"))
    run, = (home / "checkpoints/demo").glob("cnn-*/")
    plain, files = newest_state(run), outcome(run)
    for path in run.iterdir():
        path.unlink()
    done(stage("train", home, *CNN, "--steps", "8", "--log", "tensorboard"))
    assert list((home / "checkpoints/demo").glob("cnn-*/")) == [run] and newest_state(run) == plain
    logged = outcome(run)
    assert {path: logged[path] for path in files if path != "run.toml"} == {
        path: files[path] for path in files if path != "run.toml"}


def test_a_logger_that_fails_ends_no_training_and_no_other_log(home):
    folder = home / "checkpoints/demo/a/logs"
    folder.mkdir(parents=True)
    (folder / "images").write_text("a file where a folder should be")
    result = stage("train", home, *RUN, "--steps", "4", "--log", "tensorboard", environment=clean_environment())
    assert result.returncode == 0 and len(result.stderr.strip().splitlines()) == 1 and "Traceback" not in result.stderr
    (folder / "tensorboard").rename(folder / "elsewhere")
    (folder / "tensorboard").write_text("")
    result = stage("train", home, *RUN, "--steps", "8", "--log", "tensorboard", environment=clean_environment())
    assert result.returncode == 0 and "tensorboard" in result.stderr and "Traceback" not in result.stderr
    assert list(read_history(home / "checkpoints/demo/a")) == [0, 4, 8]


def test_logs_of_a_killed_training_are_continued(home):
    names = [name for name in LOG_LIBRARIES if importlib.util.find_spec(name)]
    flags, history = (*RUN, "--log", ",".join(names), "--steps"), home / "checkpoints/demo/a/history.csv"
    process = start_stage("train", home, *flags, "100000", env=OFFLINE)
    while not (history.exists() and len(history.read_text().splitlines()) > 5) and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    done(stage_process("train", home, *flags, str(max(read_history(history.parent)) + 8), env=OFFLINE))
    for name in names:
        check_log(name, home)


def test_a_server_that_is_away_ends_no_training(home):
    environment = clean_environment() | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    result = stage("train", home, *RUN, "--steps", "4", "--log", "mlflow,tensorboard", environment=environment)
    assert result.returncode == 0 and "mlflow" in result.stderr and "Traceback" not in result.stderr
    check_log("tensorboard", home)


def test_wandb_without_a_login_writes_files_and_asks_nothing_on_a_terminal(home, tmp_path):
    environment = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "WANDB_CONFIG_DIR": str(tmp_path)}
    ours, theirs = pty.openpty()
    with contextlib.closing(os.fdopen(ours)), contextlib.closing(os.fdopen(theirs)) as terminal:
        output = done(stage_process("train", home, *RUN, "--steps", "4", "--log", "wandb", env=environment, stdin=terminal,
                                    timeout=300))
    assert "wandb sync" in output
    check_log("wandb", home)


def test_tensorboard_files_on_jax_need_no_tensorflow(home):
    done(stage_process("train", home, *RUN, "--steps", "4", "--log", "tensorboard", env=JAX))
    check_log("tensorboard", home)


def test_predicted_masks_are_logged_with_their_iou(home):
    done(stage("train", home, *SMALL, "--model", "locate", "--start", "none", "--steps", "4", "--run", "a",
               "--log", "tensorboard"))
    run = home / "checkpoints/demo/a"
    values, sizes = read_tensorboard(home, run)
    assert [line["holdout_iou"] for line in values.values()] == pytest.approx(
        [line["holdout_iou"] for line in read_history(run).values()], rel=1e-6)
    assert sizes == {0: (128, 96), 4: (128, 96)}


def test_each_trial_of_a_sweep_has_its_log(home):
    flags = (*SMALL, "--model", "cnn", "--steps", "4", "--learning-rate", "1e-3,1e-4", "--log", "tensorboard,tensorboard")
    done(stage("sweep", home, *flags))
    runs = list((home / "checkpoints/demo").glob("cnn-*/"))
    assert len(runs) == 2
    for run in runs:
        assert list(read_tensorboard(home, run)[0]) == [0, 4]


@pytest.mark.parametrize("command", [("train",), ("sweep", "--beta-1", "0.5,0.6"), ("study", "optimizers")], ids=lambda c: c[0])
@pytest.mark.parametrize("library", LOG_LIBRARIES)
def test_a_missing_package_is_one_message_before_anything_is_written(command, library, home, monkeypatch):
    monkeypatch.setitem(sys.modules, registry.LIBRARIES[library].package, None)
    result = stage(command[0], home, *command[1:], "--log", library)
    assert result.returncode == 1 and library in result.stderr and "Traceback" not in result.stderr
    assert not list((home / "checkpoints").glob("*/*/"))


def test_an_unknown_library_is_refused(home):
    result = stage("train", home, *RUN, "--log", "tensorboard,wandbb")
    assert result.returncode == 2 and "wandb?" in result.stderr and not (home / "checkpoints").exists()


def test_only_the_first_process_logs_and_needs_packages(home, monkeypatch):
    settings = Settings(home=str(home), run="a", size=32, log="tensorboard", process=1)
    log = TrainingLog(settings, settings.run_folder, open_dataset(settings), [])
    with log.open([]):
        log.log_evaluation({"step": "0", "minutes": "0", "holdout_rmse": "0.1"})
    assert not settings.run_folder.exists()
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    registry.check_packages(settings)


def test_each_fold_has_a_log_of_its_own_name(home):
    settings = Settings(home=str(home), run="a", size=32, log="tensorboard")
    log = TrainingLog(settings, settings.run_folder / "fold2", open_dataset(settings), [])
    assert log.run.name == "a-fold2" and log.run.folder == settings.run_folder / "fold2/logs"


def test_every_library_has_a_logger_and_a_log_is_no_part_of_a_runs_name():
    assert tuple(registry.LIBRARIES) == LOG_LIBRARIES == tuple(READERS)
    assert read_settings("train", ["--log", "wandb"]).run == read_settings("train", []).run
