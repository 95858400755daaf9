"""Atomic writes: two writers never mix, links are not followed, abandoned temporary files go away; locks and manifests."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest
from support.stages import ROOT

from pixmend import files
from pixmend.errors import UserError

WAITER = """
import sys
from pixmend import files
with files.wait_for_lock(sys.argv[1]):
    print("locked")
"""
WRITER = """
import sys
from pixmend import files
for number in range(200):
    files.write_text(sys.argv[1], sys.argv[2] * 20000)
"""


def test_two_writers_of_one_file_never_mix(tmp_path):
    path = tmp_path / "file"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter], cwd=ROOT) for letter in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert path.read_text() in ("a" * 20000, "b" * 20000)
    assert os.listdir(tmp_path) == ["file"]


def test_planted_links_are_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("mine")
    for name in (".file.part", ".file"):
        (tmp_path / name).symlink_to(target)
    files.write_text(tmp_path / "file", "new")
    assert target.read_text() == "mine" and (tmp_path / "file").read_text() == "new"


def test_failed_write_leaves_the_old_file(tmp_path):
    files.write_text(tmp_path / "file", "old")
    with pytest.raises(ValueError), files.atomic_write(tmp_path / "file", "w") as file:
        file.write("half")
        raise ValueError
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "old"


def test_temporary_file_of_another_machine_is_never_called_abandoned(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    ours, theirs = (tmp_path / f".file.{machine}.{process.pid}.abcd_1.part" for machine in (files.identify_machine(), "012345"))
    assert files.is_abandoned(ours) and not files.is_abandoned(theirs)


def test_temporary_file_of_a_killed_writer_is_removed_by_the_next(tmp_path):
    program = ("import os, sys\nfrom pixmend import files\n"
               "with files.atomic_write(sys.argv[1]) as file:\n    os.kill(os.getpid(), 9)")
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path / "file")], cwd=ROOT).returncode == -9
    assert len(os.listdir(tmp_path)) == 1
    files.write_text(tmp_path / "file", "new")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("letter", ["a", "ж", "写", "\U0001f408"])
def test_every_name_that_the_disk_takes_can_be_written(tmp_path, letter):
    name = letter * (251 // len(letter.encode())) + ".txt"
    files.write_text(tmp_path / name, "new")
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_text() == "new"


def test_file_has_the_usual_permissions(tmp_path):
    files.write_text(tmp_path / "file", "a")
    (tmp_path / "usual").write_text("a")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_locked_folder_is_refused_at_once(tmp_path):
    with files.try_lock(tmp_path), pytest.raises(UserError, match=str(tmp_path)), files.try_lock(tmp_path):
        pass


def test_wait_for_a_lock_names_its_folder(tmp_path):
    with files.wait_for_lock(tmp_path / "lock"):
        command = [sys.executable, "-c", WAITER, str(tmp_path / "lock")]
        waiter = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert str(tmp_path) in waiter.stdout.readline()
    assert waiter.communicate() == ("locked\n", None) and waiter.returncode == 0


def test_locked_folder_has_working_locks(tmp_path):
    with files.try_lock(tmp_path) as works:
        assert works is True


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_warning(tmp_path, monkeypatch, capsys, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(files, "_has_warned", False)
    with files.try_lock(tmp_path) as works, files.wait_for_lock(tmp_path / ".other"):
        assert works is False
    warning, = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"{tmp_path / '.lock'}: ") and os.strerror(code) in warning


def test_other_errors_of_a_lock_are_not_hidden(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="Input/output error"), files.try_lock(tmp_path):
        pass


@pytest.mark.parametrize("content", ["[]", '"text"', '{"made_from": {"a": 1}, "files": 7}',
                                     '{"made_from": {"a": 2}, "files": {}}'])
def test_manifest_of_another_form_does_not_match(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    assert not files.manifest_matches(tmp_path / "manifest.json", {"a": 1})
