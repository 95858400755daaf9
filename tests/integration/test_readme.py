"""The README's commands, run in its order as they stand there, only smaller."""

import re
import shutil
import subprocess

import pytest
from support.kaggle_home import SLUG, Machine, make_tiny_competition
from support.kaggle_server import KEY, TOKEN, KaggleServer
from support.stages import ROOT

pytestmark = pytest.mark.long
README = (ROOT / "README.md").read_text()
SMALLER = "--size 32 --width 4 --steps 2 --batch-size 2 --evaluate-every 1 --evaluation-images 4"


def find_commands():
    blocks = re.findall(r"^```\n(.*?)^```", README, re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if re.match(r"(LAMBDA=\d+ )?(\./run_pipeline|pixmend|kaggle )", line)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A user with a token, accepted rules, and the project's own environment."""
    tiny = make_tiny_competition()
    with KaggleServer(SLUG, tiny.archive, tiny.solution) as server:
        yield Machine(tmp_path_factory.mktemp("user"), server)


def run(machine, command):
    shell = f"cd {ROOT} && source ./set_up.sh base && {command} --home {machine.home} {SMALLER}"
    return subprocess.run(["bash", "-c", shell], env=machine.environment(), capture_output=True, text=True)


def test_every_command_of_the_readme_works_in_its_order(machine):
    listed = find_commands()
    assert len(listed) >= 6
    for command in listed:
        result = run(machine, command)
        assert result.returncode == 0 and "Traceback" not in result.stderr, command + "\n" + result.stdout + result.stderr


def test_the_submission_of_the_readme_reached_kaggle_once(machine):
    assert len(machine.server.submissions) == 1


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed here")
def test_nothing_that_a_run_writes_is_tracked():
    tracked = subprocess.run(["git", "ls-files", "competition", "augment", "checkpoints", "submissions"], cwd=ROOT,
                             capture_output=True, text=True, check=True).stdout.split()
    assert all(path.endswith("README.md") for path in tracked)


def test_the_token_is_in_nothing_that_a_run_wrote(machine):
    written = [path for path in machine.home.rglob("*") if path.is_file()]
    assert len(written) > 30
    assert not [path for path in written if any(secret.encode() in path.read_bytes() for secret in (TOKEN, KEY))]
