"""One file a competition: its folders, its damage, its score and its submission format. The file name is its name."""

import importlib

from src import pixel_rows
from src.errors import FlagError


def named(name):
    return importlib.import_module(f"src.contests.{name}")


def of_damage(settings):
    """The contest whose damage and scores count: the one of --damage, where there is one."""
    return named(settings.damage or settings.contest)


def defaults(settings):
    """A contest's own settings; what a network starts from is its damage's."""
    start = {name: value for name, value in of_damage(settings).DEFAULTS.items() if name == "start"}
    return named(settings.contest).DEFAULTS | start


def form(settings, split):
    """Who writes and reads a submission: the contest; of a holdout under another's damage, a table by picture, row and column."""
    return pixel_rows if settings.damage and split == "holdout" else named(settings.contest)


def submission(settings, split="test"):
    """The run's file of a split."""
    middle = "" if split == "test" else f".{split}"
    return settings.submissions_folder / f"{settings.run}{middle}{form(settings, split).ENDING}"


def solution(settings):
    return settings.competition_folder / f"solution{named(settings.contest).ENDING}"


def refuse_pictures(settings):
    """Only contests that are made of photos take a user's."""
    if settings.pictures and not hasattr(named(settings.contest), "cut"):
        raise FlagError(f"--pictures is for contests that are made of photos; {settings.contest} has pictures of its own.")
