"""docs/add-a-competition.md, followed literally in a copy of the package."""

import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from support.stages import ROOT, clean_environment

from pixmend.competitions.base import Competition
from pixmend.competitions.synthetic import SyntheticCompetition

PAGE = (ROOT / "docs" / "add-a-competition.md").read_text()
RUN_ALL = "import sys; from pixmend.__main__ import main\nfor line in sys.stdin:\n    assert main(line.split()) == 0, line"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder in which all commands of the page have run, with a package that has the page's competition."""
    folder = tmp_path_factory.mktemp("added")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    file, line = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    (folder / re.search(r"Save this as `(.*)`", PAGE)[1]).write_text(file)
    registry = folder / re.search(r"Add it to `COMPETITIONS` in `(.*)`", PAGE)[1]
    text = registry.read_text()
    start = re.search(r"^COMPETITIONS\b.*\{\n", text, re.M).end()
    registry.write_text(text[:start] + line + text[start:])
    commands = re.findall(r"^pixmend (.*)$", PAGE, re.M)
    result = subprocess.run([sys.executable, "-c", RUN_ALL], cwd=folder, capture_output=True, text=True,
                            input="".join(f"{command} --home {shlex.quote(str(folder))} --quiet\n" for command in commands),
                            env=clean_environment() | {"PYTHONPATH": os.pathsep.join([str(folder / "src")])})
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_the_pages_commands_write_a_scored_submission(home):
    board = pd.read_csv(home / "submissions/stripes/leaderboard.csv")
    assert board.run.tolist() == ["filled"] and 0 < board.l1[0] < board.holdout_rmse[0] < 0.3
    submission, solution = (pd.read_csv(path) for path in (home / "submissions/stripes/filled.csv", home / "competition/stripes/solution.csv"))
    assert submission.pixel.tolist() == solution.pixel.tolist()


def test_the_page_lists_every_method_and_field():
    hooks = {name for cls in (Competition, SyntheticCompetition) for name, value in vars(cls).items()
             if inspect.isfunction(value) and not name.startswith("_")}
    fields = {"slug", "submission", "defaults", "metrics"}
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.M))
    assert listed == hooks | fields
