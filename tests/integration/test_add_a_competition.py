"""docs/add-a-competition.md, followed literally in a copy of the package."""

import inspect
import re

import pandas as pd
import pytest
from support.documentation import follow_page, read_page

from pixmend.competitions.base import Competition
from pixmend.competitions.synthetic import SyntheticCompetition

PAGE = read_page("add-a-competition.md")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder in which all commands of the page have run, with a package that has the page's competition."""
    return follow_page(PAGE, "COMPETITIONS", tmp_path_factory.mktemp("added"))


def test_the_pages_commands_write_a_scored_submission(home):
    board = pd.read_csv(home / "submissions/stripes/leaderboard.csv")
    assert board.run.tolist() == ["filled"] and 0 < board.l1[0] < board.holdout_rmse[0] < 0.3
    submission = pd.read_csv(home / "submissions/stripes/filled.csv")
    solution = pd.read_csv(home / "competition/stripes/solution.csv")
    assert submission.pixel.tolist() == solution.pixel.tolist()


def test_the_page_lists_every_method_and_field():
    hooks = {name for cls in (Competition, SyntheticCompetition) for name, value in vars(cls).items()
             if inspect.isfunction(value) and not name.startswith("_")}
    fields = {"slug", "submission", "defaults", "model_defaults", "metrics"}
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.M))
    assert listed == hooks | fields
