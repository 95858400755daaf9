"""Fixtures that all tests share: one small prepared demo, and Keras's usual arithmetic."""

import os
import shutil
import signal
import sys

import pytest
from support.stages import SMALL, done, stage

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# A runner in the background ignores Ctrl-C, and its children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Homes whose set-up takes long; the tests that use them have the mark `long`.
LONG_FIXTURES = {"competitions", "database", "folded", "found", "single_steps", "studied", "swept"}
LONGEST = ("test_readme.py", "test_interrupted_runs.py", "test_all_stages.py", "test_submit.py", "test_study.py", "test_sweep.py",
           "test_distributed.py", "test_jax.py", "test_folds.py")


def pytest_collection_modifyitems(items):
    """Mark the tests with a long set-up. The longest files come first, so that all workers end together."""
    for item in items:
        if LONG_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.long)
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True)
def usual_arithmetic():
    """A test that builds a network in bfloat16 leaves float32 to the next one."""
    yield
    if keras := sys.modules.get("keras"):
        keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def prepared_home(tmp_path_factory):
    """A home with the demo downloaded and prepared at 32 pixels. All tests share it, so none may write to it."""
    home = tmp_path_factory.mktemp("prepared")
    for name in ("download", "augment"):
        done(stage(name, home, *SMALL))
    before = set(home.rglob("*"))
    yield home
    assert set(home.rglob("*")) == before


@pytest.fixture(scope="module")
def module_home(prepared_home, tmp_path_factory):
    """A copy of the prepared home for the tests of one module."""
    return shutil.copytree(prepared_home, tmp_path_factory.mktemp("module") / "home")


@pytest.fixture
def home(prepared_home, tmp_path):
    """A copy of the prepared home for this test alone; times of change are kept, so receipts hold."""
    shutil.copytree(prepared_home, tmp_path / "home")
    return tmp_path / "home"


def pytest_terminal_summary(terminalreporter):
    """Show what each stress test counted (tests/stress/conftest.py, which the process that reports does not load)."""
    reports = [report for found in terminalreporter.stats.values() for report in found
               if getattr(report, "when", "") == "teardown"]
    rows = [(report.nodeid.partition("::")[2], row) for report in reports
            for name, row in report.user_properties if name == "stress"]
    if rows:
        terminalreporter.section("stress")
        for name, row in sorted(rows):
            terminalreporter.write_line(f"{name:60} " + "  ".join(f"{value} {what}" for what, value in row.items()))
