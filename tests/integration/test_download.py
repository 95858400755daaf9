"""Downloads through the real kaggle command from a Kaggle that fails: exit codes and the files on disk."""

import io
import shutil
import signal
import zipfile

import pytest
from support.kaggle_home import SIZE, SLUG, Machine, make_tiny_competition
from support.kaggle_server import RULES

TINY = make_tiny_competition()
NAMES = sorted(zipfile.ZipFile(io.BytesIO(TINY.archive)).namelist())
MORE_THAN_A_CHUNK = 3 << 20  # kaggle writes a megabyte at a time


def is_complete(machine):
    zipped = machine.competition / f"{SLUG}.zip"
    return set(machine.unpacked()) >= set(NAMES) and zipped.read_bytes() == machine.server.archive


def with_ballast(data):
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("ballast", bytes(MORE_THAN_A_CHUNK))
    return out.getvalue()


def has_no_files(machine):
    """Neither an archive nor files where a later stage would look."""
    return {path.name for path in machine.competition.iterdir()} <= {".lock", ".download"}


def test_downloads_and_unpacks_once(machine, server):
    code, output = machine.run("download")
    assert code == 0 and "26 files" in output and is_complete(machine)
    code, output = machine.run("download")
    assert code == 0 and server.calls.count("archive") == 1


def test_force_downloads_again(machine, server):
    machine.run("download")
    assert machine.run("download", "--force")[0] == 0
    assert is_complete(machine) and server.calls.count("archive") == 2


def test_lost_image_is_restored_from_the_archive(machine, server):
    machine.run("download")
    (machine.competition / "files" / NAMES[0]).unlink()
    assert machine.run("download")[0] == 0
    assert is_complete(machine) and server.calls.count("archive") == 1


def test_unpacked_archive_may_be_deleted(machine, server):
    machine.run("download")
    (machine.competition / f"{SLUG}.zip").unlink()
    assert machine.run("download")[0] == 0 and server.calls.count("archive") == 1


REFUSALS = [
    ("DownloadDataFiles", 401, None, "does not accept the token"),
    ("DownloadDataFiles", 403, RULES, f"https://www.kaggle.com/competitions/{SLUG}/rules"),
    ("DownloadDataFiles", 403, None, "rules"),
    pytest.param("DownloadDataFiles", 404, None, "404", marks=pytest.mark.slow),
    ("DownloadDataFiles", 400, "Something unheard of", "Something unheard of"),
    pytest.param("DownloadDataFiles", 429, None, "429", marks=pytest.mark.slow),
    pytest.param("IntrospectToken", 500, None, "server", marks=pytest.mark.slow),
    ("archive", 403, None, "403"),
]


@pytest.mark.parametrize(("call", "status", "message", "words"), REFUSALS)
def test_refusal_is_one_line_and_leaves_nothing(machine, server, call, status, message, words):
    server.trouble(call, "status", status, message=message)
    code, output = machine.run("download")
    assert code == 1 and words in output and len(output.splitlines()) == 1
    assert has_no_files(machine)


def test_temporary_failure_is_retried(machine, server):
    server.trouble("DownloadDataFiles", "status", 503, times=1)
    assert machine.run("download")[0] == 0 and is_complete(machine)


LATER = [pytest.param(call, marks=pytest.mark.slow) for call in ("IntrospectToken", "DownloadDataFiles")]


@pytest.mark.parametrize("call", LATER + ["archive"])
def test_silent_kaggle_is_given_up(machine, server, call):
    server.trouble(call, "hang")
    code, output = machine.run("download", "--kaggle-timeout", "2")
    assert code == 1 and "2 seconds" in output and has_no_files(machine)
    assert not machine.left_running()


def test_unreachable_kaggle(machine, server):
    server.trouble("DownloadDataFiles", "drop")
    code, output = machine.run("download")
    assert code == 1 and "network" in output and has_no_files(machine)


def test_connection_lost_once_is_resumed(machine, server):
    server.archive = with_ballast(TINY.archive)
    server.trouble("archive", "cut", times=1)
    assert machine.run("download")[0] == 0
    assert is_complete(machine) and server.starts[0] == 0 < server.starts[1]


