"""Flags of the command line: their parser, the old names that still work, and help for those that do not exist."""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from pixmend.config import AUTO, GROUPS, ROOT, SETTINGS, Settings, SettingSpec, flag, format_number, parse_value
from pixmend.errors import FlagError

# Names of the first edition. They still work, with a warning.
OLD_FLAGS = {
    "--contest": "--competition", "--begin": "--init-from", "--even": "--contrast-weighting", "--no-even": "--no-contrast-weighting",
    "--damages": "--masks-per-image", "--fresh-damage": "--fresh-masks", "--no-fresh-damage": "--no-fresh-masks",
    "--check-every": "--evaluate-every", "--check-pictures": "--evaluation-images", "--pictures": "--photos",
    "--average": "--ema-decay", "--decay": "--weight-decay", "--clip": "--clip-norm", "--warm-up": "--warmup-steps",
    "--hide-mask": "--unknown-masks", "--no-hide-mask": "--no-unknown-masks", "--located": "--mask-run", "--group": "--steps-per-call",
    "--again": "--resubmit", "--patience": "--kaggle-timeout", "--study": "--sweep-name", "--broken": "--broken-images",
    "--filling": "--hole-colour", "--wait": "--wait-minutes",
}
SILENT = {"--contest"}   # Kaggle's and the first edition's word; both are right
HINTS = {"--epochs": "Training is measured in steps: --steps 20000.", "--epoch": "Training is measured in steps: --steps 20000.",
         "--lr": "The learning rate is --learning-rate 2e-4.", "--batch": "The batch size is --batch-size 4.",
         "--gpu": "A GPU is used where the backend sees one; `pixmend doctor` shows it."}


def parse_flags(arguments: Sequence[str], groups: Iterable[str] = tuple(GROUPS), environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings that flags give; LAMBDA may also come from the environment."""
    arguments = replace_old_flags(arguments)
    check_spelling(arguments)
    if "LAMBDA" in environment and not any(word.split("=")[0] == "--lambda" for word in arguments):
        arguments = ["--lambda", environment["LAMBDA"], *arguments]
    values = vars(build_parser(groups).parse_args(arguments))
    for name, value in values.items():
        values[name] = parse_value(name, value)
    if values.get("folds", 1) > 1 and "holdout" in values:
        raise FlagError("--holdout and --folds exclude each other: with K folds each holds out one image in K.")
    return Settings(**values, given=frozenset(values))


def replace_old_flags(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with today's names of flags."""
    replaced = []
    for word in arguments:
        name, equals, value = word.partition("=")
        if name in OLD_FLAGS and name not in SILENT:
            print(f"{name} is now called {OLD_FLAGS[name]}.", file=sys.stderr)
        replaced.append(OLD_FLAGS.get(name, name) + equals + value)
    return replaced


def check_spelling(arguments: Sequence[str]) -> None:
    """Raise a FlagError with the right spelling for what is often written instead of a flag."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        name, _, value = word.partition("=")
        if name in HINTS:
            raise FlagError(f"There is no flag {name}. {HINTS[name]}")
        if re.fullmatch(r"[A-Za-z_]+=.*", word) and name.lower() in SETTINGS | {"lambda": None}:
            raise FlagError(f"{word} is written {flag(name)} {value}, or {name}={value} before the command for LAMBDA.")
        text = value or following
        if name == "--lambda" and re.search(r",|\.\.", text):
            raise FlagError(f"--lambda {text}: several values are for a sweep: pixmend sweep --lambda {text}")


def build_parser(groups: Iterable[str] = tuple(GROUPS)) -> argparse.ArgumentParser:
    """Return a parser of the flags of some groups."""
    parser = Parser(usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS,
                    formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=130))
    for group in groups:
        section = parser.add_argument_group(group)
        for spec in (spec for spec in SETTINGS.values() if spec.group == group):
            options: dict[str, Any] = {"dest": spec.name, "help": describe(spec)}
            if isinstance(spec.default, bool):
                options["action"] = argparse.BooleanOptionalAction
                options["help"] = f"{spec.help} (default {'yes' if spec.default else 'no'})"
            else:
                options |= {"type": make_type(spec), "metavar": metavar(spec)}
            section.add_argument(spec.flag, **options)
    return parser


def make_type(spec: SettingSpec) -> Any:
    """Return the function that reads a flag's value: a value of the setting's type, or `auto` where that is allowed."""
    kind = type(spec.default)

    def read(text: str) -> Any:
        if spec.auto:
            return AUTO if text == AUTO else kind(text)
        return kind(text)

    read.__name__ = f"{kind.__name__} or {AUTO}" if spec.auto else kind.__name__
    return read


def metavar(spec: SettingSpec) -> str:
    if spec.choices:
        return "|".join(map(str, spec.choices))
    return f"{type(spec.default).__name__.upper()}|{AUTO}" if spec.auto else type(spec.default).__name__.upper()


def describe(spec: SettingSpec) -> str:
    """Return the help of a flag, with its default and range."""
    span = f", {format_number(spec.low)} to {format_number(spec.high)}" if spec.low is not None and spec.high is not None else ""
    default = AUTO if spec.auto and spec.default == 0 else spec.default
    hidden = default in ("", str(ROOT)) or spec.name == "home" or isinstance(default, bool)
    return spec.help.replace("%", "%%") + ("" if hidden else f" (default {default}{span})")


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises one message instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        raise FlagError(f"{message[0].upper()}{message[1:]}. `pixmend STAGE --help` lists the flags.")

    def parse_args(self, arguments: Any = None, namespace: Any = None) -> argparse.Namespace:   # type: ignore[override]
        values, unknown = self.parse_known_args(arguments)
        if unknown:
            raise FlagError(self.explain(unknown[0].split("=")[0]))
        return values

    def explain(self, word: str) -> str:
        """Return why a flag is not accepted here, and what may have been meant."""
        spec = next((spec for spec in SETTINGS.values() if word in (spec.flag, spec.flag.replace("--", "--no-", 1))), None)
        if spec:
            return f"{word} is a flag of {spec.group}, not of this command. `pixmend STAGE --help` lists the flags."
        near = difflib.get_close_matches(word, self._option_string_actions, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        return f"There is no flag {word}.{hint} `pixmend STAGE --help` lists the flags."
