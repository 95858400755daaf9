"""The subcommands of `pixmend`: which flags each accepts and shows, how its settings are found, and its help."""

import dataclasses
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pixmend import competitions, flags, models, progress, run_file
from pixmend.commands import COMMANDS, PIPELINE
from pixmend.competitions import settled
from pixmend.config import Settings, flag
from pixmend.errors import FlagError, UserError, suggest
from pixmend.experiments import search_space, study_plans
from pixmend.flags import Parser, build_parser, parse_flags
from pixmend.setting_values import format_stage_command, is_shared_run

# Where scores have settled how submissions are written, that counts for these commands, also of a run that is older.
SENDING = ("submit", "kernel")
OF_SUBMISSIONS = ("predict", "serialize", "score", *SENDING)
STORING = ("train", "kernel")   # besides configure; the kernel trains with its flags at Kaggle
READS_LAMBDA = ("configure", "train", "plan", "sweep", "study", "kernel")   # from the environment: those that train
SAYS_SETTLED = ("configure", "train", "serialize", "kernel")

DECIDE_DEFAULTS = ("model", "optimizer", "minutes")   # of other settings: see models.apply_model_defaults
IDENTITY = ("competition", "damage", "run", "home")   # of a run, whether given or not

HELP_END = """\
A run is named by --run; its settings are in checkpoints/COMPETITION/RUN/run.toml and are given back with --run NAME or
--config RUN.TOML. `pixmend COMMAND --help` shows the flags of a command. ./run_pipeline.sh runs the commands from configure to
report, one after another."""


def main(arguments: Sequence[str]) -> int | None:
    """Run a command; return its exit code, or None for 0."""
    name, *words = arguments or ["--help"]
    if name in ("--help", "-h", "help"):
        print(format_help())
    elif name == "--version":
        print(f"pixmend {run_file.list_versions().get('pixmend', '')}")
    elif name not in COMMANDS:
        raise FlagError(f"There is no command {name!r}.{suggest(name, COMMANDS)} There are: {', '.join(COMMANDS)}.")
    elif "--help" in words or "-h" in words:
        print(format_command_help(name))
    else:
        settings = read_settings(name, words)
        progress.quiet = settings.quiet
        return importlib.import_module(f"pixmend.stages.{name}").main(settings)
    return None


def read_settings(command: str, arguments: list[str]) -> Settings:
    """Return the settings of a command: those of its run, if it has one, and the flags."""
    given, config = read_flags(command, arguments)
    if is_shared_run(given.run) and command != "mend":
        raise FlagError(f"--run {given.run} is a run of others, which only `pixmend mend` takes.")
    if config and not COMMANDS[command].continues_run:
        raise FlagError(f"`pixmend {command}` does not continue a run, so --config does not apply; leave it out.")
    stored = load_stored(command, given, config) if COMMANDS[command].continues_run else None
    settings = given
    if stored:
        settings = change_stored(stored, given)
        settings = use_as_submitted(settings, given) if given.test_folder else settings
    elif COMMANDS[command].needs_run and "run" in given.given and "model" not in given.given:
        check_run_exists(given)
    settings = dataclasses.replace(check_names(settings), typed=given.given)
    # A flag with which a run was configured counts where its submission is written; only a typed one sends it against the scores.
    configured = stored.given if stored and command not in SENDING else frozenset()
    settings = use_settled(settings, command, given.given | configured)
    settings = models.complete_settings(settings, competitions.get_default_settings(settings))
    if stored and COMMANDS[command].needs_run:
        run_file.check_same_as_trained(settings, set(given.given))
    return settings


def read_flags(command: str, arguments: list[str]) -> tuple[Settings, Path | None]:
    """Return the settings that the words of a command give, and the file of --config."""
    about = ""
    swept: tuple = ()
    if command == "study":
        about, arguments = study_plans.take_study_name(arguments)
    if command == "mend":
        arguments = name_picture(arguments)
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    known, arguments = parser.parse_known_args(arguments)
    if command in ("sweep", "study"):
        arguments, swept = search_space.split_swept_flags(arguments)
    environment = os.environ if command in READS_LAMBDA else {}
    given = resolve_names(parse_flags(arguments, PIPELINE + COMMANDS[command].shows, environment))
    return dataclasses.replace(given, swept=swept, about=about), known.config


def change_stored(stored: Settings, given: Settings) -> Settings:
    """Return the settings of a run, with the flags that are given now in place of its own.

    If they change what other defaults depend on, of a run that is to be trained, these defaults are found anew.
    """
    changes = {name: getattr(given, name) for name in given.given}
    changed = dataclasses.replace(stored, **changes, given=stored.given | given.given)
    is_trained = run_file.read_trained(changed.trained_folder) is not None and not changed.force
    if is_trained or all(getattr(changed, name) == getattr(stored, name) for name in DECIDE_DEFAULTS):
        return changed
    kept = {name: getattr(changed, name) for name in {*changed.given, *IDENTITY}}
    return Settings(**kept, given=changed.given)


