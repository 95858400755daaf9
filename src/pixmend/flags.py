"""Flags of the command line: their parser, the old names that still work, and help for those that do not exist."""

import argparse
import os
import re
import sys
from collections.abc import Container, Mapping, Sequence
from typing import Any, NoReturn

from pixmend.config import AUTO, GROUPS, RENAMED, SETTINGS, Settings, SettingSpec, flag
from pixmend.errors import FlagError, suggest
from pixmend.setting_values import format_auto, format_number, format_off, parse_value

OLD_FLAGS = {flag(old): flag(new) for old, new in RENAMED.items()}
OLD_FLAGS |= {flag(f"no_{old}"): format_off(new) for old, new in RENAMED.items() if isinstance(SETTINGS[new].default, bool)}
HINTS = {"--epochs": "Training is measured in steps: --steps 20000.", "--epoch": "Training is measured in steps: --steps 20000.",
         "--lr": "The learning rate is --learning-rate 2e-4.", "--batch": "The batch size is --batch-size 4.",
         "--gpu": "A GPU is used where the backend sees one; `pixmend doctor` shows it."}


def parse_flags(arguments: Sequence[str], groups: Container[str] = GROUPS,
                environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings that flags give; LAMBDA may also come from the environment."""
    arguments = replace_old_flags(arguments)
    check_spelling(arguments)
    if environment.get("LAMBDA") and not any(word.split("=")[0] == "--lambda" for word in arguments):
        arguments = ["--lambda", read_lambda(environment), *arguments]
    given = vars(build_parser(groups).parse_args(arguments))
    values = {name: parse_value(name, os.path.expanduser(value) if SETTINGS[name].is_path else value)   # shells leave --home=~/x
              for name, value in given.items()}
    if values.get("folds", 1) > 1 and "holdout" in values:
        raise FlagError("--holdout and --folds exclude each other: with K folds each holds out one image in K.")
    return Settings(**values, given=frozenset(values))


def read_lambda(environment: Mapping[str, str]) -> str:
    """Return LAMBDA of the environment; raise a FlagError that names it if it is no number, because no flag was typed."""
    text = environment["LAMBDA"]
    try:
        float(text)
    except ValueError:
        raise FlagError(f"The environment variable LAMBDA is {text!r}, which is no number. Unset it, or give --lambda; several "
                        f"values are for a sweep: pixmend sweep --lambda 100,400") from None
    return text


def replace_old_flags(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with today's names of flags, with a warning; --contest, Kaggle's word, has none."""
    replaced = []
    for word in arguments:
        name, equals, value = word.partition("=")
        if name in OLD_FLAGS and name != "--contest":
            print(f"{name} is now called {OLD_FLAGS[name]}.", file=sys.stderr)
        replaced.append(OLD_FLAGS.get(name, name) + equals + value)
    return replaced


def check_spelling(arguments: Sequence[str]) -> None:
    """Raise a FlagError with the right spelling for what is often written instead of a flag."""
    for before, word, following in zip(["", *arguments], arguments, [*arguments[1:], ""], strict=False):
        if takes_value(before):
            continue
        name, _, value = word.partition("=")
        if name in HINTS:
            raise FlagError(f"There is no flag {name}. {HINTS[name]}")
        if re.fullmatch(r"[A-Za-z_]+=.*", word) and name.lower() in {*SETTINGS, "lambda"}:
            environment = f", or LAMBDA={value} before the command" if name.upper() == "LAMBDA" else ""
            raise FlagError(f"{word} is written {flag(name)} {value}{environment}.")
        text = value or following
        if name == "--lambda" and re.search(r",|\.\.", text):
            raise FlagError(f"--lambda {text}: several values are for a sweep: pixmend sweep --lambda {text}")


def build_parser(groups: Container[str]) -> "Parser":
    """Return a parser of the flags of some groups, in the order of GROUPS."""
    parser = Parser(usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS,
                    formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=130))
    sections = {group: parser.add_argument_group(group) for group in GROUPS if group in groups}
    for spec in (spec for spec in SETTINGS.values() if spec.group in sections):
        options: dict[str, Any] = {"dest": spec.name, "help": describe(spec)}
        if isinstance(spec.default, bool):
            options["action"] = argparse.BooleanOptionalAction
        else:
            kind = type(spec.default)
            metavar = "|".join(map(str, spec.choices)) if spec.choices else kind.__name__.upper()
            options |= {"type": read_auto if spec.auto else kind, "metavar": f"{metavar}|{AUTO}" if spec.auto else metavar}
        sections[spec.group].add_argument(flag(spec.name), **options)
    return parser


def takes_value(word: str) -> bool:
    """Tell whether a word is a flag whose value is the next word."""
    with_value = [flag(name) for name, spec in SETTINGS.items() if not isinstance(spec.default, bool)]
    return OLD_FLAGS.get(word, word) in ("--config", *with_value)


def find_words(words: Sequence[str]) -> list[int]:
    """Return the places of the words that are neither flags nor their values."""
    pairs = enumerate(zip(["", *words], words, strict=False))
    return [place for place, (before, word) in pairs if not word.startswith("-") and not takes_value(before)]


def read_auto(text: str) -> int | str:
    """Return the value of a flag that takes a whole number or `auto`."""
    return AUTO if text == AUTO else int(text)


read_auto.__name__ = f"int or {AUTO}"   # for argparse's message


def describe(spec: SettingSpec) -> str:
    """Return the help of a flag, with its default and range."""
    if isinstance(spec.default, bool):
        return f"{spec.help} (default {'yes' if spec.default else 'no'})"
    span = f", {format_number(spec.low)} to {format_number(spec.high)}" if spec.low is not None and spec.high is not None else ""
    is_shown = spec.default != "" and spec.name != "home"
    return spec.help.replace("%", "%%") + (f" (default {format_auto(spec.name, spec.default)}{span})" if is_shown else "")


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises one message instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        raise FlagError(f"{message[0].upper()}{message[1:]}. `pixmend STAGE --help` lists the flags.")

    def parse_args(self, arguments: Any = None, namespace: Any = None) -> argparse.Namespace:   # type: ignore[override]
        values, unknown = self.parse_known_args(arguments)
        if unknown:
            word = unknown[0].split("=")[0]
            owners = {word: spec.group for name, spec in SETTINGS.items() for word in (flag(name), flag(f"no_{name}"))}
            named = "" if word.startswith("-") else f" A run is named with --run {word}."
            reason = (f"{word} is a flag of {owners[word]}, not of this command." if word in owners else
                      f"There is no flag {word}.{suggest(word, self._option_string_actions)}{named}")
            raise FlagError(f"{reason} `pixmend STAGE --help` lists the flags.")
        return values
