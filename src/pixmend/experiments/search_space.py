"""The values that a sweep tries of each setting: a list with commas or a range LOW..HIGH, checked as the setting's flag is."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixmend import flags
from pixmend.config import SETTINGS, TRAIN_GROUPS, flag
from pixmend.errors import FlagError
from pixmend.setting_values import format_flag

DECADE = 10   # a range that spans a factor of ten is sampled on a logarithmic scale
DIGITS = 4    # of a sampled value, so that a run's name and its command hold it exactly
LISTS = {"log"}   # settings whose one value has commas
NOT_SWEPT = {"evaluate_every": "decides how runs are measured", "evaluation_images": "decides how runs are measured",
             **dict.fromkeys(("save_minutes", "snapshots", "steps_per_call"), "has no effect on the weights of a run")}


@dataclass(frozen=True)
class Choice:
    values: tuple   # numbers or names

    def suggest(self, trial: Any, name: str) -> Any:
        return trial.suggest_categorical(name, self.values)

    def round_value(self, value: Any) -> Any:
        return value

    def __str__(self) -> str:
        return ",".join(format_value(value) for value in self.values)


@dataclass(frozen=True)
class Range:
    """All numbers between two, both included."""

    low: float
    high: float

    @property
    def log(self) -> bool:
        return self.low > 0 and self.high >= DECADE * self.low

    def suggest(self, trial: Any, name: str) -> Any:
        suggest = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return suggest(name, self.low, self.high, log=self.log)

    def round_value(self, value: float) -> float:
        """Return the value with as many digits as a run's name holds, inside the range."""
        return min(max(type(self.low)(float(f"{value:.{DIGITS}g}")), self.low), self.high)

    def __str__(self) -> str:
        return f"{format_value(self.low)}..{format_value(self.high)}"


Space = Mapping[str, Choice | Range]


def format_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def split_swept_flags(arguments: Sequence[str]) -> tuple[list[str], tuple[tuple[str, Choice | Range], ...]]:
    """Return the arguments with one value, and pairs of a setting and the values that a sweep tries of it."""
    names, words, rest, swept = {flag(name): name for name in SETTINGS}, list(arguments), [], {}
    while words:
        word = words.pop(0)
        start, equals, text = word.partition("=")
        text = text if equals else next(iter(words), "")
        if start in names and has_several_values(names[start], text):
            swept[names[start]] = parse_values(names[start], text)
            words = words if equals else words[1:]
        else:
            rest.append(word)
    return rest, tuple(swept.items())


def has_several_values(name: str, text: str) -> bool:
    """Tell whether a flag's text gives several values; only settings of training may have several."""
    spec = SETTINGS[name]
    of_training = spec.group in TRAIN_GROUPS
    is_range = ".." in text and not is_free_text(name)
    if (is_free_text(name) and not of_training) or name in LISTS or text.startswith("--") or not ("," in text or is_range):
        return False
    if not of_training:
        raise FlagError(f"{flag(name)} {text} cannot be swept. Flags of `train` can, for example --lambda 100,400.")
    return True


def is_free_text(name: str) -> bool:
    """Tell whether a setting is a text such as a path, in which two points are no range."""
    return isinstance(SETTINGS[name].default, str) and not SETTINGS[name].choices


def parse_values(name: str, text: str) -> Choice | Range:
    if name in NOT_SWEPT:
        raise FlagError(f"{flag(name)} cannot be swept: it {NOT_SWEPT[name]}. Give it one value.")
    if ".." not in text or is_free_text(name):
        return Choice(tuple(dict.fromkeys(parse_value(name, item.strip()) for item in text.split(","))))
    if type(SETTINGS[name].default) not in (int, float):
        raise FlagError(f"{flag(name)} {text}: a range is for numbers. List the values, separated by commas.")
    low, _, high = text.partition("..")
    span = Range(parse_value(name, low), parse_value(name, high))
    if span.low >= span.high:
        raise FlagError(f"{flag(name)} {text}: a range goes from the lower to the higher number: {span.high:g}..{span.low:g}")
    return span


def parse_value(name: str, text: str) -> Any:
    """Return one value, checked as the flag's value is."""
    if isinstance(SETTINGS[name].default, bool):
        if text not in ("yes", "no"):
            raise FlagError(f"{flag(name)} {text!r}: in a sweep it is yes or no, for example {flag(name)} yes,no.")
        return text == "yes"
    value = getattr(flags.parse_flags([f"{flag(name)}={text}"], environment={}), name)
    if not isinstance(value, str) and float(f"{value:g}") != value:
        raise FlagError(f"{flag(name)} {text} has more digits than the name of a run can hold. Use {float(f'{value:g}'):.12g}.")
    return value


def list_grid_points(space: Space) -> list[dict[str, Any]]:
    """Return every combination of the listed values, in the order of the lists."""
    lists = []
    for name, choice in space.items():
        if isinstance(choice, Range):
            raise FlagError(f"A grid needs {flag(name)} as a list, separated by commas. For the range {choice} use --sampler tpe "
                            f"or random.")
        lists.append(choice.values)
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*lists)]


def format_flags(values: Mapping[str, Any]) -> str:
    return " ".join(word for name, value in values.items() for word in format_flag(name, value))
