"""The kaggle command itself: which one is started, where its token comes from, other versions, and what is never printed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.kaggle_home import KAGGLE, Machine, make_tiny_competition
from support.kaggle_server import KEY, TOKEN, USER

from pixmend import subprocesses
from pixmend.kaggle import client

TINY = make_tiny_competition()
REAL = Path(KAGGLE) if KAGGLE else Path(sys.executable).with_name("kaggle")

# Another kaggle, which does not know -W, has no submission-limits and no JSON, and warns before each answer.
OTHER = f"""
import os, sys
if "-W" in sys.argv:
    sys.exit(print("kaggle: error: unrecognized arguments: -W", file=sys.stderr) or 2)
if "submission-limits" in sys.argv:
    sys.exit(print("kaggle competitions: error: invalid choice: 'submission-limits'", file=sys.stderr) or 2)
if "--format" in sys.argv:
    sys.exit(print("kaggle: error: unrecognized arguments: --format json", file=sys.stderr) or 2)
print("Warning: something new, and, it has, commas", flush=True)
os.environ.pop("PYTHONPATH" if {bool(KAGGLE)} else "", None)
os.execv({str(REAL)!r}, [{str(REAL)!r}, *sys.argv[1:]])
"""
OTHER_FLAGS = "import sys; sys.exit(print('kaggle: error: unrecognized arguments: -c', file=sys.stderr) or 2)"
TALKS = f"import sys; print('token={TOKEN} key={KEY}'); sys.exit('failed for {TOKEN} and {KEY}')"
BROKEN = "raise ModuleNotFoundError(\"No module named 'six'\")"


@pytest.fixture
def machine(machine):
    machine.put_entry(TINY)
    return machine


def test_command_with_fewer_flags(machine, server):
    machine.use_command(OTHER)
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 1


COMMANDS = [(None, "not installed"), (BROKEN, "No module named 'six'"), (OTHER_FLAGS, "other flags"),
            ("import time; time.sleep(600)", "3 seconds"), (TALKS, "failed for *** and ***")]


@pytest.mark.parametrize(("script", "words"), COMMANDS)
def test_unusable_command_is_one_line(machine, server, script, words):
    machine.use_command(script)
    code, output = machine.run("submit", "--run", "a", "--kaggle-timeout", "3")
    assert code == 1 and words in output and len(output.splitlines()) == 1
    assert server.submissions == [] and not machine.left_running()


def test_token_is_masked_wherever_it_is_stored(machine):
    machine.use_command(TALKS)
    machine.use_key()
    assert "failed for *** and ***" in machine.run("submit", "--run", "a")[1]


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("KAGGLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(path, text, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_tokens_are_found_in_kaggles_order(home, monkeypatch):
    assert client.find_token() is None
    login = write(home / ".kaggle" / "credentials.json", '{"refresh_token": "r"}')
    assert client.find_token() == client.Token(login, False)
    key = write(home / ".kaggle" / "kaggle.json", '{"username": "u", "key": "k"}', 0o644)
    assert client.find_token() == client.Token(key, True)
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    assert client.find_token().location == "KAGGLE_USERNAME and KAGGLE_KEY"
    text = write(home / ".kaggle" / "access_token", TOKEN, 0o640)
    assert client.find_token() == client.Token(text, True)
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    assert client.find_token() == client.Token("KAGGLE_API_TOKEN", False)
    elsewhere = write(home / "token", TOKEN)
    monkeypatch.setenv("KAGGLE_API_TOKEN", elsewhere)
    assert client.find_token() == client.Token(elsewhere, False)


def test_key_in_the_newer_folder(home, monkeypatch):
    key = write(home / ".config" / "kaggle" / "kaggle.json", '{"username": "u", "key": "k"}')
    assert client.find_token() == client.Token(key, False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home / "nothing"))
    assert client.find_token() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_empty_file_is_no_token(home, text):
    write(home / ".kaggle" / "kaggle.json", text)
    write(home / ".kaggle" / "access_token", "\n")
    assert client.find_token() is None


def test_stages_never_import_kaggle():
    code = ("import sys, pixmend.stages.submit, pixmend.stages.doctor, pixmend.stages.download\n"
            "print([m for m in ('kaggle', 'pandas', 'keras', 'requests') if m in sys.modules])")
    seen = subprocesses.run_command([sys.executable, "-c", code], timeout=60)
    assert seen.out.strip() == "[]"


def test_child_and_its_children_end_together(tmp_path):
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]])"
    assert subprocesses.run_command([sys.executable, "-c", script, str(tmp_path)], timeout=1).code is None
    assert not Machine(tmp_path).left_running()


def test_child_does_nothing_whose_parent_has_died_already(tmp_path):
    other = str(os.getppid())   # not the parent of what this test starts
    subprocess.run([sys.executable, "-c", subprocesses.END_WITH_PARENT, other, "touch", str(tmp_path / "made")], check=True)
    assert not (tmp_path / "made").exists()


def test_child_that_prints_is_not_stopped():
    script = "import sys, time\nfor i in range(4): print(i, flush=True); time.sleep(0.5)"
    heard = []
    ended = subprocesses.run_command([sys.executable, "-c", script], timeout=1.9, on_output=heard.append)
    assert ended.code == 0 and "".join(heard) == ended.out == "0\n1\n2\n3\n"
