"""The subcommands of `pixmend`: which flags each accepts and shows, how its settings are found, and its help."""

import dataclasses
import difflib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pixmend import competitions, config, models, progress, run_file
from pixmend.config import GROUPS, Settings
from pixmend.errors import FlagError, UserError
from pixmend.experiments import search_space, study_plans
from pixmend.flags import OLD_FLAGS, build_parser, parse_flags

PIPELINE = ("common", "download", "augment", "network", "training", "diffusion", "distributed", "prediction", "diffusion environment",
            "submission", "scoring", "submit", "kaggle")


@dataclass(frozen=True)
class Command:
    """A subcommand: its groups of flags, those that its help shows, and whether it works on a run that exists."""

    summary: str
    shows: tuple[str, ...]
    accepts: tuple[str, ...] = PIPELINE
    needs_run: bool = False


# Stages accept the flags of the whole pipeline, so that `pixmend train --tta 8` configures a run in one go. A stage refuses a flag
# that contradicts what its run was trained with.
COMMANDS = {
    "configure": Command("Write every setting of a run into its run.toml and print its path.", PIPELINE),
    "download": Command("Download the competition (or make it from photos), check it and unpack it.", ("download", "kaggle")),
    "augment": Command("Decode all images, hold out a part by source, list the augmented training images.", ("augment",)),
    "train": Command("Train the network; a stopped training continues.", ("network", "training", "distributed")),
    "predict": Command("Predict the missing pixels of holdout and test images.",
                       ("prediction", "diffusion", "diffusion environment"), needs_run=True),
    "serialize": Command("Write the submission and check it against the sample submission.", ("submission",), needs_run=True),
    "score": Command("Score the holdout's file beside the baselines; or any file against a solution.", ("scoring",), needs_run=True),
    "submit": Command("Submit to Kaggle, never the same file twice, and read the score.", ("submit", "kaggle"), needs_run=True),
    "report": Command("Write the report page of all runs of a competition.", (), needs_run=True),
    "sweep": Command("Train a run for each of several values of any training flag.", ("sweep", "network", "training"), (*PIPELINE, "sweep")),
    "study": Command("Compare optimizers, losses, models, LAMBDA, augmentation or levels with several seeds.", ("study",),
                     (*PIPELINE, "study")),
    "ensemble": Command("Average the predictions of several runs with weights from the holdout.", ("ensemble",), (*PIPELINE, "ensemble")),
    "kernel": Command("Train on Kaggle's GPU and download the results.", ("kernel", "submit", "kaggle"), (*PIPELINE, "kernel")),
    "doctor": Command("Check this machine and the way to Kaggle, and print the next step for what is missing.", ("kaggle",)),
    "completion": Command("Print a completion script for bash and zsh.", ()),
}
USAGE = "pixmend COMMAND [flags]"
HELP_END = """\
A run is named by --run; its settings are in checkpoints/COMPETITION/RUN/run.toml and are given back with --run NAME or
--config RUN.TOML. `pixmend COMMAND --help` shows the flags of a command. ./run_pipeline.sh runs the commands from configure to
report, one after another."""


def main(arguments: Sequence[str]) -> int | None:
    """Run a command; return its exit code."""
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(format_help())
        return 0
    name, flags = arguments[0], list(arguments[1:])
    if name == "--version":
        print(f"pixmend {run_file.list_versions().get('pixmend', '')}")
        return 0
    if name not in COMMANDS:
        raise FlagError(f"There is no command {name!r}.{suggest(name, COMMANDS)} There are: {', '.join(COMMANDS)}.")
    if "--help" in flags or "-h" in flags:
        print(format_command_help(name))
        return 0
    settings = read_settings(name, flags)
    progress.quiet = settings.quiet
    return importlib.import_module(f"pixmend.stages.{name}").main(settings)


def read_settings(command: str, arguments: list[str]) -> Settings:
    """Return the settings of a command: those of its run, if it has one, and the flags."""
    about, arguments = study_plans.named(arguments) if command == "study" else ("", arguments)
    path, arguments = take_config(arguments)
    arguments, swept = search_space.split(arguments) if command in ("sweep", "study") else (arguments, ())
    given = parse_flags(arguments, COMMANDS[command].accepts)
    stored = None if command in ("sweep", "study", "ensemble", "completion") else load_stored(command, given, path)
    if COMMANDS[command].needs_run and not stored and "run" in given.given and "model" not in given.given:
        check_run_exists(given)
    settings = merge(stored, given) if stored else given
    settings = dataclasses.replace(check_names(settings), swept=swept, about=about)
    settings = config.complete_settings(settings, competitions.get_default_settings(settings), models.default_settings)
    if stored and COMMANDS[command].needs_run:
        run_file.check_same_as_trained(settings, set(given.given))
    return settings


