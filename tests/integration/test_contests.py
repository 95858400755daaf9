"""`pixmend contests` and `pixmend clean`: what a home holds, and what can be deleted without a loss."""

import fcntl
import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.stages import SMALL, done, stage

from pixmend import files, run_file
from pixmend.home import DELETABLE, measure_size

pytestmark = pytest.mark.long
DEAD = 2**22 + 1   # above the largest number that Linux gives a process


@pytest.fixture
def home(prepared_home, tmp_path):
    """A home of its own with a trained run, its submission and its score."""
    shutil.copytree(prepared_home, tmp_path / "home", symlinks=True)
    for command, *flags in (("train", *SMALL, "--steps", "4"), ("predict",), ("serialize",), ("score",)):
        done(stage(command, tmp_path / "home", *flags, "--run", "small"))
    return tmp_path / "home"


def list_files(home):
    return {path for path in home.rglob("*") if path.is_file() and path.name != ".lock"}


def test_empty_home_is_said_to_be_empty(tmp_path):
    assert "no competitions" in done(stage("contests", tmp_path))
    assert "demo" not in done(stage("clean", tmp_path, "--delete", "states"))


def test_contests_lists_images_runs_and_scores(home):
    title, line = done(stage("contests", home)).splitlines()
    score = next(home.glob("submissions/demo/leaderboard.csv")).read_text().splitlines()[1].split(",")[1]
    images = len(np.load(home / "augment/demo/counts.npy", mmap_mode="r"))
    assert title.split()[:2] == ["competition", "images"]
    assert line.split()[:4] == ["demo", str(images), "1", "1"] and score in line and "(small)" in line


def test_run_of_folds_is_trained_when_all_folds_are(home):
    run = shutil.copytree(home / "checkpoints/demo/small", home / "checkpoints/demo/folded")
    stored = run_file.read_trained(run)
    run_file.save_trained(run, stored | {"folds": 2})
    (run / "fold-1").mkdir()
    (run / "best.npz").rename(run / "fold-1/best.npz")
    assert done(stage("contests", home)).splitlines()[1].split()[2:4] == ["2", "1"]
    shutil.copytree(run / "fold-1", run / "fold-2")
    assert done(stage("contests", home)).splitlines()[1].split()[2:4] == ["2", "2"]


def test_a_damaged_competition_hides_no_other(home):
    damaged = home / "augment/another/index.json"
    damaged.parent.mkdir()
    damaged.write_text("{}")
    (home / "augment/landscapes+hidden_areas").mkdir()
    (home / "augment/landscapes+hidden_areas/index.json").write_text('{"made_from": {}}')
    result = stage("contests", home)
    assert result.returncode == 1 and result.stdout.splitlines()[1].startswith("demo ")
    assert str(damaged.parent) in result.stderr and "Traceback" not in result.stderr
    assert "pixmend augment --competition landscapes --damage hidden_areas" in result.stderr


def test_what_another_command_deletes_meanwhile_is_not_counted(tmp_path, monkeypatch):
    (tmp_path / "building").mkdir()
    (tmp_path / "building/counts.npy").write_bytes(bytes(10**5))
    lstat = Path.lstat

    def delete_before(path):
        path.unlink(missing_ok=True)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", delete_before)
    assert measure_size(tmp_path) == 0


def test_nothing_is_deleted_unless_asked(home):
    before = list_files(home)
    output = done(stage("clean", home))
    there = re.search(r"--delete (\S+)", output)[1]
    assert list_files(home) == before and {"prepared", "unpacked"} <= set(there.split(",")) and "states" not in output
    assert "prepared" not in done(stage("clean", home, "--dry-run", "--delete", "unpacked"))
    assert stage("clean", home, "--delete", "state").returncode == 2
    assert stage("clean", home, "--competition", "missing_pixels", "--delete", "states").returncode == 1
    assert list_files(home) == before


