"""What is wrong with a table, found line by line: slow and only for telling a person, once a fast reader has balked."""

import csv
import re
from contextlib import contextmanager
from itertools import islice

from pixmend.errors import UserError

NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
FINITE, UNIT, USAGE = "a finite number", "a number in 0..1", "Public or Private"


@contextmanager
def lines(path, advice):
    """Iterate over (line number, fields) of a table's lines that aren't blank, the header's among them."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.reader(file, strict=True)
            yield ((reader.line_num, fields) for fields in reader if fields)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {advice}.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, not a table; {advice}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; {advice}.") from None
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}; {advice}.") from None


def check_rows(path, columns, advice):
    """Raise at the first row that is not as `columns` say; the number of rows where all are."""
    count = 0
    with lines(path, advice) as table:
        for line, fields in islice(table, 1, None):
            if len(fields) != len(columns):
                raise UserError(f"{path}, line {line}: {len(fields)} fields where {len(columns)} are wanted; {advice}.")
            for (name, wanted), text in zip(columns.items(), fields, strict=True):
                if not _is(text, wanted):
                    raise UserError(f"{path}, line {line}: {name} is {text!r}, not {wanted}; {advice}.")
            count += 1
    return count


def row(path, number, advice):
    """The line number and the fields of one row, the first after the header being number 0."""
    with lines(path, advice) as table:
        return next(islice(table, number + 1, None), None)


def _is(text, wanted):
    if wanted in (FINITE, UNIT):
        number = float(text) if NUMBER.fullmatch(text.strip()) else float("nan")
        return abs(number) < float("inf") and (wanted == FINITE or 0 <= number <= 1)
    return wanted != USAGE or text in USAGE.split(" or ")
