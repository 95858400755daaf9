"""Killed at every write and at random moments, the same command ends with the same bytes as an undisturbed run."""

import hashlib
import json
import random
import shutil
import signal

import numpy as np
import pytest
from support.crashes import killed_at, newest_state, outcome, writes
from support.stages import SMALL, done, stage, start_stage

from pixmend.cli import main
from pixmend.errors import UserError

TRAIN = (*SMALL, "--steps", "12", "--ema-decay", "0.9", "--save-minutes", "0", "--run", "a")


@pytest.fixture(scope="module")
def undisturbed(prepared_home, tmp_path_factory):
    """The whole journey once, without a crash."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(prepared_home, home)
    for name in ("train", "predict", "serialize"):
        done(stage(name, home, *TRAIN))
    return home


def check_every_write(name, before, undisturbed, tmp_path, numbers):
    """Kill the stage before each of these writes, run it again, and compare all that it leaves."""
    for number in numbers:
        home = tmp_path / f"{name}{number}"
        shutil.copytree(before, home)
        assert killed_at(number, name, home, *TRAIN), number
        done(stage(name, home, *TRAIN))
        left, wanted = outcome(home), outcome(undisturbed)
        assert left == {path: wanted[path] for path in left}, f"{name} killed before write {number}"
        assert not [path for path in left if path.endswith(".part")]
        shutil.rmtree(home)


def before(name, undisturbed, tmp_path):
    """The undisturbed home with what this stage and later ones made taken away."""
    home = tmp_path / f"before-{name}"
    shutil.copytree(undisturbed, home)
    made = {"download": ["competition", "augment", "checkpoints", "submissions"],
            "augment": ["augment", "checkpoints", "submissions"],
            "train": ["checkpoints", "submissions"], "predict": ["submissions"], "serialize": ["submissions"]}
    for folder in made[name]:
        shutil.rmtree(home / folder, ignore_errors=True)
    for path in home.glob("checkpoints/*/*/serialize.json"):
        path.unlink()
    if name == "predict":
        for path in [*home.glob("checkpoints/*/*/predict.json"), *home.glob("checkpoints/*/*/[ht]*.npz")]:
            path.unlink()
    return home


@pytest.mark.parametrize("name", ["download", "augment", "serialize"])
def test_killed_at_some_writes_the_next_run_ends_as_undisturbed(name, undisturbed, tmp_path):
    ready = before(name, undisturbed, tmp_path)
    shutil.copytree(ready, tmp_path / "count")
    number = writes(name, tmp_path / "count", *TRAIN)
    check_every_write(name, ready, undisturbed, tmp_path, [2, number // 2, number])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["download", "augment", "train", "predict", "serialize"])
def test_killed_at_every_write_the_next_run_ends_as_undisturbed(name, undisturbed, tmp_path):
    ready = before(name, undisturbed, tmp_path)
    shutil.copytree(ready, tmp_path / "count")
    number = writes(name, tmp_path / "count", *TRAIN)
    assert number >= 4
    check_every_write(name, ready, undisturbed, tmp_path, range(1, number + 1))


def kill_train_at_random(undisturbed, tmp_path, kills, seed):
    """Kill one training again and again at random writes until it is done; then everything must be as undisturbed."""
    home, draw, dead = before("train", undisturbed, tmp_path), random.Random(seed), 0
    while dead < kills and killed_at(draw.randint(3, 22), "train", home, *TRAIN):
        dead += 1
    done(stage("train", home, *TRAIN))
    wanted = undisturbed / "checkpoints" / "demo" / "a"
    assert newest_state(home / "checkpoints" / "demo" / "a") == newest_state(wanted)
    left, whole = outcome(home), outcome(undisturbed)
    assert left == {path: whole[path] for path in left}
    return dead


@pytest.mark.slow
def test_training_killed_again_and_again_ends_with_the_same_bytes(undisturbed, tmp_path):
    assert kill_train_at_random(undisturbed, tmp_path, kills=4, seed=1) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_training_killed_a_hundred_times(undisturbed, tmp_path, seed):
    assert kill_train_at_random(undisturbed, tmp_path, kills=9, seed=seed) >= 4


LONG = (*SMALL, "--steps", "100000", "--run", "a")


def training_started(home):
    """A training process that has looked at the holdout once, and its run folder."""
    process, run = start_stage("train", home, *LONG), home / "checkpoints" / "demo" / "a"
    while not (run / "history.csv").exists() and process.poll() is None:
        pass
    return process, run


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(home, asked):
    process, run = training_started(home)
    process.send_signal(asked)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on from here" in told and "Traceback" not in told
    arrays, step, best = newest_state(run)
    assert arrays and step < 100000 and np.isfinite(best)


def test_a_damaged_newest_state_is_named_and_the_one_before_is_taken(undisturbed, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(undisturbed, home)
    run = home / "checkpoints" / "demo" / "a"
    newest = max(run.glob("state-*.npz"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    wanted = newest_state(undisturbed / "checkpoints" / "demo" / "a")
    told = done(stage("train", home, *TRAIN))
    assert newest.name in told and "damaged" in told
    newest_again = newest_state(run)
    assert newest_again[1:] == wanted[1:] and newest_again[0] == wanted[0]


def test_two_runs_at_once_in_one_folder_the_second_is_told(home):
    first, _ = training_started(home)
    second = stage("train", home, *LONG)
    first.kill()
    first.communicate()
    assert second.returncode == 1 and "in use by another run" in second.stderr


def test_a_loss_that_is_no_number_stops_names_the_step_and_keeps_the_last_good_state(home):
    good = (*SMALL, "--precision", "float32", "--run", "a")
    done(stage("train", home, *good, "--steps", "2"))
    run = home / "checkpoints" / "demo" / "a"
    path = max(run.glob("state-*.npz"))
    poison(path)
    result = stage("train", home, *good, "--steps", "9")
    assert result.returncode == 1
    assert "no longer a number at step 3" in result.stderr and "--learning-rate" in result.stderr
    assert "Traceback" not in result.stderr
    assert len(list(run.glob("state-*.npz"))) == 1 and (run / "best.npz").exists()


def test_a_training_that_blows_up_stops_names_the_step_and_keeps_the_best(home):
    result = stage("train", home, *SMALL, "--precision", "float32", "--learning-rate", "1", "--steps", "40", "--run", "a")
    assert result.returncode == 1
    assert "blown up" in result.stderr and "at step" in result.stderr and "--learning-rate" in result.stderr
    with np.load(home / "checkpoints/demo/a/best.npz") as best:
        assert json.loads(best["facts"].tobytes())["holdout_rmse"] < 0.2


@pytest.mark.parametrize("change", [{"model": "../../x"}, {"steps": "many"}, {"colour": 1}], ids=str)
def test_settings_that_this_version_does_not_know_are_named(undisturbed, tmp_path, change):
    home = tmp_path / "home"
    shutil.copytree(undisturbed, home)
    path = home / "checkpoints" / "demo" / "a" / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=rf"settings\.json .*{next(iter(change))}"):
        main(["predict", "--home", str(home), *TRAIN, "--force"])


def poison(path):
    """Put an infinity into a state's first weights, under a name that says it is whole."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["model/00000"][:] = np.inf
    path.unlink()
    np.savez(path, **arrays)
    path.rename(path.with_name(f"{path.stem[:-12]}{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}.npz"))


def test_a_checkpoint_of_other_shapes_or_with_code_in_it_is_refused(undisturbed, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(undisturbed, home)
    best = home / "checkpoints" / "demo" / "a" / "best.npz"
    for arrays, told in (({"facts": np.frombuffer(b"{}", np.uint8), "model/00000": np.zeros(3)}, "damaged"),
                         ({"facts": np.array([{"run": print}], dtype=object)}, "damaged")):
        np.savez(best, allow_pickle=True, **arrays)
        with pytest.raises(UserError, match=rf"best\.npz .*{told}"):
            main(["predict", "--home", str(home), *TRAIN, "--force"])
