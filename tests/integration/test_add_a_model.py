"""docs/add-a-model.md, followed literally in a copy of the package."""

import dataclasses
import re
import shlex
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from support.stages import ROOT, clean_environment

from pixmend.networks.registry import NetworkSpec

PAGE = (ROOT / "docs" / "add-a-model.md").read_text()
RUN_ALL = "import sys; from pixmend.__main__ import main\nfor line in sys.stdin:\n    assert main(line.split()) == 0, line"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder in which all commands of the page have run, with a package that has the page's network."""
    folder = tmp_path_factory.mktemp("added")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    file, entry = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    (folder / re.search(r"Save this as `(.*)`", PAGE)[1]).write_text(file)
    registry = folder / re.search(r"Add it to `NETWORKS` in `(.*)`", PAGE)[1]
    text = registry.read_text()
    start = re.search(r"^NETWORKS\b.*\{\n", text, re.M).end()
    registry.write_text(text[:start] + entry + text[start:])
    commands = re.findall(r"^pixmend (.*)$", PAGE, re.M)
    result = subprocess.run([sys.executable, "-c", RUN_ALL], cwd=folder, capture_output=True, text=True,
                            input="".join(f"{command} --home {shlex.quote(str(folder))} --quiet\n" for command in commands),
                            env=clean_environment() | {"PYTHONPATH": str(folder / "src")})
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


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
