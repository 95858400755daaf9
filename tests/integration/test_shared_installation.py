"""One installation that many jobs share: the package may lie on a read-only path, and every stage works in PIXMEND_HOME alone."""

import os
import shutil
import subprocess
import sys

import pytest
from support.stages import ROOT, SMALL, clean_environment

PROGRAM = """
import sys
from pixmend.__main__ import main
for name in ("configure", "train", "predict", "serialize", "score", "report", "contests"):
    assert main([name, *(sys.argv[1:] if name != "contests" else [])]) in (None, 0), name
"""


def list_files(folder):
    """Return every file of a folder with its time of change, without Python's caches."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


@pytest.mark.long
def test_no_stage_writes_beside_the_code_or_into_the_current_folder(prepared_home, tmp_path):
    code, current, home = (tmp_path / name for name in ("code", "current", "home"))
    shutil.copytree(ROOT / "src", code, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(prepared_home, home)
    current.mkdir()
    for folder, _, names in os.walk(code):
        os.chmod(folder, 0o555)
        for name in names:
            os.chmod(os.path.join(folder, name), 0o444)
    before, of_home = list_files(code), list_files(home)
    environment = clean_environment() | {"PYTHONPATH": str(code), "PIXMEND_HOME": str(home)}
    ended = subprocess.run([sys.executable, "-c", PROGRAM, *SMALL, "--model", "cnn", "--steps", "2", "--run", "a"], cwd=current,
                           env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert list_files(code) == before and not list(current.iterdir())
    written = {path.relative_to(home).parts[0] for path in list_files(home).keys() - of_home.keys()}
    assert written == {"augment", "checkpoints", "submissions"}
