"""One file a model; the file name is its name. What a model says tells its kind.

A network, which learns, says build(shape, settings); a fill says fill(picture, mask); a pretrained painter, which knows pictures'
classes too, says paint(ready, rows, split, settings).
"""

import ast
import importlib
from pathlib import Path


def named(name):
    return importlib.import_module(f"src.models.{name}")


def exists(name):
    return name.isidentifier() and not name.startswith("_") and (Path(__file__).parent / f"{name}.py").exists()


def is_fill(name):
    """Told from the file's text, so that no network library is imported to ask."""
    return "as fill" in (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")


def learns(name):
    return "def build(" in (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")


def paints_blocks(name):
    """Whether it paints the middle of every 8x8 block, and nothing else."""
    return "_blocks" in (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")


def defaults_of(name):
    """A model's own defaults, told from the file's text for the same reason."""
    if not exists(name):
        return {}
    tree = ast.parse((Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
    found = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "DEFAULTS"]
    return ast.literal_eval(found[0]) if found else {}


def everything():
    """All models, by name."""
    return sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py"))


def fills():
    """All fills, by name: the floor beside every score."""
    return [name for name in everything() if is_fill(name)]