def test_the_command_that_deletes_all_is_of_the_same_home_and_competition(home):
    output = done(stage("clean", home, "--competition", "demo"))
    words = shlex.split(re.search(r"pixmend (clean .*)", output)[1])
    assert words[words.index("--home") + 1] == str(home) and words[words.index("--competition") + 1] == "demo"


def test_unpacked_files_stay_where_their_archive_is_gone(home):
    next(home.glob("competition/demo/*.zip")).rename(home / "competition/demo/notes.zip")
    done(stage("clean", home, "--delete", "unpacked"))
    assert (home / "competition/demo/files").exists()


def test_what_was_deleted_is_made_again_by_the_same_commands(home):
    weights, csv = (home / "checkpoints/demo/small/best.npz"), (home / "submissions/demo/small.csv")
    kept = [path.read_bytes() for path in (weights, csv)]
    (home / "augment/demo/building").mkdir()
    (home / "checkpoints/demo/small/.state.part").write_bytes(b"half")
    here = files.identify_machine()
    (home / f"checkpoints/demo/small/.best.npz.{here}.{DEAD}.abcd_1.part").write_bytes(b"half")
    live = [home / f"submissions/demo/.leaderboard.csv.{here}.{os.getpid()}.abcd_1.part",   # a command is writing it now
            home / f"submissions/demo/.small.csv.012345.{DEAD}.abcd_1.part"]   # perhaps one on another machine with this home
    for path in live:
        path.write_bytes(b"half")
    done(stage("clean", home, "--delete", ",".join(DELETABLE)))
    assert not (home / "competition/demo/files").exists() and not list((home / "augment/demo").glob("*.npy"))
    assert sorted(home.rglob("*.part")) == live and [path.read_bytes() for path in (weights, csv)] == kept
    for command in ("download", "augment", "train", "predict", "serialize"):
        done(stage(command, home, "--run", "small"))
    assert [path.read_bytes() for path in (weights, csv)] == kept


def test_linked_files_of_a_competition_stay(home, tmp_path):
    link, elsewhere = home / "competition/demo/files", tmp_path / "elsewhere"
    link.rename(elsewhere)
    link.symlink_to(elsewhere)
    before = list_files(elsewhere)
    assert "unpacked" not in done(stage("clean", home, "--competition", "demo"))
    done(stage("clean", home, "--delete", "unpacked"))
    assert link.is_symlink() and list_files(elsewhere) == before


def test_unpacking_that_was_killed_leaves_nothing_for_good(home):
    parts = [home / "competition/demo" / name for name in (".files.part", ".files.old")]
    for part in parts:
        part.mkdir()
        (part / "image.png").write_bytes(bytes(10**6))
    assert "leftovers" in done(stage("clean", home))
    done(stage("clean", home, "--delete", "leftovers"))
    assert not any(part.exists() for part in parts) and (home / "competition/demo/files").exists()


def test_newest_state_stays(home):
    run = home / "checkpoints/demo/small"
    done(stage("train", home, *SMALL, "--steps", "8", "--run", "small"))
    states = sorted(run.glob("state-*.npz"))
    assert len(states) == 2
    done(stage("clean", home, "--delete", "states", "--competition", "demo"))
    assert list(run.glob("state-*.npz")) == states[1:]


@pytest.mark.parametrize("place", [
    "competition/demo", "augment/demo", "augment/demo+landscapes", "checkpoints/demo/small", "checkpoints/demo/first-training"])
def test_nothing_is_deleted_while_a_command_works_with_it(home, place):
    (home / place).mkdir(exist_ok=True)
    before = list_files(home)
    with open(home / place / ".lock", "a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert stage("clean", home, "--delete", "windows,unpacked").returncode == 1
    assert list_files(home) == before


def test_a_score_that_is_no_number_is_named_with_its_file(home):
    board = home / "submissions/demo/leaderboard.csv"
    board.parent.mkdir(parents=True, exist_ok=True)
    board.write_text('run,holdout_rmse\na,"0,1657"\n')
    result = stage("contests", home)
    assert str(board) in result.stdout + result.stderr and "Traceback" not in result.stderr
