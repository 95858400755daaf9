"""A command as it was typed: its stage, found by its name, the settings that its flags say, and the help that lists both."""

import dataclasses
import importlib
from pathlib import Path

from pixmend import competitions, config, models, progress
from pixmend.errors import FlagError
from pixmend.experiments import search_space, study_plans

SRC = Path(__file__).parent
JOURNEY = ["download", "augment", "train", "sweep", "study", "predict", "ensemble", "serialize", "score", "submit", "report"]


def names(room):
    """The files of a room are its registry."""
    return sorted(p.stem for p in (SRC / room).glob("*.py") if not p.stem.startswith("_"))


def first_line(path):
    return path.read_text(encoding="utf-8").split('"""')[1].split("\n")[0]


def help_text():
    stages = sorted(names("stages"), key=lambda s: (JOURNEY.index(s) if s in JOURNEY else len(JOURNEY), s))
    lines = [f"  {stage:10} {first_line(SRC / 'stages' / f'{stage}.py')}" for stage in stages]
    found = "\n".join([f"contests: {', '.join(competitions.COMPETITIONS)}", f"models: {', '.join(models.model_names())}",
                       f"studies (python -m pixmend study NAME): {', '.join(study_plans.PLANS)}", ""])
    flags = config.build_parser().format_help()
    return "\n".join(["python -m pixmend STAGE [flags]", "", "stages, in the order of the journey:", *lines, "", found, flags])


def pick(room, name):
    """A module by its file name; a wrong name is answered with the nearest ones."""
    if name not in names(room):
        raise FlagError(f"There is no {room[:-1]} {name!r}; there are: {', '.join(names(room))}.")
    return importlib.import_module(f"pixmend.{room}.{name}")


def main(arguments):
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(help_text())
        return 0
    stage, flags = arguments[0], arguments[1:]
    if stage not in names("stages"):
        raise FlagError(f"There is no stage {stage!r}; there are: {', '.join(names('stages'))}.")
    about, flags = study_plans.named(flags) if stage == "study" else ("", flags)
    flags, swept = search_space.split(flags) if stage in ("sweep", "study") else (flags, ())
    chosen = dataclasses.replace(config.parse(flags), swept=swept, about=about)
    if chosen.model not in models.model_names():
        raise FlagError(f"There is no model {chosen.model!r}; there are: {', '.join(models.model_names())}.")
    for name in (chosen.competition, chosen.damage or chosen.competition):
        competitions.get_competition_name(name)
    competitions.check_photos_accepted(chosen)
    chosen = config.complete(chosen, competitions.get_default_settings(chosen), models.default_settings)
    progress.quiet = chosen.quiet
    return pick("stages", stage).main(chosen)