def use_as_submitted(settings: Settings, given: Settings) -> Settings:
    """Return the settings with those of the run's prediction and submission, for another test set; flags of this command stay."""
    used = {name: value for name, value in run_file.read_used_settings(settings).items() if name not in given.given}
    return dataclasses.replace(settings, **used, given=given.given)


def use_settled(settings: Settings, command: str, chosen: frozenset[str]) -> Settings:
    """Return the settings with what scores have settled, but for the flags that were chosen; a command that writes it says so.

    The file of a run stays as it is.
    """
    if command == "settle" or (settings.stored and command not in OF_SUBMISSIONS):
        return settings
    settings, line = settled.apply_settled(settings, chosen)
    if line and (command in SAYS_SETTLED or settings.test_folder) and not settings.quiet:
        print(line, file=sys.stderr)   # the output of `configure` is a path
    return settings


def name_picture(words: list[str]) -> list[str]:
    """Return the words of `pixmend mend PICTURE` with the picture as the value of its flag."""
    places = flags.find_words(words)
    if len(places) > 1:
        raise FlagError(f"`pixmend mend` takes one picture or folder, not {words[places[0]]} and {words[places[1]]}.")
    return [*words[:places[0]], flag("picture"), *words[places[0]:]] if places else words


def load_stored(command: str, given: Settings, path: Path | None) -> Settings | None:
    """Return the settings of the run that --config or --run names; None where it has no file yet."""
    if path:
        stored, home = run_file.load_run(path, with_command=True), run_file.find_home(path)
        return dataclasses.replace(stored, home=str(home)) if home and "home" not in given.given else stored
    if "run" not in given.given or (command == "configure" and given.force):
        return None
    dataset_name = given.dataset_name if given.given & {"competition", "damage"} else None
    found = run_file.find_run_file(Path(given.home), given.run, dataset_name)
    if found is None:
        return None
    stored = run_file.load_run(found)
    if found.name != run_file.FIRST_EDITION:
        return stored
    channels = competitions.get_default_settings(stored).get("channels", Settings.channels)   # not stored in the first edition
    return dataclasses.replace(stored, channels=channels)


def check_run_exists(settings: Settings) -> None:
    """Raise an error that names the runs that exist if there is no folder of this run."""
    folder, dataset = settings.trained_folder, settings.dataset_name
    if not folder.exists():
        runs = sorted(path.name for path in folder.parent.glob("*/") if (path / run_file.RUN_FILE).exists())
        there = f"Runs of {dataset}: {', '.join(runs)}." if runs else f"There are no runs of {dataset} in {folder.parent}."
        raise UserError(f"There is no run {settings.run!r}.{suggest(settings.run, runs)} {there} Train it first: "
                        f"{format_stage_command('train', settings)}")


def resolve_names(settings: Settings) -> Settings:
    """Return the settings with the registry's names of competitions: photo_reconstruction for Kaggle's photo-reconstruction."""
    damage = settings.damage and competitions.get_competition_name(settings.damage)
    return dataclasses.replace(settings, competition=competitions.get_competition_name(settings.competition), damage=damage)


def check_names(settings: Settings) -> Settings:
    """Return the settings with resolved names; raise a FlagError for names that do not exist."""
    settings, known = resolve_names(settings), models.list_models()
    if settings.model not in known:
        raise FlagError(f"There is no model {settings.model!r}.{suggest(settings.model, known)} There are: {', '.join(known)}.")
    competitions.check_photos_accepted(settings)
    return settings


def format_help() -> str:
    lines = [f"  {name:10} {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(["pixmend COMMAND [flags]", "", *lines, "", f"competitions: {', '.join(competitions.COMPETITIONS)}",
                      "", *models.describe_models(), "", HELP_END])


def format_command_help(name: str) -> str:
    command, groups = COMMANDS[name], ("common", *COMMANDS[name].shows)
    lines = [" ".join(filter(None, ["pixmend", name, command.word, "[flags]"])), "", command.summary]
    if command.note:
        lines += ["", command.note]
    if name == "study":
        lines += ["", f"studies: {', '.join(study_plans.PLANS)}"]
    if command.continues_run and command.shows and command.shows != PIPELINE:
        lines += ["", "Flags of later stages of the same run are accepted, too, and written into its run.toml." if name in STORING
                  else "Flags of other stages are accepted but not stored."]
    if "network" in groups:
        lines += ["", "The defaults below are the general ones. Models replace some of them; run.toml lists what a run uses."]
    if command.continues_run:
        lines += ["", "--config RUN.TOML   take all settings from the file of a run"]
    return "\n".join([*lines, "", build_parser(groups).format_help().strip()])
