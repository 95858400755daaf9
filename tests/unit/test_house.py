"""The house rules, by introspection: arrows point down, every file says its purpose, every setting is read."""

import ast
import re
import subprocess
import sys

import pytest
from support.stages import ROOT

from pixmend import config
from pixmend.commands import COMMANDS

PACKAGE = ROOT / "src" / "pixmend"
FILES = sorted(PACKAGE.rglob("*.py"))
# Each package may import from itself and from those after it.
FLOORS = ["__main__", "cli", "stages", "reporting", "experiments", "kaggle", "scoring", "training", "models", "networks", "competitions",
          "submissions", "evaluation", "data", "backend", "workers", "subprocesses", "progress", "run_file", "commands", "flags", "config", "fills",
          "files", "errors"]
STRANGERS = [{"networks", "competitions"}]  # packages that must not know each other, whatever their order


def room(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imports(path):
    """The modules of src that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pixmend":
            yield from (f"pixmend.{alias.name}" for alias in node.names) if node.module == "pixmend" else [node.module]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "pixmend")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imports(path):
        there = room(module)
        if here == there or here == "__init__":
            continue
        assert there in FLOORS, f"{module} stands in no room of the plan"
        assert FLOORS.index(here) < FLOORS.index(there), f"{path} imports {module} upwards"
        assert {here, there} not in STRANGERS, f"{here} and {there} must not know each other"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_first_line_says_what_the_file_is_for(path):
    assert re.match(r'"""[A-Za-z`].{20,}', path.read_text())


def test_no_backend_is_imported_by_name_but_in_one_place():
    for path in FILES:
        if path == PACKAGE / "backend.py":
            continue
        assert not re.search(r"import (tensorflow|jax|torch)\b", path.read_text()), path   # also in a child's program
        for node in ast.walk(ast.parse(path.read_text())):
            named = [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "") or ""]
            assert not {name.split(".")[0] for name in named} & {"tensorflow", "jax", "torch"}, path


def test_every_setting_is_read():
    text = "".join(path.read_text() for path in FILES if path.name != "config.py")
    text += (PACKAGE / "config.py").read_text().split("@property", 1)[1]
    shell = (ROOT / "run_pipeline.sh").read_text()
    for name in config.SETTINGS:
        assert f".{name}" in text or f'"{name}"' in text or config.flag(name) in shell, f"nothing reads --{name}"


def test_functions_fit_a_screen():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 45, f"{path}: {node.name} has {node.end_lineno - node.lineno} lines"


@pytest.mark.parametrize("stage", COMMANDS)
def test_a_stage_starts_without_the_heavy_libraries(stage):
    code = f"import pixmend.stages.{stage}, sys; print([m for m in ('keras', 'tensorflow', 'pandas', 'matplotlib', 'sklearn', " \
           "'skimage', 'kaggle', 'scipy', 'optuna', 'sqlalchemy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
