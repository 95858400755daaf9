"""Downloads through the real kaggle command from a Kaggle that fails: what is read, the exit code, what is on disk."""

import io
import signal
import zipfile

import pytest
from support.kaggle_home import SLUG, Machine, tiny_contest
from support.kaggle_server import RULES, KaggleServer

CONTEST = tiny_contest()
NAMES = sorted(zipfile.ZipFile(io.BytesIO(CONTEST.archive)).namelist())
MORE_THAN_A_CHUNK = 3 << 20  # kaggle writes a megabyte at a time


@pytest.fixture
def server():
    with KaggleServer(SLUG, CONTEST.archive, CONTEST.solution) as server:
        yield server
        assert "CONNECT" not in server.calls


@pytest.fixture
def machine(tmp_path, server):
    return Machine(tmp_path, server)


def whole(machine):
    zipped = machine.competition / f"{SLUG}.zip"
    return set(machine.unpacked()) >= set(NAMES) and zipped.read_bytes() == machine.server.archive


def with_ballast(data):
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("ballast", bytes(MORE_THAN_A_CHUNK))
    return out.getvalue()


def nothing_to_see(machine):
    """Neither an archive nor files where a later stage would look."""
    return {path.name for path in machine.competition.iterdir()} <= {".lock", ".download"}


def test_downloads_checks_and_unpacks_once(machine, server):
    code, read = machine.run("download")
    assert code == 0 and "26 files" in read and whole(machine)
    code, read = machine.run("download")
    assert code == 0 and "already" in read and server.calls.count("archive") == 1


def test_force_downloads_again(machine, server):
    machine.run("download")
    assert machine.run("download", "--force")[0] == 0
    assert whole(machine) and server.calls.count("archive") == 2


def test_a_lost_picture_comes_back_from_the_archive(machine, server):
    machine.run("download")
    (machine.competition / "files" / NAMES[0]).unlink()
    assert machine.run("download")[0] == 0
    assert whole(machine) and server.calls.count("archive") == 1


def test_the_archive_may_be_deleted_once_unpacked(machine, server):
    machine.run("download")
    (machine.competition / f"{SLUG}.zip").unlink()
    assert machine.run("download")[0] == 0 and server.calls.count("archive") == 1


REFUSALS = [
    ("DownloadDataFiles", 401, None, "does not take the token of"),
    ("DownloadDataFiles", 403, RULES, f"https://www.kaggle.com/competitions/{SLUG}/rules"),
    ("DownloadDataFiles", 403, None, "rules are not accepted yet"),
    pytest.param("DownloadDataFiles", 404, None, "knows no such competition", marks=pytest.mark.slow),
    ("DownloadDataFiles", 400, "Something unheard of", "answered: Something unheard of."),
    pytest.param("DownloadDataFiles", 429, None, "asks to wait", marks=pytest.mark.slow),
    pytest.param("IntrospectToken", 500, None, "Kaggle's server is in trouble", marks=pytest.mark.slow),
    ("archive", 403, None, "403"),
]


@pytest.mark.parametrize(("call", "status", "message", "words"), REFUSALS)
def test_a_refusal_is_a_sentence_and_leaves_nothing(machine, server, call, status, message, words):
    server.trouble(call, "status", status, message=message)
    code, read = machine.run("download")
    assert code == 1 and words in read and len(read.splitlines()) == 1
    assert nothing_to_see(machine)


def test_a_passing_trouble_is_sat_out(machine, server):
    server.trouble("DownloadDataFiles", "status", 503, times=1)
    assert machine.run("download")[0] == 0 and whole(machine)


LATER = [pytest.param(call, marks=pytest.mark.slow) for call in ("IntrospectToken", "DownloadDataFiles")]


@pytest.mark.parametrize("call", LATER + ["archive"])
def test_a_kaggle_that_never_answers_is_left(machine, server, call):
    server.trouble(call, "hang")
    code, read = machine.run("download", "--kaggle-timeout", "2")
    assert code == 1 and "no sign of life for 2 seconds" in read and nothing_to_see(machine)
    assert not machine.left_running()


def test_an_unreachable_kaggle(machine, server):
    server.trouble("DownloadDataFiles", "drop")
    code, read = machine.run("download")
    assert code == 1 and "could not be reached" in read and nothing_to_see(machine)


def test_a_connection_that_breaks_once_is_taken_up_by_itself(machine, server):
    server.archive = with_ballast(CONTEST.archive)
    server.trouble("archive", "cut", times=1)
    assert machine.run("download")[0] == 0
    assert whole(machine) and server.starts[0] == 0 < server.starts[1]


def test_a_connection_that_always_breaks_is_taken_up_by_the_next_run(machine, server):
    server.archive = with_ballast(CONTEST.archive)
    server.trouble("archive", "cut")
    code, read = machine.run("download", "--kaggle-timeout", "2")
    assert code == 1 and "no sign of life" in read and nothing_to_see(machine)
    broke_at = (machine.competition / ".download" / f"{SLUG}.zip").stat().st_size
    server.heal()
    assert machine.run("download")[0] == 0
    assert whole(machine) and server.starts[-1] == broke_at > 0


