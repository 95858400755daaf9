"""Which values a sweep tries of each knob: a list with commas or a range LOW..HIGH, each checked as the knob's own flag."""

import dataclasses
import itertools
from dataclasses import dataclass

from pixmend import config, flags, models
from pixmend.config import SETTINGS, TRAIN_GROUPS, flag
from pixmend.errors import FlagError

DECADE = 10   # a range that spans one is drawn from by powers of ten
DIGITS = 4    # of a value drawn from a range: a run's name and its command hold it exactly
BOOLEANS = {"yes": True, "no": False}
NOT_SWEPT = {"evaluate_every": "is how runs are measured", "evaluation_images": "is how runs are measured",
             "save_minutes": "has no effect on a run's weights"}


@dataclass(frozen=True)
class Choice:
    """A few values, of numbers or names."""

    values: tuple

    def suggest(self, trial, name):
        return trial.suggest_categorical(name, self.values)

    def used(self, value):
        return value

    def __str__(self):
        return ",".join(format_value(value) for value in self.values)


@dataclass(frozen=True)
class Range:
    """All numbers between two, both included."""

    low: float
    high: float

    @property
    def log(self):
        return self.low > 0 and self.high >= DECADE * self.low

    def suggest(self, trial, name):
        suggest = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return suggest(name, self.low, self.high, log=self.log)

    def used(self, value):
        """The value with as many digits as a name holds, still inside."""
        return min(max(type(self.low)(float(f"{value:.{DIGITS}g}")), self.low), self.high)

    def __str__(self):
        return f"{format_value(self.low)}..{format_value(self.high)}"


def format_value(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def split_swept_flags(arguments):
    """The arguments that say one value, and pairs of a knob and what a sweep tries of it."""
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


def has_several_values(name, text):
    """Whether a flag's text says more than one value; only knobs of training may."""
    knob = SETTINGS[name]
    of_training = knob.group in TRAIN_GROUPS
    any_text = isinstance(knob.default, str) and not knob.choices and not of_training
    if any_text or text.startswith("--") or not ("," in text or ".." in text):
        return False
    if not of_training:
        raise FlagError(f"{flag(name)} {text} cannot be swept; flags of `train` can, as in --lambda 100,400 (see --help).")
    return True


def parse_values(name, text):
    if name in NOT_SWEPT:
        raise FlagError(f"{flag(name)} cannot be swept: it {NOT_SWEPT[name]}; give it one value.")
    if ".." not in text:
        return Choice(tuple(dict.fromkeys(parse_value(name, item.strip()) for item in text.split(","))))
    low, _, high = text.partition("..")
    if type(SETTINGS[name].default) not in (int, float):
        raise FlagError(f"{flag(name)} {text}: a range is of numbers; name the values, with commas between.")
    span = Range(parse_value(name, low), parse_value(name, high))
    if span.low >= span.high:
        raise FlagError(f"{flag(name)} {text}: a range goes from a lower to a higher number, as in {span.high:g}..{span.low:g}.")
    return span


def parse_value(name, text):
    """A value, refused by the same sentence as where it stands alone."""
    if isinstance(SETTINGS[name].default, bool):
        if text not in BOOLEANS:
            raise FlagError(f"{flag(name)} {text!r}: in a sweep it is yes or no, as in {flag(name)} yes,no.")
        return BOOLEANS[text]
    value = getattr(flags.parse_flags([f"{flag(name)}={text}"], environment={}), name)
    if not isinstance(value, str) and float(f"{value:g}") != value:
        raise FlagError(f"{flag(name)} {text} has more digits than the name of a run can hold; write {float(f'{value:g}'):.12g}.")
    return value


def list_grid_points(space):
    """Every combination of the listed values, in the order of the lists."""
    for name, values in space.items():
        if isinstance(values, Range):
            raise FlagError(f"A grid needs {flag(name)} as a list, with commas between; for the range {values} take "
                            f"--sampler tpe or random.")
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*(each.values for each in space.values()))]


def make_trial_settings(base, values, contest_defaults):
    """The settings of a trial, named and valued as its own command would be."""
    given = dataclasses.replace(base, **values, given=base.given | set(values), run="")
    return config.complete_settings(given, contest_defaults, models.default_settings)


def format_flag(name, value):
    """A knob as it is typed."""
    if isinstance(value, bool):
        return [flag(name) if value else flag(name).replace("--", "--no-", 1)]
    return [flag(name), format_value(value)]


def format_flags(values):
    return " ".join(word for name, value in values.items() for word in format_flag(name, value))
