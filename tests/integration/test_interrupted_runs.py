"""Runs that are killed, stopped or damaged: the same command ends with the same bytes as an undisturbed run."""

import hashlib
import json
import os
import random
import shutil
import signal
import threading
import time

import numpy as np
import pytest
from support.crashes import count_process_writes, count_writes, killed_at, newest_state, outcome, stopped_at
from support.stages import SMALL, done, stage, start_stage

from pixmend import files, run_file
from pixmend.config import Settings
from pixmend.errors import UserError
from pixmend.run_identity import weight_settings
from pixmend.training import checkpoints, run, trainer
from pixmend.training.history import History

TRAIN = (*SMALL, "--steps", "12", "--ema-decay", "0.9", "--save-minutes", "0", "--run", "a")
CNN = (*SMALL, "--model", "cnn", "--precision", "float32", "--run", "a")
STAGES = {"download": ["competition", "augment", "checkpoints", "submissions"],
          "augment": ["augment", "checkpoints", "submissions"],
          "train": ["checkpoints", "submissions"], "predict": ["submissions"], "serialize": ["submissions"]}


@pytest.fixture(scope="module")
def undisturbed(module_home):
    """A home with one run from training to its submission, without a crash."""
    for name in ("train", "predict", "serialize"):
        done(stage(name, module_home, *TRAIN))
    return module_home


def copy_before(name, undisturbed, tmp_path):
    """Copy the undisturbed home without what this stage and later ones have written."""
    home = tmp_path / f"before-{name}"
    shutil.copytree(undisturbed, home)
    for folder in STAGES[name]:
        shutil.rmtree(home / folder, ignore_errors=True)
    for path in home.glob("checkpoints/*/*/serialize.json"):
        path.unlink()
    if name == "predict":
        for path in [*home.glob("checkpoints/*/*/predict.json"), *home.glob("checkpoints/*/*/[ht]*.npz")]:
            path.unlink()
    return home


def check_kills(kill, name, before, undisturbed, tmp_path, numbers):
    """Kill the stage before each of these writes, run it again, and compare all that it leaves."""
    for number in numbers:
        home = tmp_path / f"{name}{number}"
        shutil.copytree(before, home)
        assert kill(number, name, home, *TRAIN), number
        done(stage(name, home, *TRAIN))
        left, wanted = outcome(home), outcome(undisturbed)
        assert left == {path: wanted[path] for path in left}, f"{name} killed before write {number}"
        assert not [path for path in left if path.endswith(".part")]
        shutil.rmtree(home)


@pytest.mark.long
@pytest.mark.parametrize("name", ["download", "augment", "predict", "serialize"])
def test_a_stage_stopped_at_some_writes_ends_as_undisturbed(name, undisturbed, tmp_path):
    before = copy_before(name, undisturbed, tmp_path)
    number = count_writes(name, shutil.copytree(before, tmp_path / "count"), *TRAIN)
    check_kills(stopped_at, name, before, undisturbed, tmp_path, [number // 2, number])


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_killed_at_every_write_ends_as_undisturbed(name, undisturbed, tmp_path):
    before = copy_before(name, undisturbed, tmp_path)
    number = count_process_writes(name, shutil.copytree(before, tmp_path / "count"), *TRAIN)
    assert number >= 4
    check_kills(killed_at, name, before, undisturbed, tmp_path, range(1, number + 1))


@pytest.mark.long
def test_files_of_which_one_is_written_anew_are_neither_scored_nor_submitted(undisturbed, tmp_path):
    flags = (*TRAIN, "--channel-order", "rgb")
    number = count_writes("serialize", shutil.copytree(undisturbed, tmp_path / "count"), *flags)
    for at in range(1, number):   # the last write is the sync of what is complete
        home = shutil.copytree(undisturbed, tmp_path / f"{at}")
        assert stopped_at(at, "serialize", home, *flags)
        for name in ("score", "submit"):
            result = stage(name, home, *TRAIN)
            assert result.returncode == 1 and "pixmend serialize --run a" in result.stderr, (at, name, result.stderr)
        assert not (home / "submissions/demo/leaderboard.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_training_killed_a_hundred_times_ends_as_undisturbed(undisturbed, tmp_path, seed):
    home, rng, kills = copy_before("train", undisturbed, tmp_path), random.Random(seed), 0
    while kills < 9 and killed_at(rng.randint(3, 22), "train", home, *TRAIN):
        kills += 1
    done(stage("train", home, *TRAIN))
    assert kills >= 4
    assert newest_state(home / "checkpoints/demo/a") == newest_state(undisturbed / "checkpoints/demo/a")
    left, wanted = outcome(home), outcome(undisturbed)
    assert left == {path: wanted[path] for path in left}


def send_signal_after_evaluation(number, run):
    """Send a signal to this process once a run has been evaluated."""
    def send():
        while not (run / "history.csv").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 85), (signal.SIGUSR1, 85)])
