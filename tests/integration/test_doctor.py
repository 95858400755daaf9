"""What the doctor tells a first-timer: a tick or the next step for each thing, and one exit code for all."""

import io
import zipfile

import pytest
from support.kaggle_home import SLUG, Machine, tiny_contest
from support.kaggle_server import RULES, KaggleServer

TINY = tiny_contest()
RULES_PAGE = f"https://www.kaggle.com/competitions/{SLUG}/rules"


@pytest.fixture
def server():
    with KaggleServer(SLUG, TINY.archive, TINY.solution) as server:
        yield server
        assert "CONNECT" not in server.calls


@pytest.fixture
def machine(tmp_path, server):
    """A machine whose Keras does not start at once, so that only tests of the backend wait for it."""
    return Machine(tmp_path, server, backend="none-such")


def lines(read, word):
    return [line for line in read.splitlines() if word in line]


def test_a_machine_that_has_everything(tmp_path, server):
    machine = Machine(tmp_path, server)
    machine.put_archive(TINY.archive)
    machine.run("download")
    code, read = machine.run("doctor")
    assert code == 0, read
    assert not lines(read, "\u2717") and "All that photo_reconstruction needs is there." in read
    for word in ("Python 3", "Packages", "Disk", "Memory", "Cores", "Backend: tensorflow", "26 in", "kaggle command",
                 "for nobody else to read", "rules are accepted", "left today: 5"):
        assert lines(read, word)[0].startswith("\u2713"), (word, read)
    assert server.submissions == []


def test_a_fresh_machine_is_told_each_next_step(tmp_path, server):
    machine = Machine(tmp_path, server, token=False, backend="none-such")
    code, read = machine.run("doctor")
    assert code == 1 and server.calls == []
    assert "python -m pixmend download" in lines(read, "\u2717 Competition files")[0]
    assert "kaggle.com/settings/api" in lines(read, "\u2717 Kaggle token")[0]
    assert "pip install" in lines(read, "\u2717 Backend")[0]


TROUBLES = [
    ("status", 403, RULES, RULES_PAGE),
    ("status", 403, None, RULES_PAGE),
    ("status", 401, None, "does not take the token of"),
    pytest.param("status", 404, None, "knows no such competition", marks=pytest.mark.slow),
    pytest.param("hang", 0, None, "no sign of life", marks=pytest.mark.slow),
    pytest.param("drop", 0, None, "could not be reached", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "status", "message", "words"), TROUBLES)
def test_what_bars_the_way_to_kaggle(machine, server, kind, status, message, words):
    server.trouble("DownloadDataFiles", kind, status, message=message)
    code, read = machine.run("doctor", "--kaggle-timeout", "4")
    assert code == 1 and words in lines(read, "\u2717 Kaggle")[0] and not machine.left_running()


def test_a_token_that_others_can_read(machine):
    machine.use_key()
    code, read = machine.run("doctor")
    assert code == 1 and "chmod 600" in lines(read, "\u2717 Kaggle token")[0]
    assert lines(read, "\u2713 Kaggle: photo-reconstruction is reachable")


@pytest.mark.slow
def test_no_submissions_left_is_told(machine, server):
    server.daily_limit = 0
    server.submissions.append({"looks": 0})
    assert "none" in lines(machine.run("doctor")[1], "Submissions left today")[0]


def test_files_that_went_missing(machine):
    machine.put_archive(TINY.archive)
    machine.run("download")
    name = zipfile.ZipFile(io.BytesIO(TINY.archive)).namelist()[0]
    (machine.competition / "files" / name).unlink()
    assert lines(machine.run("doctor")[1], "\u2717 Competition files")


def test_the_demo_needs_no_kaggle(tmp_path, server):
    machine = Machine(tmp_path, server, token=False, backend="none-such")
    read = machine.run("doctor", competition="demo")[1]
    assert "demo needs none" in lines(read, "\u2013 Kaggle token")[0] and server.calls == []