def test_connection_lost_for_good_is_resumed_by_the_next_run(machine, server):
    server.archive = with_ballast(TINY.archive)
    server.trouble("archive", "cut")
    code, output = machine.run("download", "--kaggle-timeout", "2")
    assert code == 1 and "2 seconds" in output and has_no_files(machine)
    broke_at = (machine.competition / ".download" / f"{SLUG}.zip").stat().st_size
    server.heal()
    assert machine.run("download")[0] == 0
    assert is_complete(machine) and server.starts[-1] == broke_at > 0


@pytest.mark.slow
def test_connection_lost_until_kaggle_gives_up(machine, server):
    server.trouble("archive", "cut")
    code, output = machine.run("download")
    assert code == 1 and "network" in output and has_no_files(machine)


def test_error_page_in_the_archive_is_replaced(machine, server):
    server.trouble("archive", "cut", times=1)
    server.trouble("archive", "status", 503, times=2)
    code = machine.run("download")[0]
    assert code == 0 and is_complete(machine)


def test_damaged_bytes_are_downloaded_once_more(machine, server):
    server.trouble("archive", "change", times=1)
    code = machine.run("download")[0]
    assert code == 0
    assert is_complete(machine) and server.starts == [0, 0]


def test_bytes_damaged_twice_are_removed(machine, server):
    server.trouble("archive", "change")
    code, output = machine.run("download")
    assert code == 1 and "damaged" in output
    assert {path.name for path in machine.competition.iterdir()} == {".lock"}
    server.heal()
    assert machine.run("download")[0] == 0 and is_complete(machine)


def test_interrupted_download_is_resumed(machine, server):
    server.trouble("archive", "hang")
    process = machine.start("download")
    server.wait_for("archive")
    process.send_signal(signal.SIGINT)
    _, output = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in output
    assert has_no_files(machine) and not machine.left_running()
    server.heal()
    assert machine.run("download")[0] == 0 and is_complete(machine)


def test_two_at_once(machine, server):
    server.trouble("archive", "hang")
    first = machine.start("download")
    server.wait_for("archive")
    code, output = machine.run("download")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert code == 1 and "Traceback" not in output


def test_missing_token_names_both_ways_to_continue(tmp_path, server):
    machine = Machine(tmp_path, server, token=False)
    code, output = machine.run("download")
    assert code == 1 and "kaggle.com/settings/api" in output and f"{SLUG}/data" in output
    assert len(output.splitlines()) == 1 and has_no_files(machine) and server.calls == []


def test_stale_token(machine, server):
    machine.write_token("KGAT_of_last_year")
    code, output = machine.run("download")
    assert code == 1 and "does not accept the token" in output and "KGAT" not in output and has_no_files(machine)


def test_the_older_key(machine, server):
    machine.use_key()
    assert machine.run("download")[0] == 0 and is_complete(machine)


def test_archive_put_there_by_hand_is_used_without_kaggle(tmp_path, server):
    machine = Machine(tmp_path, server, token=False)
    machine.put_archive(TINY.archive)
    assert machine.run("download")[0] == 0
    assert is_complete(machine) and server.calls == []
    assert machine.run("download", "--force")[0] == 0 and is_complete(machine) and server.calls == []


def test_part_of_a_download_goes_when_the_archive_is_put_there_by_hand(machine):
    arriving = machine.competition / ".download"
    arriving.mkdir(parents=True)
    (arriving / f"{SLUG}.zip").write_bytes(TINY.archive[:1000])
    machine.put_archive(TINY.archive)
    assert machine.run("download")[0] == 0 and is_complete(machine)
    assert not arriving.exists()


def foreign_zip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("holiday.txt", "sun")
    return out.getvalue()


BY_HAND = [
    (TINY.archive[:-100], "cut off or damaged"),
    (TINY.archive[:60] + bytes(9) + TINY.archive[69:], "damaged at"),
    (b"<!DOCTYPE html><title>Log in</title>", "a web page"),
    (b"Rar!\x1a\x07\x01\x00", "not a zip archive"),
    (b"", "is empty"),
    (foreign_zip(), "not of this competition"),
]


@pytest.mark.parametrize(("data", "words"), BY_HAND)
def test_bad_archive_put_there_by_hand_is_named_and_kept(machine, server, data, words):
    machine.put_archive(data)
    code, output = machine.run("download")
    zipped = machine.competition / f"{SLUG}.zip"
    assert code == 1 and words in output and str(zipped) in output
    assert zipped.read_bytes() == data and machine.unpacked() == [] and server.calls == []


