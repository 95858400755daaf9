"""One file a competition: its folders, its damage, its score and its submission format. The file name is its name."""

import importlib

from pixmend.errors import FlagError
from pixmend.evaluation.metrics import Score, all_squared_errors
from pixmend.submissions import pixel_csv

OF_DAMAGE = ("model", "start")   # of DEFAULTS
WHOLE = Score(all_squared_errors, "RMSE over the whole picture", root=True)


def named(name):
    return importlib.import_module(f"pixmend.competitions.{name}")


def of_damage(settings):
    """The contest whose damage and scores count: the one of --damage, where there is one."""
    return named(settings.damage or settings.contest)


def defaults(settings):
    """A contest's own settings; what fills its holes, and from what start, is its damage's."""
    own, damage = named(settings.contest).DEFAULTS, of_damage(settings).DEFAULTS
    return ({name: value for name, value in own.items() if name not in OF_DAMAGE}
            | {name: value for name, value in damage.items() if name in OF_DAMAGE})


def held(settings, painted, picture, mask):
    """A painted picture, made to agree with what the damage shows of its holes, where it shows anything."""
    hold = getattr(of_damage(settings), "hold", None)
    return hold(painted, picture, mask) if hold else painted


def scores(settings):
    """The scores besides RMSE; where masks are hidden, the whole picture counts, too: what was missed, and what was needless."""
    return of_damage(settings).SCORES | ({"whole_rmse": WHOLE} if settings.hide_mask else {})


def form(settings, split):
    """Who writes and reads a submission: the contest; of a holdout under another's damage, a table by picture, row and column."""
    return pixel_csv if settings.damage and split == "holdout" else named(settings.contest)


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
