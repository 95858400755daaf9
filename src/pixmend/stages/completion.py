"""Print a completion script for bash and zsh; `source <(pixmend completion)` uses it."""

from itertools import chain
from pathlib import Path

from pixmend import models
from pixmend.commands import COMMANDS, PIPELINE
from pixmend.competitions import COMPETITIONS
from pixmend.config import SETTINGS, Settings, flag
from pixmend.experiments.study_plans import PLANS
from pixmend.flags import build_parser
from pixmend.setting_values import format_off

SCRIPT = Path(__file__).with_name("completion.sh")


def main(settings: Settings) -> None:
    """Print the script with today's commands, flags and values in it; a line of a shell's `case` for each command and flag."""
    off_flags = {flag(name): format_off(name) for name, spec in SETTINGS.items() if isinstance(spec.default, bool)}
    known = {name: spec.choices for name, spec in SETTINGS.items() if spec.choices}
    known |= {"competition": tuple(COMPETITIONS), "damage": tuple(COMPETITIONS), "model": tuple(models.list_models())}
    words = {name: sorted(build_parser(PIPELINE + command.shows)._option_string_actions) for name, command in COMMANDS.items()}
    flags = [f"    {name}) flags='--config --help {' '.join(accepted)}' ;;" for name, accepted in words.items()]
    values = [f"    {flag(name)}) found='{' '.join(map(str, choices))}' ;;" for name, choices in known.items()]
    text = SCRIPT.read_text(encoding="utf-8")
    for name, value in {"COMMANDS": " ".join(COMMANDS), "STUDIES": " ".join(PLANS), "FLAGS": "\n".join(flags),
                        "SWITCHES": "|".join(chain(*off_flags.items())), "VALUES": "\n".join(values)}.items():
        text = text.replace(f"@{name}@", value)
    print(text, end="")