def test_a_stopped_training_saves_its_state(home, number, code):
    run = home / "checkpoints/demo/a"
    thread = send_signal_after_evaluation(number, run)
    result = stage("train", home, *CNN, "--steps", "100000")
    thread.join()
    assert result.returncode == code and "continues from here" in result.stderr and "Traceback" not in result.stderr
    arrays, step, best = newest_state(run)
    assert arrays and step < 100000 and np.isfinite(best)


@pytest.mark.slow
def test_a_training_process_stopped_by_ctrl_c_saves_its_state(home):
    process, run = start_stage("train", home, *CNN, "--steps", "100000"), home / "checkpoints/demo/a"
    while not (run / "history.csv").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in message
    assert newest_state(run)[1] < 100000


def test_two_runs_in_one_folder_are_refused(home):
    with files.try_lock(home / "checkpoints/demo/a"):
        result = stage("train", home, *CNN, "--steps", "1")
    assert result.returncode == 1 and "checkpoints/demo/a" in result.stderr
    assert not (home / "checkpoints/demo/a/history.csv").exists()


def test_a_damaged_state_is_deleted_and_the_one_before_it_is_used(tmp_path, capsys):
    for step in (1, 2, 3):
        progress = {"step": step, "best": None, "minutes": 0.5}
        checkpoints.save_state(tmp_path, step, {"model": [np.full((2, 3), step)]}, progress)
    newest, older = checkpoints.list_states(tmp_path)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    arrays, metadata = checkpoints.load_newest_state(tmp_path, {"model": [(2, 3)]})
    assert metadata["step"] == 2 and (arrays["model"][0] == 2).all()
    assert checkpoints.list_states(tmp_path) == [older] and newest.name in capsys.readouterr().out


@pytest.mark.parametrize("name", ["state-old.npz", "state-000000003-{0} (1).npz", "state-000000003-{0}-copy.npz"])
def test_a_copy_of_a_state_under_another_name_is_neither_read_nor_deleted(tmp_path, name):
    checkpoints.save_state(tmp_path, 3, {"model": [np.zeros(2)]}, {"step": 3, "best": None, "minutes": 0.5})
    state, = checkpoints.list_states(tmp_path)
    copy = shutil.copy(state, tmp_path / name.format(state.stem[-12:]))
    assert checkpoints.find_newest_step(tmp_path) == 3
    for step in (4, 5):
        checkpoints.save_state(tmp_path, step, {"model": [np.zeros(2)]}, {"step": step, "best": None, "minutes": 0.5})
    assert checkpoints.load_newest_state(tmp_path, {"model": [(2,)]})[1]["step"] == 5 and copy.exists()


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_good_state(home):
    done(stage("train", home, *CNN, "--steps", "2"))
    run = home / "checkpoints/demo/a"
    put_huge_numbers_into(max(run.glob("state-*.npz")))
    result = stage("train", home, *CNN, "--steps", "9")
    assert result.returncode == 1 and "step 3" in result.stderr and str(run) in result.stderr
    assert len(list(run.glob("state-*.npz"))) == 1 and (run / "best.npz").exists()


