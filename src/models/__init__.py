"""One file a model: networks say build(shape, settings), fills say fill(picture, mask). The file name is its name."""

import importlib
from pathlib import Path


def named(name):
    return importlib.import_module(f"src.models.{name}")


def exists(name):
    return name.isidentifier() and (Path(__file__).parent / f"{name}.py").exists()


def is_fill(name):
    """Told from the file's text, so that no network library is imported to ask."""
    return "as fill" in (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")


def fills():
    """All fills, by name: the floor beside every score."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    return [file.stem for file in files if is_fill(file.stem)]