@pytest.mark.slow
def test_a_connection_that_always_breaks_until_kaggle_gives_up(machine, server):
    server.trouble("archive", "cut")
    code, read = machine.run("download")
    assert code == 1 and "the connection broke off" in read and nothing_to_see(machine)


def test_an_error_page_in_place_of_the_rest_is_not_kept(machine, server):
    server.trouble("archive", "cut", times=1)
    server.trouble("archive", "status", 503, times=2)
    code, read = machine.run("download")
    assert code == 0 and "came damaged; fetching it once more" in read and whole(machine)


def test_changed_bytes_are_fetched_once_more(machine, server):
    server.trouble("archive", "change", times=1)
    code, read = machine.run("download")
    assert code == 0 and "came damaged; fetching it once more" in read
    assert whole(machine) and server.starts == [0, 0]


def test_bytes_changed_twice_are_not_kept(machine, server):
    server.trouble("archive", "change")
    code, read = machine.run("download")
    assert code == 1 and "came damaged twice and was removed" in read
    assert {path.name for path in machine.competition.iterdir()} == {".lock"}
    server.heal()
    assert machine.run("download")[0] == 0 and whole(machine)


def test_ctrl_c_ends_kaggle_too_and_the_next_run_goes_on(machine, server):
    server.trouble("archive", "hang")
    process = machine.start("download")
    server.wait_for("archive")
    process.send_signal(signal.SIGINT)
    _, read = process.communicate(timeout=60)
    assert process.returncode == 130 and "The same command goes on" in read
    assert nothing_to_see(machine) and not machine.left_running()
    server.heal()
    assert machine.run("download")[0] == 0 and whole(machine)


def test_two_at_once(machine, server):
    server.trouble("archive", "hang")
    first = machine.start("download")
    server.wait_for("archive")
    code, read = machine.run("download")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert code == 1 and "in use by another run" in read


def test_without_a_token_both_ways_on_are_named(tmp_path, server):
    machine = Machine(tmp_path, server, token=False)
    code, read = machine.run("download")
    assert code == 1 and "kaggle.com/settings/api" in read and f"{SLUG}/data" in read
    assert len(read.splitlines()) == 1 and nothing_to_see(machine) and server.calls == []


def test_a_stale_token(machine, server):
    machine.write_token("KGAT_of_last_year")
    code, read = machine.run("download")
    assert code == 1 and "does not take the token of" in read and "KGAT" not in read and nothing_to_see(machine)


def test_the_older_key(machine, server):
    machine.use_key()
    assert machine.run("download")[0] == 0 and whole(machine)


def test_an_archive_put_there_by_hand_is_used_without_kaggle(tmp_path, server):
    machine = Machine(tmp_path, server, token=False)
    machine.put_archive(CONTEST.archive)
    assert machine.run("download")[0] == 0
    assert whole(machine) and server.calls == []
    assert machine.run("download", "--force")[0] == 0 and whole(machine) and server.calls == []


def foreign_zip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("holiday.txt", "sun")
    return out.getvalue()


BY_HAND = [
    (CONTEST.archive[:-100], "cut off or damaged"),
    (CONTEST.archive[:60] + bytes(9) + CONTEST.archive[69:], "damaged at"),
    (b"<!DOCTYPE html><title>Log in</title>", "a web page"),
    (b"Rar!\x1a\x07\x01\x00", "not a zip archive"),
    (b"", "is empty"),
    (foreign_zip(), "not of this contest"),
]


@pytest.mark.parametrize(("data", "words"), BY_HAND)
def test_a_bad_archive_put_there_by_hand_is_named_and_kept(machine, server, data, words):
    machine.put_archive(data)
    code, read = machine.run("download")
    zipped = machine.competition / f"{SLUG}.zip"
    assert code == 1 and words in read and str(zipped) in read
    assert zipped.read_bytes() == data and machine.unpacked() == [] and server.calls == []


def test_a_new_archive_replaces_what_was_unpacked(machine, server):
    machine.put_archive(CONTEST.archive)
    machine.run("download")
    machine.put_archive(tiny_contest(1).archive)
    assert machine.run("download")[0] == 0
    with zipfile.ZipFile(io.BytesIO(tiny_contest(1).archive)) as archive:
        folder = machine.competition / "files"
        assert all((folder / name).read_bytes() == archive.read(name) for name in archive.namelist())


def test_the_demo_is_made_anew_for_another_size(tmp_path):
    machine = Machine(tmp_path, token=False)
    zipped = machine.home / "competition" / "demo" / "photo-reconstruction-demo.zip"
    assert machine.run("download", "--size", "32", competition="demo")[0] == 0
    first = zipped.read_bytes(), zipped.stat().st_mtime_ns
    assert machine.run("download", "--size", "32", competition="demo")[0] == 0
    assert (zipped.read_bytes(), zipped.stat().st_mtime_ns) == first
    assert machine.run("download", "--size", "64", competition="demo")[0] == 0
    assert zipped.read_bytes() != first[0]
