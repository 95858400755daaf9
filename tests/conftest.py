"""What all tests share: the stages as real processes, and one small prepared demo."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# A runner in the background ignores Ctrl-C, and its children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

SMALL = ("--size", "32", "--width", "4", "--batch-size", "2", "--check-every", "4", "--check-pictures", "4")


LONGEST = ("test_readme.py", "test_crashes.py", "test_journey.py", "test_submit.py", "test_study.py", "test_sweep.py",
           "test_parallel.py", "test_folds.py")


def pytest_collection_modifyitems(items):
    """The files that take longest come first, so that all workers end together; the order inside a file stays."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def stage(name, home, *flags, env=None, text=True, **options):
    """Run `python -m pixmend NAME` and wait for its end."""
    command = [sys.executable, "-m", "pixmend", name, "--home", str(home), *map(str, flags)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=text, env=clean_environment() | (env or {}), **options)


def start_stage(name, home, *flags, env=None):
    command = [sys.executable, "-m", "pixmend", name, "--home", str(home), *map(str, flags)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=clean_environment() | (env or {}))


def clean_environment():
    """This process's environment without what would change a run."""
    return {k: v for k, v in os.environ.items() if k != "LAMBDA" and not k.startswith("KAGGLE")}


def done(result):
    """The output of a stage that must have ended well."""
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(autouse=True)
def usual_arithmetic():
    """A test that builds a network in bfloat16 leaves float32 to the next one."""
    yield
    if keras := sys.modules.get("keras"):
        keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def prepared_home(tmp_path_factory):
    """A home with the demo downloaded and prepared at 32 pixels; copy it before writing to it."""
    home = tmp_path_factory.mktemp("prepared")
    for name in ("download", "augment"):
        done(stage(name, home, *SMALL))
    return home


@pytest.fixture
def home(prepared_home, tmp_path):
    """A copy of the prepared home for this test alone; times of change are kept, so receipts hold."""
    shutil.copytree(prepared_home, tmp_path / "home")
    return tmp_path / "home"
