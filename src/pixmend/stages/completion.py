"""Print a completion script for bash and zsh; `source <(.venv/bin/python -m pixmend completion)` uses it."""

from pathlib import Path

from pixmend import models
from pixmend.competitions import COMPETITIONS
from pixmend.config import SETTINGS, flag
from pixmend.experiments import study_plans

SRC = Path(__file__).parent.parent
SCRIPT = Path(__file__).with_name("completion.sh")


def main(settings):
    flags = [word for name in SETTINGS for word in (switch(name) or [flag(name)])]
    filled = {"STAGES": " ".join(files("stages")), "STUDIES": " ".join(study_plans.PLANS), "FLAGS": " ".join(flags),
              "SWITCHES": "|".join(word for name in SETTINGS for word in switch(name)), "VALUES": values()}
    text = SCRIPT.read_text(encoding="utf-8")
    for name, value in filled.items():
        text = text.replace(f"@{name}@", value)
    print(text, end="")


def files(room):
    return sorted(path.stem for path in (SRC / room).glob("[!_]*.py"))


def switch(name):
    """How a flag without a value is turned on and off; nothing for other flags."""
    on = flag(name)
    return [on, on.replace("--", "--no-", 1)] if isinstance(SETTINGS[name].default, bool) else []


def values():
    """A line of a shell's `case` for each flag whose values are known."""
    known = {name: knob.choices for name, knob in SETTINGS.items() if knob.choices}
    known |= {"competition": list(COMPETITIONS), "damage": list(COMPETITIONS), "model": models.list_models()}
    return "\n".join(f"    {flag(name)}) found='{' '.join(map(str, choices))}' ;;" for name, choices in known.items())
