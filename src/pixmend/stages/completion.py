"""Print a completion script for bash and zsh; `source <(pixmend completion)` uses it."""

from pathlib import Path

from pixmend import models
from pixmend.commands import COMMANDS
from pixmend.competitions import COMPETITIONS
from pixmend.config import SETTINGS, Settings, flag
from pixmend.experiments.study_plans import PLANS
from pixmend.flags import build_parser

SCRIPT = Path(__file__).with_name("completion.sh")


def main(settings: Settings) -> None:
    """Print the script with today's commands, flags and values in it."""
    text = SCRIPT.read_text(encoding="utf-8")
    switches = [word for name, spec in SETTINGS.items() if isinstance(spec.default, bool)
                for word in (flag(name), flag(name).replace("--", "--no-", 1))]
    lists = {"COMMANDS": " ".join(COMMANDS), "STUDIES": " ".join(PLANS), "FLAGS": format_flags(), "SWITCHES": "|".join(switches),
             "VALUES": format_values()}
    for name, value in lists.items():
        text = text.replace(f"@{name}@", value)
    print(text, end="")


def format_flags() -> str:
    """Return a line of a shell's `case` for each command: the flags that it accepts."""
    flags = {name: sorted(build_parser(command.accepts)._option_string_actions) for name, command in COMMANDS.items()}
    return "\n".join(f"    {name}) flags='--config --help {' '.join(words)}' ;;" for name, words in flags.items())


def format_values() -> str:
    """Return a line of a shell's `case` for each flag whose values are known."""
    known = {name: spec.choices for name, spec in SETTINGS.items() if spec.choices}
    known |= {"competition": tuple(COMPETITIONS), "damage": tuple(COMPETITIONS), "model": tuple(models.list_models())}
    return "\n".join(f"    {flag(name)}) found='{' '.join(map(str, choices))}' ;;" for name, choices in known.items())