def take_config(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """Return the path that --config names, and the other arguments."""
    for place, word in enumerate(arguments):
        if word == "--config" and place + 1 < len(arguments):
            return Path(arguments[place + 1]), arguments[:place] + arguments[place + 2:]
        if word.startswith("--config="):
            return Path(word.partition("=")[2]), arguments[:place] + arguments[place + 1:]
    return None, arguments


def load_stored(command: str, given: Settings, path: Path | None) -> Settings | None:
    """Return the settings of the run that --config or --run names; None where it has no file yet."""
    if path:
        stored = run_file.load_run(path, with_command=True)
        home = run_file.find_home(path)
        return dataclasses.replace(stored, home=str(home)) if home and "home" not in given.given else stored
    if "run" not in given.given or (command == "configure" and given.force):
        return None
    place = given.place if given.given & {"competition", "damage"} else None
    found = run_file.find_run_file(Path(given.home), given.run, place)
    return run_file.load_run(found) if found else None


def check_run_exists(settings: Settings) -> None:
    """Raise an error that names the runs that exist if there is no folder of this run."""
    folder = settings.trained_folder
    if not folder.exists():
        runs = sorted(path.name for path in folder.parent.glob("*/") if (path / run_file.RUN_FILE).exists())
        there = f"Runs of {settings.place}: {', '.join(runs)}." if runs else f"There are no runs of {settings.place} in {folder.parent}."
        raise UserError(f"There is no run {settings.run!r}.{suggest(settings.run, runs)} {there} Train it first: "
                        f"pixmend train --run {settings.run}")


def merge(stored: Settings, given: Settings) -> Settings:
    """Return the stored settings with the flags of this command."""
    changes = {name: getattr(given, name) for name in given.given}
    home = {} if "home" in given.given or stored.home != Settings().home else {"home": given.home}
    return dataclasses.replace(stored, **changes, **home, given=stored.given | given.given)


def check_names(settings: Settings) -> Settings:
    """Return the settings with the competition's name in the registry; raise a FlagError for names that do not exist."""
    settings = dataclasses.replace(settings, competition=competitions.get_competition_name(settings.competition))
    if settings.damage:
        settings = dataclasses.replace(settings, damage=competitions.get_competition_name(settings.damage))
    if settings.model not in models.list_models():
        raise FlagError(f"There is no model {settings.model!r}.{suggest(settings.model, models.list_models())} "
                        f"There are: {', '.join(models.list_models())}.")
    competitions.check_photos_accepted(settings)
    return settings


def suggest(word: str, known: object) -> str:
    near = difflib.get_close_matches(word, list(known), 1)   # type: ignore[call-overload]
    return f" Did you mean {near[0]}?" if near else ""


def format_help() -> str:
    lines = [f"  {name:10} {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join([USAGE, "", *lines, "", f"competitions: {', '.join(competitions.COMPETITIONS)}",
                      "", *models.describe_models(), "", HELP_END])


def format_command_help(name: str) -> str:
    """Return the help of a command: the flags that it reads."""
    command, groups = COMMANDS[name], ("common", *COMMANDS[name].shows)
    groups = tuple(group for group in GROUPS if group in groups)
    lines = [f"pixmend {name} [flags]", "", command.summary]
    if name == "study":
        lines += ["", f"studies: {', '.join(study_plans.PLANS)}"]
    if command.shows and command.shows != PIPELINE:
        lines += ["", "Flags of later stages of the same run are accepted, too, and written into its run.toml."]
    lines += ["", "--config RUN.TOML   take all settings from the file of a run"]
    return "\n".join([*lines, "", build_parser(groups).format_help().strip()])


def known_flags(name: str) -> list[str]:
    """Return the flags that a command accepts, without old names, for completion."""
    parser = build_parser(COMMANDS[name].accepts)
    return sorted(word for word in parser._option_string_actions if word not in OLD_FLAGS)


