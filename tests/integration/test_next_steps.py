"""An error names the next command: typed as it is shown, it leads on. Where there is no way back, the error says so."""

import os
import re
import shlex

import pytest
from support.stages import SMALL, done, stage

import pixmend
from pixmend import run_file
from pixmend.errors import UserError
from pixmend.training.history import History

FILL = ("--model", "harmonic", "--size", "32")


def fail(name, home, *flags):
    """Return the message of a stage that must fail without a traceback."""
    result = stage(name, home, *flags)
    assert result.returncode == 1 and "Traceback" not in result.stderr, result.stdout + result.stderr
    return result.stderr


def type_next_command(message):
    """Run the last command that a message names."""
    *_, command = re.findall(r"pixmend (?:download|augment|train|predict|serialize) [^;`\n]*", message)
    _, name, *flags = shlex.split(command.rstrip("."))
    home = flags.pop(flags.index("--home") + 1)
    flags.remove("--home")
    done(stage(name, home, *flags))


@pytest.mark.parametrize("flags", [("--run", "mine"), ()])
def test_commands_from_the_end_to_the_beginning_lead_to_a_trained_run(tmp_path, flags):
    flags = ("--competition", "landscapes", *FILL, "--holdout", "0.3", *flags)
    type_next_command(fail("augment", tmp_path, *flags))
    done(stage("augment", tmp_path, *flags))
    type_next_command(fail("predict", tmp_path, *flags, "--holdout", "0.2"))
    assert stage("predict", tmp_path, *flags, "--holdout", "0.2").returncode == 0


def test_another_competition_of_a_run_that_does_not_exist(home):
    assert "--competition landscapes" in fail("predict", home, "--competition", "landscapes", "--run", "mine")


@pytest.fixture
def mixed(home):
    """A home with a mix of two fills, made without a word on how their images were prepared."""
    for run in ("harmonic", "ring"):
        for name in ("train", "predict"):
            done(stage(name, home, "--model", run, "--size", "32", "--run", run))
    done(stage("ensemble", home, "--members", "harmonic,ring", "--run", "mixed"))
    return home


def test_a_mix_is_no_network_and_its_predictions_stay(mixed, tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_bytes(next(mixed.rglob("Testing_Data/**/*.png"), next(mixed.rglob("*.png"))).read_bytes())
    for name, flags in (("predict", ()), ("train", ()), ("mend", (picture, "--mask", picture, "--out", tmp_path / "out")),
                        ("export", ())):
        message = fail(name, mixed, *flags, "--run", "mixed")
        assert "pixmend ensemble --members harmonic,ring --run mixed" in message, message
    assert (mixed / "checkpoints/demo/mixed/test.npz").exists()
    done(stage("serialize", mixed, "--run", "mixed"))


@pytest.mark.long
def test_a_finished_training_without_its_weights_says_so(home):
    flags = (*SMALL, "--steps", "1", "--run", "a")
    done(stage("train", home, *flags))
    weights = home / "checkpoints/demo/a/best.npz"
    weights.unlink()
    assert "--force" in fail("train", home, *flags) and str(weights) in fail("train", home, *flags)
    done(stage("train", home, *flags, "--force"))
    done(stage("predict", home, "--run", "a"))


@pytest.mark.parametrize("text", ["", "junk\n", "step,minutes,holdout_rmse\n", "step,minutes\n0,0\n",
                                  "step,minutes,holdout_rmse\n4.5,0,1\n"])
def test_a_damaged_history_is_named(tmp_path, text):
    path = tmp_path / "a" / "history.csv"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match=str(path)):
        History(path).get_last("step")


@pytest.mark.parametrize("change", [lambda text: re.sub(r"^given = .*$", "given = 5", text, flags=re.MULTILINE),
                                    lambda text: text.replace("channels = 3", 'channels = "x"'),
                                    lambda text: text.replace("[common]", "[[common]]"),
                                    lambda text: text + "="])
def test_a_damaged_run_file_can_be_deleted_and_written_again(tmp_path, change):
    flags = (*FILL, "--run", "a")
    done(stage("configure", tmp_path, *flags))
    path = tmp_path / "checkpoints/demo/a" / run_file.RUN_FILE
    path.write_text(change(path.read_text()))
    message = fail("train", tmp_path, "--run", "a")
    assert str(path) in message and "delete it" in message and "pixmend configure" in message
    path.unlink()
    done(stage("configure", tmp_path, *flags))


def test_a_folder_whose_name_is_not_utf8_is_refused_before_it_is_stored(tmp_path):
    photos = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(photos)
    flags = ("--competition", "landscapes", "--photos", os.fsdecode(photos), "--run", "a")
    assert "UTF-8" in fail("configure", tmp_path / "home", *flags)
    assert not list((tmp_path / "home").rglob(run_file.RUN_FILE))


def test_a_name_where_what_it_names_is_wanted(tmp_path):
    with pytest.raises(UserError, match="load_run"):
        pixmend.mend(None, None, "a")
    with pytest.raises(UserError, match="landscapes"):
        pixmend.load_run("a", competition="landscape")
    with pytest.raises(UserError, match=str(tmp_path)):
        pixmend.load_run("a", home=str(tmp_path))


def test_a_run_without_its_flag(tmp_path):
    result = stage("predict", tmp_path, "mine")
    assert result.returncode == 2 and "--run mine" in result.stderr


def test_a_file_of_ones_own_is_not_to_be_written_by_serialize(home, tmp_path):
    solution = home / "competition/demo/solution.csv"
    for text in ("id;value\n", "\ufeff" + solution.read_text()):
        (tmp_path / "mine.csv").write_text(text, encoding="utf-8")
        message = fail("score", home, "--submission", tmp_path / "mine.csv", "--solution", solution)
        assert "mine.csv" in message and "serialize" not in message and "--competition" in message