def put_huge_numbers_into(path):
    """Put numbers that overflow into a state's weights, under a name that says that the file is undamaged."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name in arrays:
        if name.startswith("model/") and arrays[name].dtype == np.float32:
            arrays[name][:] = 1e38
    path.unlink()
    np.savez(path, **arrays)
    path.rename(path.with_name(f"{path.stem[:-12]}{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}.npz"))


def test_a_diverging_run_is_stopped_and_keeps_its_best_weights(home, monkeypatch):
    scores = iter([0.1, 0.05, 0.14, 0.16])
    monkeypatch.setattr(trainer, "evaluate_holdout", lambda *_: {"holdout_rmse": next(scores)})
    result = stage("train", home, *CNN, "--steps", "40")
    assert result.returncode == 1 and "step 12" in result.stderr and "--learning-rate" in result.stderr
    with np.load(home / "checkpoints/demo/a/best.npz") as best:
        assert json.loads(best["facts"].tobytes()) == {"step": 4, "holdout_rmse": 0.05}


def test_an_error_that_is_not_finite_ends_the_run_and_keeps_a_history_that_can_be_read(home, monkeypatch):
    scores = iter([0.1, 0.05, float("nan")])
    monkeypatch.setattr(trainer, "evaluate_holdout", lambda *_: {"holdout_rmse": next(scores)})
    result = stage("train", home, *CNN, "--steps", "8")   # the last step of the budget, too
    assert result.returncode == 1 and "step 8" in result.stderr and "--learning-rate" in result.stderr
    folder = home / "checkpoints/demo/a"
    assert [line["step"] for line in History(folder / "history.csv").rows] == ["0", "4"]
    assert not checkpoints.list_states(folder)


def test_early_stopping_ends_a_run_and_a_larger_value_continues_it(home, monkeypatch):
    monkeypatch.setattr(trainer, "evaluate_holdout", lambda *_: {"holdout_rmse": next(scores)})
    budget, folder = ("--steps", "20", "--evaluate-every", "2", "--save-minutes", "0"), home / "checkpoints/demo/a"
    for number, wanted in (("2", "8"), ("2", "8"), ("3", "10"), ("0", "20")):
        scores = iter([0.1, 0.09, 0.08, 0.085, 0.082, 0.081, *([0.07] * 9)][int(read_last_step(folder)) // 2 + 1:])
        done(stage("train", home, *CNN, *budget, "--early-stopping", number))
        assert read_last_step(folder) == wanted
    assert checkpoints.read_metadata(folder / "best.npz")["step"] == 12


def read_last_step(folder):
    path = folder / "history.csv"
    return path.read_text().splitlines()[-1].split(",")[0] if path.exists() else "-2"


def test_the_result_says_what_was_gained_on_the_starting_point(home):
    flags = (*CNN, "--start", "harmonic", "--steps", "4", "--evaluate-every", "2")
    nothing = done(stage("train", home, *flags, "--learning-rate", "1e-8"))
    assert "equals the starting point (harmonic fill)" in nothing
    learned = done(stage("train", home, *flags, "--start", "none", "--force"))
    assert "the starting point (untrained network" in learned


@pytest.mark.parametrize("change", [{"model": "../../x"}, {"steps": "many"}, {"colour": 1}], ids=str)
def test_unknown_stored_settings_are_refused(tmp_path, change):
    settings = Settings(home=str(tmp_path), run="a", model="cnn")
    run_file.save_trained(settings.run_folder, weight_settings(settings) | change)
    with pytest.raises(UserError, match=rf"run\.toml.*{next(iter(change))}"):
        run.load_run_settings(settings)


@pytest.mark.parametrize("arrays", [{"facts": np.frombuffer(b"{}", np.uint8), "model/00000": np.zeros(3)},
                                    {"facts": np.array([{"run": print}], dtype=object)}], ids=["other shapes", "code"])
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path, arrays):
    path = tmp_path / "best.npz"
    np.savez(path, allow_pickle=True, **arrays)
    with pytest.raises(UserError, match=str(path)):
        checkpoints.read_checkpoint(path, {"model": [(3,), (4, 4)]})
