"""A full disk and a read-only folder end in one message, and the files that existed stay as they were."""

import os
import shutil
import subprocess
import zipfile

import pytest
from support.stages import SMALL, done, stage
from support.training_logs import read_history, read_tensorboard

from pixmend import files
from pixmend.data import archive


@pytest.fixture
def small_disk(tmp_path):
    """Return the folder of a small file system."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system can't be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def leave_free(disk, size):
    (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - size))


def read_files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"}


def test_full_disk_is_one_message_and_existing_files_stay(small_disk, home):
    shutil.copytree(home / "competition", small_disk / "competition")
    leave_free(small_disk, 100_000)
    before = read_files(small_disk)
    result = stage("augment", small_disk, *SMALL)
    assert result.returncode == 1
    assert "disk is full" in result.stderr and str(small_disk) in result.stderr and "Traceback" not in result.stderr
    assert {path: content for path, content in read_files(small_disk).items() if path in before} == before


def test_error_of_a_full_disk_has_the_name_of_the_file(small_disk, tmp_path, monkeypatch):
    leave_free(small_disk, 8192)
    with pytest.raises(OSError) as caught, files.atomic_write(small_disk / "a.csv") as file:
        file.write(bytes(100_000))
    assert caught.value.filename == str(small_disk / "a.csv")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("image.jpeg", bytes(100_000))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 10**9))   # others fill it meanwhile
    with pytest.raises(OSError) as caught:
        archive.unpack_archive(tmp_path / "a.zip", small_disk / "files")
    assert caught.value.filename.endswith("image.jpeg") and os.listdir(small_disk) == ["ballast"]


@pytest.mark.slow
def test_disk_that_fills_up_in_training_leaves_the_saved_states(small_disk, home):
    done(stage("train", home, *SMALL, "--steps", "2", "--run", "a"))
    run = home / "checkpoints/demo/a"
    before = read_files(run)
    filled = small_disk / "a"
    shutil.copytree(run, filled)
    leave_free(small_disk, 4096)
    shutil.rmtree(run)
    run.symlink_to(filled)
    result = stage("train", home, *SMALL, "--steps", "4", "--run", "a")
    assert result.returncode == 1 and "disk is full" in result.stderr and "Traceback" not in result.stderr
    assert str(run) in result.stderr
    after = read_files(filled)
    assert {path.name for path in before} <= {path.name for path in after} | {"history.csv"}
    assert all(after[filled / path.name] == content for path, content in before.items() if path.suffix == ".npz")


@pytest.mark.long
def test_training_goes_on_where_the_disk_of_its_logs_is_full(small_disk, home):
    run = home / "checkpoints/demo/a"
    flags = (*SMALL, "--model", "cnn", "--run", "a", "--evaluate-every", "1", "--log", "tensorboard")
    (small_disk / "logs").mkdir()
    leave_free(small_disk, 32_768)
    run.mkdir(parents=True)
    (run / "logs").symlink_to(small_disk / "logs")
    result = stage("train", home, *flags, "--steps", "200")
    assert result.returncode == 0 and "Traceback" not in result.stderr
    assert sum("tensorboard" in line for line in result.stderr.splitlines()) == 1
    assert list(read_history(run)) == list(range(201))
    (small_disk / "ballast").unlink()
    done(stage("train", home, *flags, "--steps", "202"))
    assert list(read_tensorboard(home, run)[0]) == list(range(203))


@pytest.mark.parametrize("name", ["download", "augment"])
def test_read_only_folder_is_one_message(small_disk, home, name):
    for folder in ("competition", "augment"):
        shutil.copytree(home / folder, small_disk / folder)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    before = read_files(small_disk)
    result = stage(name, small_disk, *SMALL, "--force")
    assert result.returncode == 1
    assert str(small_disk) in result.stderr and "Traceback" not in result.stderr
    assert read_files(small_disk) == before
