"""One file a model; the file name is its name. What a model says tells its kind.

A network, which learns, says build(shape, settings); one that finds masks instead of painting pictures says FINDS_MASKS, too. A
fill says fill(picture, mask); a pretrained painter, which knows pictures' classes too, says paint(ready, rows, split, settings).
"""

import ast
import importlib
from pathlib import Path

from pixmend import files


def named(name):
    return importlib.import_module(f"pixmend.networks.{name}")


def exists(name):
    return name.isidentifier() and not name.startswith("_") and (Path(__file__).parent / f"{name}.py").exists()


def is_fill(name):
    """Told from the file's text, so that no network library is imported to ask."""
    return "as fill" in text(name)


def learns(name):
    return "def build(" in text(name)


def finds_masks(name):
    """Whether a network's answer is where pixels are missing, which it is never told, and not a picture."""
    return exists(name) and "FINDS_MASKS = True" in text(name)


def sees_a_square(name):
    """Whether a network paints within a square of --work-size pixels around what is missing, and nothing beyond."""
    return exists(name) and "SEES_A_SQUARE = True" in text(name)


def run_finds_masks(settings):
    """The same of a run, whose own settings know its model better than today's flags."""
    stored = files.read_json(settings.trained_folder / "settings.json") or {}
    return finds_masks(stored.get("model", settings.model))


def text(name):
    return (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")


def paints_blocks(name):
    """Whether it paints the middle of every 8x8 block, and nothing else."""
    return "import blocks" in text(name) or "blocks." in text(name)


def defaults_of(name):
    """A model's own defaults, told from the file's text for the same reason."""
    if not exists(name):
        return {}
    tree = ast.parse(text(name))
    found = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "DEFAULTS"]
    return ast.literal_eval(found[0]) if found else {}


def everything():
    """All models, by name."""
    return sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py") if file.stem != "diffusion_program")


def fills():
    """All fills, by name: the floor beside every score."""
    return [name for name in everything() if is_fill(name)]
