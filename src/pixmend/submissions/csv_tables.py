"""Tables of an id and values, read block by block and compared row by row; csv_faults says where one is wrong."""

from itertools import groupby
from operator import itemgetter

import numpy as np

from pixmend.errors import UserError
from pixmend.submissions import csv_errors
from pixmend.submissions.csv_errors import FINITE, UNIT, USAGE

BLOCK = 1 << 19
NEWLINE = ord("\n")
TEXT = "text"
REWRITE = "write it anew with `python -m pixmend serialize --force`"
MEND = "mend that file"
AGAIN = "fetch it again with `python -m pixmend download --force`"


def header(path, wanted, advice):
    """The names of a table's columns, so many as are wanted."""
    with csv_errors.lines(path, advice) as table:
        _, names = next(table, (1, []))
    if len(names) != wanted or len(set(names)) != wanted:
        raise UserError(f"{path}, line 1: {','.join(names)[:80]!r} is no header of {wanted} columns; {advice}.")
    return names


def lines_in(path):
    """How many lines a file has, several times as fast as reading its rows."""
    lines, last = 0, NEWLINE
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            lines += np.count_nonzero(np.frombuffer(block, np.uint8) == NEWLINE)
            last = block[-1]
    return lines + (last != NEWLINE)


def table(path, kinds, advice):
    """Yield a table's rows block by block; `kinds` says what each column holds: TEXT, FINITE, UNIT or USAGE."""
    columns = dict(zip(header(path, len(kinds), advice), kinds, strict=True))
    for batch in _blocks(path, columns, advice):
        for values, kind in zip(batch.columns, kinds, strict=True):
            if not _all_are(values, kind):
                csv_errors.check_rows(path, columns, advice)
        yield batch


def _blocks(path, columns, advice):
    import pyarrow as pa
    from pyarrow import csv as arrow

    types = {TEXT: pa.binary(), FINITE: pa.float64(), UNIT: pa.float64(), USAGE: pa.bool_()}
    public, private = USAGE.split(" or ")
    read = arrow.ReadOptions(block_size=BLOCK, skip_rows=1, column_names=list(columns))
    convert = arrow.ConvertOptions(column_types={name: types[kind] for name, kind in columns.items()}, null_values=[],
                                   true_values=[public], false_values=[private], check_utf8=False)
    try:
        with pa.OSFile(str(path)) as file, arrow.open_csv(file, read, convert_options=convert) as reader:
            yield from reader
    except pa.ArrowException as error:
        if csv_errors.check_rows(path, columns, advice):
            raise UserError(f"{path} is no readable table ({str(error).splitlines()[0]}); {advice}.") from None


def _all_are(values, kind):
    if kind not in (FINITE, UNIT):
        return True
    values = numbers(values)
    return bool((np.isfinite(values) if kind == FINITE else (values >= 0) & (values <= 1)).all())


def numbers(column):
    """A column of numbers or truths as an array; Arrow's own `to_numpy` would first import pandas, which takes longer."""
    import pyarrow as pa

    return np.from_dlpack(column.cast(pa.uint8())).view(bool) if pa.types.is_boolean(column.type) else np.from_dlpack(column)


def column_of(number, count):
    """A column of one number; Arrow's own `array` would import pandas, too."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(np.full(count, number, np.int64))])


def in_step(left, right):
    """Yield pieces of two tables with equally many rows; at last what one has left over, beside None."""
    left, right, a, b = iter(left), iter(right), None, None
    while True:
        a = a if a is not None and a.num_rows else next(left, None)
        b = b if b is not None and b.num_rows else next(right, None)
        if a is None or b is None:
            break
        count = min(a.num_rows, b.num_rows)
        yield a.slice(0, count), b.slice(0, count)
        a, b = a.slice(count), b.slice(count)
    if a is not None or b is not None:
        yield a, b


def same_ids(a, b):
    return a is not None and b is not None and a.column(0).equals(b.column(0))


def first_difference(left, right):
    """The number of the first row whose ids differ, or with which one table ends; None where all agree."""
    done = 0
    for a, b in in_step(left, right):
        if a is None or b is None:
            return done
        if not same_ids(a, b):
            return done + next(i for i, (x, y) in enumerate(zip(a.column(0), b.column(0), strict=True)) if x != y)
        done += a.num_rows
    return None


def check(path, sample, advice=REWRITE):
    """Hold a submission against the sample: header, ids in order, count, finite values in 0..1."""
    names, wanted = header(path, 2, advice), header(sample, 2, AGAIN)
    if names != wanted:
        raise UserError(f"{path}, line 1: the header is {','.join(names)}, in {sample} {','.join(wanted)}; {advice}.")
    number = first_difference(table(path, (TEXT, UNIT), advice), table(sample, (TEXT, TEXT), AGAIN))
    if number is not None:
        csv_errors.check_rows(path, {names[0]: TEXT, names[1]: UNIT}, advice)
        raise UserError(_difference(path, sample, number, advice))


def _difference(path, sample, number, advice):
    given, wanted = csv_errors.row(path, number, advice), csv_errors.row(sample, number, AGAIN)
    if given is None:
        return f"{path} ends after {number} rows, where {sample} goes on with {wanted[1][0]!r}; {advice}."
    if wanted is None:
        return f"{path}, line {given[0]}: {given[1][0]!r} comes after the last row of {sample}; {advice}."
    return f"{path}, line {given[0]}: the id is {given[1][0]!r}, in {sample} {wanted[1][0]!r}; {advice}."


def values_by_picture(path, wanted):
    """Yield the values of each picture; `wanted` are (picture's number, ids), in the order in which the file must hold them."""
    return (np.concatenate([values for _, values in pieces]) for _, pieces in groupby(_numbered(path, wanted), itemgetter(0)))


def _numbered(path, wanted):
    import pyarrow as pa

    ids = (pa.RecordBatch.from_arrays([ids.column(0), column_of(number, ids.num_rows)], ("id", "picture"))
           for number, ids in wanted)
    for given, true in in_step(table(path, (TEXT, FINITE), REWRITE), ids):
        if not same_ids(given, true):
            raise UserError(f"{path} does not hold the rows of this holdout in their order; {REWRITE}.")
        yield true.column(1)[0].as_py(), numbers(given.column(1))
