"""One file a competition: its folders, its damage, its score and its submission format. The file name is its name."""

import importlib


def named(name):
    return importlib.import_module(f"src.contests.{name}")
