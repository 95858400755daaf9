"""The score of what earlier stages left, on a machine that lacks something."""

import shutil

import pytest
from conftest import SMALL, done, stage

from src import leaderboard

FILL = (*SMALL, "--model", "harmonic", "--run", "harmonic")


@pytest.fixture(scope="module")
def serialized_home(prepared_home, tmp_path_factory):
    """A home with a fill's files, not scored yet; copy it before writing to it."""
    home = tmp_path_factory.mktemp("serialized") / "home"
    shutil.copytree(prepared_home, home)
    for name in ("train", "predict", "serialize"):
        done(stage(name, home, *FILL))
    return home


@pytest.fixture
def serialized(serialized_home, tmp_path):
    shutil.copytree(serialized_home, tmp_path / "home")
    return tmp_path / "home"


def row_of(home):
    row, = leaderboard.read(home / "submissions/demo/leaderboard.csv")
    return row


def test_where_git_is_not_installed_the_score_stands_without_a_commit(serialized, tmp_path):
    done(stage("score", serialized, *FILL, env={"PATH": str(tmp_path)}))
    row = row_of(serialized)
    assert row["commit"] == "" and float(row["holdout_rmse"]) > 0
