"""Rules of the package, checked on its source: imports point down, every file says its purpose, every setting is read."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stages import ROOT

from pixmend import config
from pixmend.commands import COMMANDS

PACKAGE = ROOT / "src" / "pixmend"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}
# Each may import from itself and from those after it.
LAYERS = ["__main__", "cli", "stages", "bundling", "reporting", "experiments", "kaggle", "scoring", "serving", "home", "mending",
          "sharing", "training", "models", "networks", "competitions", "submissions", "evaluation", "data", "backend", "workers",
          "subprocesses", "progress", "run_file", "commands", "flags", "run_identity", "setting_values", "config", "fills",
          "files", "processor", "errors"]
INDEPENDENT = {"networks", "competitions"}   # neither imports the other
BACKENDS = {"tensorflow", "jax", "torch"}
HEAVY = ("keras", "tensorflow", "pandas", "matplotlib", "sklearn", "skimage", "kaggle", "scipy", "optuna", "sqlalchemy")


def list_imports(path: Path) -> Iterator[str]:
    """Yield the full names of all modules, and of names in modules, that a file imports anywhere in it."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def list_functions() -> Iterator[tuple[Path, ast.FunctionDef]]:
    for path, tree in TREES.items():
        yield from ((path, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def find_layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down(layer):
    paths = [path for path in FILES if find_layer(path) == layer]
    assert paths
    for path in paths:
        for name in list_imports(path):
            imported = name.split(".")[1] if name.startswith("pixmend.") else layer
            if imported != layer:
                assert LAYERS.index(imported) > LAYERS.index(layer), f"{path} imports {name}"
                assert {imported, layer} != INDEPENDENT, f"{path} imports {name}"


def test_every_file_is_in_a_layer():
    assert {find_layer(path) for path in FILES} == {"__init__", *LAYERS}


def test_no_stage_imports_another():
    for path in (PACKAGE / "stages").glob("*.py"):
        assert not [name for name in list_imports(path) if name.startswith("pixmend.stages")], path


def test_every_file_begins_with_its_purpose():
    for path in FILES:
        assert len((ast.get_docstring(TREES[path]) or "").partition("\n")[0]) > 20, path


def test_backends_are_imported_in_one_file():
    for path in FILES:
        if path != PACKAGE / "backend.py":
            assert not {name.split(".")[0] for name in list_imports(path)} & BACKENDS, path
            # This includes imports in the program of a child process.
            assert not re.search(rf"import ({'|'.join(BACKENDS)})\b", path.read_text()), path


def test_every_setting_is_read():
    text = "".join(path.read_text() for path in FILES if path.name != "config.py")
    text += (PACKAGE / "config.py").read_text().split("@property", 1)[1]
    for name in config.SETTINGS:
        assert f".{name}" in text or f'"{name}"' in text, f"nothing reads --{name}"


def test_functions_fit_a_screen():
    for path, function in list_functions():
        assert (function.end_lineno or 0) - function.lineno < 45, f"{path}: {function.name}"


@pytest.mark.parametrize("stage", COMMANDS)
def test_a_stage_starts_without_the_heavy_libraries(stage):
    code = f"import pixmend.stages.{stage}, sys; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
