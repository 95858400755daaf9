"""The front door: `python -m src STAGE [flags]` finds the stage by its name and turns a user's mistake into a sentence."""

import dataclasses
import errno
import importlib
import os
import signal
import sys
from pathlib import Path

from src import contests, models, progress, settings
from src.errors import FlagError, UserError
from src.studies import plans
from src.sweeps import space

SRC = Path(__file__).parent
JOURNEY = ["download", "augment", "train", "sweep", "study", "predict", "ensemble", "serialize", "score", "submit", "report"]
INTERRUPTED = 128 + signal.SIGINT


def names(room):
    """The files of a room are its registry."""
    return sorted(p.stem for p in (SRC / room).glob("*.py") if not p.stem.startswith("_"))


def first_line(path):
    return path.read_text(encoding="utf-8").split('"""')[1].split("\n")[0]


def help_text():
    stages = sorted(names("stages"), key=lambda s: (JOURNEY.index(s) if s in JOURNEY else len(JOURNEY), s))
    lines = [f"  {stage:10} {first_line(SRC / 'stages' / f'{stage}.py')}" for stage in stages]
    found = "\n".join([f"contests: {', '.join(names('contests'))}", f"models: {', '.join(names('models'))}",
                       f"studies (python -m src study NAME): {', '.join(plans.PLANS)}", ""])
    flags = settings.build_parser().format_help()
    return "\n".join(["python -m src STAGE [flags]", "", "stages, in the order of the journey:", *lines, "", found, flags])


def pick(room, name):
    """A module by its file name; a wrong name is answered with the nearest ones."""
    if name not in names(room):
        raise FlagError(f"There is no {room[:-1]} {name!r}; there are: {', '.join(names(room))}.")
    return importlib.import_module(f"src.{room}.{name}")


def main(arguments):
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(help_text())
        return 0
    stage, flags = arguments[0], arguments[1:]
    if stage not in names("stages"):
        raise FlagError(f"There is no stage {stage!r}; there are: {', '.join(names('stages'))}.")
    about, flags = plans.named(flags) if stage == "study" else ("", flags)
    flags, swept = space.split(flags) if stage in ("sweep", "study") else (flags, ())
    chosen = dataclasses.replace(settings.parse(flags), swept=swept, about=about)
    if chosen.model not in names("models"):
        raise FlagError(f"There is no model {chosen.model!r}; there are: {', '.join(names('models'))}.")
    for name in (chosen.contest, chosen.damage or chosen.contest):
        pick("contests", name)
    contests.refuse_pictures(chosen)
    hidden = {"hide_mask": True} if models.finds_masks(chosen.model) else {}   # masks are never shown to what is to find them
    chosen = settings.complete(chosen, contests.defaults(chosen) | hidden, models.defaults_of)
    progress.quiet = chosen.quiet
    return pick("stages", stage).main(chosen)


def sentence(error):
    """An operating system's refusal, as its user should read it."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}the disk is full; free some space and run the same command again, nothing was lost."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where}may not be written or read here; mend its rights or choose another --home."
    return None


def front_door():
    """Run a stage; what a person can mend is one sentence, and SIGTERM is as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return main(sys.argv[1:]) or 0
    except UserError as error:
        print(_red(str(error)), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if (text := sentence(error)) is None:
            raise
        print(_red(text), file=sys.stderr)
        return 1


def _red(text):
    return f"\033[31m{text}\033[0m" if sys.stderr.isatty() else text


if __name__ == "__main__":
    sys.exit(front_door())
