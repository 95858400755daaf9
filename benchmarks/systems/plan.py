"""What a table of the systems benchmark consists of: places, rows, claims.

In the flags of a row, {run:NAME} stands for the run of another row with the same seed, {minutes:NAME} for the minutes that
another row was trained with that seed, and {photos} for a folder of further photos. The rows that are named are made before.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SEEDS = (1, 2, 3)
PLACEHOLDER = re.compile(r"\{(run|minutes):([\w.-]+)\}")


@dataclass(frozen=True)
class Place:
    """Where runs are compared: the flags of a competition, and of how many photos it is made, if it is made of photos."""

    flags: str
    photos: int = 0


@dataclass(frozen=True)
class Row:
    """What a row is, the flags of its run, and what the project reported."""

    title: str
    flags: str = ""
    reported: str = ""
    predict: str = ""                # further flags of `predict`
    same_run: str = ""               # TABLE/ROW which this row shows again, or whose run it predicts with flags of its own
    seeds: tuple[int, ...] = SEEDS
    is_ours: bool = False            # a network of this project, not of the one that the table is from
    finds_masks: bool = False
    left_out: str = ""               # why it is not measured unless it is named, and what that needs

    @property
    def is_shown_again(self) -> bool:
        """Tell whether all figures of this row are those of another one."""
        return bool(self.same_run and not self.predict)


@dataclass(frozen=True)
class Claim:
    """That one row has a lower RMSE than another."""

    text: str
    better: str
    worse: str


@dataclass(frozen=True)
class Table:
    """One comparison of a project; `size` says how far it is from the project's own, `remarks` what follows from the figures."""

    project: str
    title: str
    place: str
    size: str
    rows: Mapping[str, Row]
    claims: tuple[Claim, ...] = ()
    flags: str = ""                  # of all rows but those of this project
    has_curves: bool = False
    measures_detail: bool = False
    measures_seconds: bool = False
    remarks: str = ""


def make_rows(flag: str, titles: Mapping[str, str], reported: str = "") -> dict[str, Row]:
    """Return a row for each value of a flag."""
    return {value: Row(title, f"{flag} {value}", reported) for value, title in titles.items()}


def merge_flags(*texts: str) -> str:
    """Return the flags of all texts; of a flag that they give twice, the last value."""
    merged = {}
    for part in re.split(r" +(?=--)", " ".join(texts).strip()):
        name, _, value = part.partition(" ")
        merged[name] = value
    return " ".join(f"{name} {value}".strip() for name, value in merged.items())


def list_needed_rows(row: Row) -> list[str]:
    """Return the rows of the same table that have to be made before this one."""
    return [name for _, name in PLACEHOLDER.findall(row.flags)]


def fill_placeholders(flags: str, values: Mapping[str, Callable[[str], str]]) -> str:
    """Return the flags with each placeholder replaced by what `values` returns for the row that it names."""
    return PLACEHOLDER.sub(lambda found: values[found[1]](found[2]), flags)