def test_new_archive_replaces_the_unpacked_one(machine, server):
    machine.put_archive(TINY.archive)
    machine.run("download")
    machine.put_archive(make_tiny_competition(1).archive)
    assert machine.run("download")[0] == 0
    with zipfile.ZipFile(io.BytesIO(make_tiny_competition(1).archive)) as archive:
        folder = machine.competition / "files"
        assert all((folder / name).read_bytes() == archive.read(name) for name in archive.namelist())


@pytest.fixture
def mounted(tmp_path):
    """The competition's files as Kaggle gives them to a notebook."""
    folder = tmp_path / "input" / SLUG
    zipfile.ZipFile(io.BytesIO(TINY.archive)).extractall(folder)
    return folder


def test_files_of_a_folder_are_used_where_they_are(tmp_path, server, mounted):
    machine = Machine(tmp_path, server, token=False)
    before = [(path, path.stat().st_mtime_ns) for path in sorted(mounted.rglob("*"))]
    for _ in range(2):
        assert machine.run("download", "--from-folder", str(mounted))[0] == 0
    assert (machine.competition / "files").resolve() == mounted and server.calls == []
    code, output = machine.run("augment", "--size", str(SIZE))
    assert code == 0, output
    assert [(path, path.stat().st_mtime_ns) for path in sorted(mounted.rglob("*"))] == before


def test_hidden_files_in_the_folder_do_not_make_it_another_one(tmp_path, server, mounted):
    machine = Machine(tmp_path, server, token=False)
    assert machine.run("download", "--from-folder", str(mounted))[0] == 0
    manifest = (machine.competition / "archive.json").read_bytes()
    (mounted / ".DS_Store").write_bytes(bytes(6148))
    (mounted / ".#sample_submission.csv").symlink_to("someone@a-machine.123")   # as Emacs marks an open file
    (mounted / "nowhere").symlink_to(tmp_path / "unplugged")
    assert machine.run("download", "--from-folder", str(mounted))[0] == 0
    assert (machine.competition / "archive.json").read_bytes() == manifest


def test_files_of_another_folder_take_the_place_of_the_first(machine, server, mounted, tmp_path):
    other = shutil.copytree(mounted, tmp_path / "other")
    for folder in (mounted, other):
        assert machine.run("download", "--from-folder", str(folder))[0] == 0
    assert (machine.competition / "files").resolve() == other


def test_an_archive_replaces_the_link_and_not_the_folder(machine, server, mounted):
    assert machine.run("download", "--from-folder", str(mounted))[0] == 0
    for _ in range(2):
        assert machine.run("download", "--force")[0] == 0
    assert is_complete(machine) and not (machine.competition / "files").is_symlink() and (mounted / NAMES[0]).exists()


def test_a_folder_of_something_else_is_refused(machine, mounted):
    assert machine.run("download", "--from-folder", str(mounted.parent))[0] == 1
    assert machine.run("download", "--from-folder", str(mounted), competition="demo")[0] == 2
    assert not (machine.competition / "files").exists()


def test_a_folder_that_holds_the_home_is_refused(machine, mounted):
    """Each command changes the home, so the files would be called other ones and all images prepared again."""
    shutil.copytree(mounted, machine.home, dirs_exist_ok=True)
    code, output = machine.run("download", "--from-folder", str(machine.home))
    assert code == 2 and str(machine.home) in output and not (machine.competition / "files").exists()


def test_a_folder_does_not_replace_unpacked_files(machine, mounted):
    machine.put_archive(TINY.archive)
    assert machine.run("download")[0] == 0
    (machine.competition / "archive.json").unlink()
    assert machine.run("download", "--from-folder", str(mounted))[0] == 1
    assert set(machine.unpacked()) == set(NAMES)


@pytest.mark.long
def test_the_demo_is_made_anew_for_another_size(tmp_path):
    machine = Machine(tmp_path, token=False)
    zipped = machine.home / "competition" / "demo" / "photo-reconstruction-demo.zip"
    assert machine.run("download", "--size", "32", competition="demo")[0] == 0
    first = zipped.read_bytes(), zipped.stat().st_mtime_ns
    assert machine.run("download", "--size", "32", competition="demo")[0] == 0
    assert (zipped.read_bytes(), zipped.stat().st_mtime_ns) == first
    assert machine.run("download", "--size", "64", competition="demo")[0] == 0
    assert zipped.read_bytes() != first[0]
