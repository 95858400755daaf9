"""docs/add-a-model.md, followed literally in a copy of the package."""

import dataclasses
import re

import pandas as pd
import pytest
from support.documentation import follow_page, read_page

from pixmend.networks.registry import NetworkSpec

PAGE = read_page("add-a-model.md")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder in which all commands of the page have run, with a package that has the page's network."""
    return follow_page(PAGE, "NETWORKS", tmp_path_factory.mktemp("added"))


def test_commands_of_the_page_write_a_scored_submission(home):
    board = pd.read_csv(home / "submissions/demo/leaderboard.csv")
    assert board.run.tolist() == ["three"] and 0 < board.holdout_rmse[0] < 0.3
    assert (home / "submissions/demo/three.csv").stat().st_size > 0


def test_run_begins_at_its_fill_and_learns(home):
    history = pd.read_csv(home / "checkpoints/demo/three/history.csv")
    assert history.step.tolist()[0] == 0
    assert history.holdout_rmse.iloc[-1] != history.holdout_rmse[0]
    assert history.holdout_rmse[0] < 0.12   # without a fill, an untrained network is at 0.3 or more


def test_page_lists_every_field():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.M) == [field.name for field in dataclasses.fields(NetworkSpec)]
