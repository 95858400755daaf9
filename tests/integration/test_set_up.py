"""set_up.sh with a stand-in for Python and pip: an environment is marked as complete, and used, only when it is."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = ROOT / "tests/support/stand_in_python"
MARK = ".venv/installed"


class Checkout:
    """A folder with set_up.sh and its lock files, and a machine with a Python of some version."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs, self.log = folder / "checkout", folder / "programs", folder / "pip.log"
        for place in (self.folder, self.programs):
            place.mkdir()
        for name in ("set_up.sh", "requirements.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, self.folder)
        shutil.copy(STAND_IN, self.programs / "python3")
        self.set_version("3.12")

    def set_version(self, version):
        (self.programs / "version").write_text(version)

    def set_up(self, *arguments, **options):
        """Run a script to its end; see `start`."""
        process = self.start(*arguments, **options)
        out, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, errors)

    def start(self, pip="", script="set_up.sh", folder=None, **variables):
        """Start a script: one of the checkout by its name, or another one by its path, which may be relative to the folder."""
        script = self.folder / script if isinstance(script, str) else script
        environment = {"PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(self.folder), "REAL_PYTHON": sys.executable,
                       "PYTHON": str(self.programs / "python3"), "PIP_LOG": str(self.log), "PIP": pip,
                       **variables}
        return subprocess.Popen(["bash", str(script)], cwd=folder, env=environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def has(self, name):
        return os.path.lexists(self.folder / name)

    def count_installations(self):
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_complete_environment_is_used_as_it_is(checkout):
    assert checkout.set_up().returncode == 0 and checkout.has(MARK)
    count = checkout.count_installations()
    assert checkout.set_up().returncode == 0 and checkout.count_installations() == count > 0


@pytest.mark.parametrize(("pip", "code"), [("dies", -signal.SIGKILL), ("fails", 1), ("forgets", 1)])
def test_interrupted_installation_is_made_anew(checkout, pip, code):
    broken = checkout.set_up(pip)
    assert broken.returncode == code and not checkout.has(MARK) and "Traceback" not in broken.stderr
    (checkout.folder / ".venv/left").touch()
    assert checkout.set_up().returncode == 0
    assert checkout.has(MARK) and not checkout.has(".venv/left")


def test_environment_whose_update_failed_is_made_anew(checkout):
    checkout.set_up()
    (checkout.folder / ".venv/left").touch()
    with open(checkout.folder / "requirements.txt", "a") as lock:
        lock.write("# changed\n")
    assert checkout.set_up("fails").returncode == 1 and not checkout.has(MARK)
    assert checkout.set_up().returncode == 0 and checkout.has(MARK) and not checkout.has(".venv/left")


def test_environment_of_a_checkout_that_was_moved_is_made_anew(checkout):
    checkout.set_up()
    (checkout.folder / ".venv/left").touch()
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    assert checkout.set_up().returncode == 0 and checkout.has(MARK) and not checkout.has(".venv/left")


def test_environment_of_another_python_is_made_anew_and_that_is_said(checkout):
    checkout.set_up()
    (checkout.folder / MARK).unlink()
    checkout.set_version("3.13")
    changed = checkout.set_up()
    assert changed.returncode == 0 and "3.12" in changed.stdout and "3.13" in changed.stdout
    assert (checkout.folder / ".venv/bin/version").read_text() == "3.13"


def test_pipeline_works_in_the_folder_of_its_caller(checkout, tmp_path):
    pixmend, called = checkout.programs / "pixmend", tmp_path / "called"
    pixmend.write_text(f'#!/bin/bash\necho "$PWD" >> {called}\n')
    pixmend.chmod(0o755)
    shutil.copy(ROOT / "run_pipeline.sh", checkout.folder)
    folder = tmp_path / "my pictures"
    folder.mkdir()
    assert checkout.set_up(script="run_pipeline.sh", folder=folder).returncode == 0
    assert set(called.read_text().splitlines()) == {str(folder)} and checkout.has(MARK)


@pytest.mark.skipif(shutil.which("flock", path="/usr/bin:/bin") is None, reason="this system has no flock")
def test_installation_waits_for_another_one(checkout):
    with open(checkout.folder / ".venv.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = checkout.start()
        assert second.stdout.readline() and not checkout.has(".venv")   # it says that it waits
    _, errors = second.communicate()
    assert second.returncode == 0 and not errors and checkout.has(MARK)


def test_script_that_is_called_by_a_link_works_in_its_checkout(checkout, tmp_path):
    links = tmp_path / "bin"
    links.mkdir()
    (links / "install").symlink_to(checkout.folder / "set_up.sh")
    assert checkout.set_up(script=links / "install").returncode == 0 and checkout.has(MARK)


def test_script_is_not_led_astray_by_an_exported_cdpath(checkout, tmp_path):
    other = tmp_path / "others" / checkout.folder.name
    other.mkdir(parents=True)
    relative = Path(checkout.folder.name, "set_up.sh")
    ended = checkout.set_up(script=relative, folder=tmp_path, CDPATH=str(other.parent))
    assert ended.returncode == 0 and checkout.has(MARK) and not list(other.iterdir())


@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_unsupported_python_is_refused_before_anything_is_installed(checkout, version):
    checkout.set_version(version)
    refused = checkout.set_up()
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1 and version in refused.stderr
    assert not checkout.has(".venv") and checkout.count_installations() == 0


def test_python_without_ensurepip_is_told_how_to_get_it(checkout):
    (checkout.programs / "no-ensurepip").touch()
    refused = checkout.set_up()
    assert refused.returncode == 1 and "python3-venv" in refused.stderr and not checkout.has(".venv")


def test_uv_makes_the_environment_where_it_is_installed(checkout):
    (checkout.programs / "no-ensurepip").touch()   # which uv does not need
    uv = checkout.programs / "uv"
    uv.write_text('#!/bin/bash\nrm "$(dirname "$5")/no-ensurepip" && "$5" -m venv "${@: -1}"\n')
    uv.chmod(0o755)
    assert checkout.set_up().returncode == 0 and checkout.has(MARK)
