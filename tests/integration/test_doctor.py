"""`pixmend doctor`: a tick or the next step for each thing, and one exit code for all."""

import io
import json
import re
import shutil
import zipfile

import pytest
from support.kaggle_home import SLUG, Machine, make_tiny_competition
from support.kaggle_server import RULES, TOKEN

from pixmend.stages import doctor

TINY = make_tiny_competition()
RULES_PAGE = f"https://www.kaggle.com/competitions/{SLUG}/rules"


@pytest.fixture
def machine(tmp_path, server):
    """A machine whose Keras fails at once, so that only tests of the backend wait for it."""
    return Machine(tmp_path, server, backend="none-such")


def find_lines(output, word):
    return [line for line in output.splitlines() if word in line]


def test_complete_machine(tmp_path, server):
    machine = Machine(tmp_path, server)
    machine.put_archive(TINY.archive)
    machine.run("download")
    code, output = machine.run("doctor")
    has_space = shutil.disk_usage(tmp_path).free >= 6e9
    assert code == (0 if has_space else 1), output
    assert len(find_lines(output, "\u2717")) == (0 if has_space else 1) and len(output.splitlines()) > 10
    assert find_lines(output, "Disk")[0].startswith("\u2713" if has_space else "\u2717")
    for word in ("Python 3", "Packages", "Memory", "Cores", "Backend: tensorflow", "26 in", "kaggle command",
                 "private", "rules are accepted", "left today: 5"):
        assert find_lines(output, word)[0].startswith("\u2713"), (word, output)
    assert re.search(r"kaggle command: \d+\.\d+", output)
    assert server.submissions == []


def test_fresh_machine_gets_the_next_steps(tmp_path, server):
    machine = Machine(tmp_path, server, token=False, backend="none-such")
    code, output = machine.run("doctor")
    assert code == 1 and server.calls == []
    assert "pixmend download" in find_lines(output, "\u2717 Competition files")[0]
    assert "kaggle.com/settings/api" in find_lines(output, "\u2717 Kaggle token")[0]
    assert "set_up.sh" in find_lines(output, "\u2717 Backend")[0]


TROUBLES = [
    ("status", 403, RULES, RULES_PAGE),
    ("status", 403, None, RULES_PAGE),
    ("status", 401, None, "does not accept the token"),
    pytest.param("status", 404, None, "404", marks=pytest.mark.slow),
    pytest.param("hang", 0, None, "4 seconds", marks=pytest.mark.slow),
    pytest.param("drop", 0, None, "could not be reached", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "status", "message", "words"), TROUBLES)
def test_obstacle_on_the_way_to_kaggle(machine, server, kind, status, message, words):
    server.trouble("DownloadDataFiles", kind, status, message=message)
    code, output = machine.run("doctor", "--kaggle-timeout", "4")
    assert code == 1 and words in find_lines(output, "\u2717 Kaggle")[0] and not machine.left_running()


def test_token_that_others_can_read(machine):
    machine.use_key()
    code, output = machine.run("doctor")
    assert code == 1 and "chmod 600" in find_lines(output, "\u2717 Kaggle token")[0]
    assert find_lines(output, "\u2713 Kaggle: photo-reconstruction is reachable")


def test_login_in_the_browser_is_a_token(machine):
    folder = machine.private / ".kaggle"
    (folder / "access_token").unlink()
    (folder / "credentials.json").write_text(json.dumps({
        "refresh_token": "refresh-token-of-a-test", "access_token": TOKEN, "username": "someone",
        "access_token_expiration": "2999-01-01T00:00:00+00:00", "scopes": ["resources.admin:*"]}))
    (folder / "credentials.json").chmod(0o600)
    output = machine.run("doctor")[1]
    assert "kaggle auth login" in find_lines(output, "\u2713 Kaggle token")[0]
    assert find_lines(output, "\u2713 Kaggle: photo-reconstruction is reachable")


@pytest.mark.slow
def test_no_submissions_left(machine, server):
    server.daily_limit = 0
    server.submissions.append({"looks": 0})
    assert "none" in find_lines(machine.run("doctor")[1], "Submissions left today")[0]


def test_missing_files(machine):
    machine.put_archive(TINY.archive)
    machine.run("download")
    name = zipfile.ZipFile(io.BytesIO(TINY.archive)).namelist()[0]
    (machine.competition / "files" / name).unlink()
    assert find_lines(machine.run("doctor")[1], "\u2717 Competition files")


def test_the_demo_needs_no_kaggle(tmp_path, server):
    machine = Machine(tmp_path, server, token=False, backend="none-such")
    output = machine.run("doctor", competition="demo")[1]
    assert "demo needs none" in find_lines(output, "\u2013 Kaggle token")[0] and server.calls == []


def test_gpu_that_the_environment_cannot_use(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(doctor, "BACKEND_PROGRAM", "print('backend: tensorflow | ')")
    output = Machine(tmp_path, token=False).run("doctor", competition="demo")[1]
    assert "./set_up.sh cuda" in find_lines(output, "Backend")[0]


@pytest.mark.parametrize(("version", "mark"), [((3, 10, 1), "\u2717"), ((3, 11, 7), "\u2713"),
                                               ((3, 13, 0), "\u2713"), ((3, 14, 0), "\u2717")])
def test_python_versions(monkeypatch, version, mark):
    monkeypatch.setattr(doctor.sys, "version_info", version)
    assert next(doctor.check_python(None, None))[0] == mark


def test_packages_are_compared_with_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.config, "CHECKOUT", tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy==0.1 \\\n    --hash=sha256:0\nno-such-transitive-one==1.0\n")
    results = list(doctor.check_packages(None, None))
    assert [mark for mark, _ in results] == ["\u2717"] and "numpy" in results[0][1]
