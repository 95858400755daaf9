"""Submission tables: millions of rows of an id and a value, written, compared, joined and scored many at a time.

An id is `{name}_box{1|2}_{row}_{column}_{channel}`; a value is a number with six decimals. Tables are UTF-8 with a
header, quoted where a name needs it. Only bytes are looked at until something is wrong; then csv_faults says where.
"""

import csv
import io
from functools import cache
from itertools import groupby
from operator import itemgetter

import numpy as np

from src import csv_faults
from src.csv_faults import FINITE, UNIT, USAGE
from src.errors import UserError

BLOCK = 1 << 22
DECIMALS = 6
VALUE_WIDTH = 2 + DECIMALS
TEXT = "text"
REWRITE = "write it anew with `python -m src serialize --force`"
MEND = "mend that file"
AGAIN = "fetch it again with `python -m src download --force`"
MIX = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


def lines(rows):
    """Lines of a table as bytes, quoted where they must be."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def box_rows(name, number, box, values, ending=b"\n"):
    """The text of a box's rows: row by row, column by column, channel by channel; `values`, in 0..1, in that order."""
    height, width = box[2:]
    values = values.reshape(height, width, -1)
    return _rows(_box_id_pieces(_quoted(name), number, box, values.shape[2]), _quote(name), values, ending)


def box_ids(name, number, box, channels):
    """The ids of a box as a table of one Arrow column of bytes, in the order of box_rows."""
    return _ids(_box_id_pieces(name.encode(), number, box, channels))


def pixel_rows(name, mask, values, ending=b"\n"):
    """The text of the rows of a mask's pixels, row by row; `values`, in 0..1, are pixels x channels."""
    return _rows(_pixel_id_pieces(_quoted(name), mask, values.shape[1]), _quote(name), values, ending)


def pixel_ids(name, mask, channels):
    """The ids of a mask's pixels as a table of one Arrow column of bytes, in the order of pixel_rows."""
    return _ids(_pixel_id_pieces(name.encode(), mask, channels))


def _quote(name):
    return b'"' if set(name) & set(',"') else b""


def _quoted(name):
    """The beginning of an id, its quotes doubled and one put before it where a table needs that."""
    return _quote(name) + (name.replace('"', '""') if _quote(name) else name).encode()


def _rows(id_pieces, quote, values, ending):
    text = value_text(values).view(np.uint8).reshape(*values.shape, VALUE_WIDTH)
    return _known(_abreast(*id_pieces, quote + b",", text, ending))


def _ids(pieces):
    import pyarrow as pa

    lengths = sum(_length(piece) for piece in pieces).ravel()
    offsets = np.zeros(lengths.size + 1, np.int32)
    lengths.cumsum(out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(_known(_abreast(*pieces)))]
    return pa.RecordBatch.from_arrays([pa.Array.from_buffers(pa.binary(), lengths.size, buffers)], ["id"])


def value_text(values):
    """Values in 0..1 as words of eight bytes, rounded half to even as printf does."""
    return _all_value_texts()[np.rint(np.asarray(values, np.float64) * 10**DECIMALS).astype(np.int32)]


@cache
def _all_value_texts():
    """0.000000, 0.000001, ... 1.000000."""
    numbers = np.arange(10**DECIMALS + 1)
    text = np.full((numbers.size, VALUE_WIDTH), ord("."), np.uint8)
    text[:, 0] = numbers // 10**DECIMALS + ord("0")
    for place in range(DECIMALS):
        text[:, 2 + place] = numbers // 10**(DECIMALS - 1 - place) % 10 + ord("0")
    return text.view(f"S{VALUE_WIDTH}").ravel()


def _box_id_pieces(prefix, number, box, channels):
    row, column, height, width = box
    return (prefix + b"_box%d_" % number, _digits(row, height)[:, None, None], b"_", _digits(column, width)[:, None],
            b"_", _digits(0, channels))


def _pixel_id_pieces(prefix, mask, channels):
    """Grey pictures have no channel in their ids."""
    rows, columns = (_digits(0, length)[places][:, None] for length, places in zip(mask.shape, np.nonzero(mask), strict=True))
    return prefix + b"_", rows, b"_", columns, *((b"_", _digits(0, channels)) if channels > 1 else ())


def _digits(first, count):
    """The numbers from `first` on as text, one a row, filled up with zero bytes."""
    return np.array([b"%d" % number for number in range(first, first + count)]).view(np.uint8).reshape(count, -1)


def _abreast(*pieces):
    """Pieces of text, broadcast over the rows, columns and channels of a box, joined along the last axis."""
    pieces = [np.frombuffer(piece, np.uint8) if isinstance(piece, bytes) else piece for piece in pieces]
    shape = np.broadcast_shapes(*(piece.shape[:-1] for piece in pieces))
    text, at = np.empty((*shape, sum(piece.shape[-1] for piece in pieces)), np.uint8), 0
    for piece in pieces:
        text[..., at:at + piece.shape[-1]] = piece
        at += piece.shape[-1]
    return text


def _known(text):
    """Text without the zero bytes that filled it up."""
    return text.tobytes().replace(b"\0", b"")


def _length(piece):
    return len(piece) if isinstance(piece, bytes) else np.count_nonzero(piece, axis=-1)


def header(path, wanted, advice):
    """The names of a table's columns, so many as are wanted."""
    with csv_faults.lines(path, advice) as table:
        _, names = next(table, (1, []))
    if len(names) != wanted or len(set(names)) != wanted:
        raise UserError(f"{path}, line 1: {','.join(names)[:80]!r} is no header of {wanted} columns; {advice}.")
    return names


def table(path, kinds, advice):
    """Yield a table's rows block by block; `kinds` says what each column holds: TEXT, FINITE, UNIT or USAGE."""
    columns = dict(zip(header(path, len(kinds), advice), kinds, strict=True))
    for batch in _blocks(path, columns, advice):
        for values, kind in zip(batch.columns, kinds, strict=True):
            if not _all_are(values, kind):
                csv_faults.check_rows(path, columns, advice)
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
        if csv_faults.check_rows(path, columns, advice):
            raise UserError(f"{path} is no readable table ({str(error).splitlines()[0]}); {advice}.") from None


def _all_are(values, kind):
    if kind not in (FINITE, UNIT):
        return True
    values = values.to_numpy()
    return bool((np.isfinite(values) if kind == FINITE else (values >= 0) & (values <= 1)).all())


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
        csv_faults.check_rows(path, {names[0]: TEXT, names[1]: UNIT}, advice)
        raise UserError(_difference(path, sample, number, advice))


def _difference(path, sample, number, advice):
    given, wanted = csv_faults.row(path, number, advice), csv_faults.row(sample, number, AGAIN)
    if given is None:
        return f"{path} ends after {number} rows, where {sample} goes on with {wanted[1][0]!r}; {advice}."
    if wanted is None:
        return f"{path}, line {given[0]}: {given[1][0]!r} comes after the last row of {sample}; {advice}."
    return f"{path}, line {given[0]}: the id is {given[1][0]!r}, in {sample} {wanted[1][0]!r}; {advice}."


def id_numbers(ids):
    """Each id, however long, as a number of 64 bits, so that millions can be sorted and joined in little memory."""
    text, lengths = _filled_up(ids)
    numbers = lengths.astype(np.uint64)
    for start, word in enumerate(text.view(np.uint64).T):
        numbers = np.where(lengths > 8 * start, _mixed(numbers ^ word), numbers)
    return numbers


def _filled_up(ids):
    """An Arrow column of bytes as a matrix of text, filled up with zero bytes to whole words; and the lengths."""
    offsets = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset:ids.offset + len(ids) + 1]
    lengths = np.diff(offsets)
    text = np.zeros((len(ids), 8 * -(-int(lengths.max(initial=1)) // 8)), np.uint8)
    letters = np.frombuffer(ids.buffers()[2], np.uint8)
    text[np.arange(text.shape[1]) < lengths[:, None]] = letters[offsets[0]:offsets[-1]]
    return text, lengths


def _mixed(numbers):
    """The finisher of MurmurHash3: every bit in, every bit out."""
    for factor in MIX:
        numbers = (numbers ^ (numbers >> np.uint64(33))) * factor
    return numbers ^ (numbers >> np.uint64(33))


class Mismatch(Exception):
    """Two tables don't hold the same ids: which is wrong, how, and in which row of it."""


def join(wanted, given):
    """Positions with `given[positions] == wanted`, of id numbers that are the same set; else a Mismatch."""
    in_wanted, in_given = np.argsort(wanted), np.argsort(given)
    ordered = wanted[in_wanted]
    if not np.array_equal(ordered, given[in_given]) or (ordered[1:] == ordered[:-1]).any():
        raise _mismatch(wanted, given)
    positions = np.empty_like(in_given)
    positions[in_wanted] = in_given
    return positions


def _mismatch(wanted, given):
    faults = {("wanted", "twice"): _first_repeat(wanted), ("given", "twice"): _first_repeat(given),
              ("given", "unknown"): _first(~np.isin(given, wanted)),
              ("wanted", "missing"): _first(~np.isin(wanted, given))}
    return Mismatch(*next((*fault, row) for fault, row in faults.items() if row is not None))


def _first_repeat(numbers):
    order = np.argsort(numbers, stable=True)
    again = order[1:][numbers[order[1:]] == numbers[order[:-1]]]
    return int(again.min()) if again.size else None


def _first(flags):
    return int(flags.argmax()) if flags.any() else None


def score_tables(submission, solution):
    """RMSE over the public, the private and all rows of a solution (id, value, Usage); None where there are no rows."""
    names, wanted = header(submission, 2, REWRITE), header(solution, 3, MEND)
    if names != wanted[:2] or wanted[2] != "Usage":
        raise UserError(f"{submission} has the columns {','.join(names)} and {solution} {','.join(wanted)}; "
                        f"the solution's must be the submission's and then Usage.")
    sums = _sums_in_step(submission, solution)
    sums = _sums_joined(submission, solution) if sums is None else sums
    return {name: _rmse(*sums[rows].sum(0)) for name, rows in (("public", [1]), ("private", [0]), ("total", [0, 1]))}


def _sums_in_step(submission, solution):
    """Squared errors summed and counted by usage, of tables whose ids agree row by row; None where they don't."""
    sums = np.zeros((2, 2))
    pieces = in_step(table(submission, (TEXT, FINITE), REWRITE), table(solution, (TEXT, FINITE, USAGE), MEND))
    for given, true in pieces:
        if not same_ids(given, true):
            return None
        sums += _sums(given.column(1).to_numpy(), true.column(1).to_numpy(), true.column(2).to_numpy(False))
    return sums


def _sums_joined(submission, solution):
    given, values = _gathered(table(submission, (TEXT, FINITE), REWRITE))
    wanted, truth, public = _gathered(table(solution, (TEXT, FINITE, USAGE), MEND))
    try:
        return _sums(values[join(wanted, given)], truth, public)
    except Mismatch as mismatch:
        raise UserError(_disagreement(submission, solution, *mismatch.args)) from None


def _disagreement(submission, solution, which, what, row):
    path, other = (submission, solution) if which == "given" else (solution, submission)
    advice = MEND if (which, what) == ("wanted", "twice") else REWRITE
    line, fields = csv_faults.row(path, row, advice)
    how = "occurs a second time" if what == "twice" else f"is not in {other}"
    return f"{path}, line {line}: the id {fields[0]!r} {how}; {advice}."


def all_id_numbers(batches):
    return np.concatenate([id_numbers(batch.column(0)) for batch in batches] or [np.empty(0, np.uint64)])


def reordered(rows, order, values):
    """The text of rows as a table asks for them: its ids, and of all values the one that `order` names for each row."""
    texts, done = np.concatenate([value_text(part) for part in values]), 0
    for batch in rows:
        ids, chosen = batch.column(0), texts[order[done:done + batch.num_rows]]
        done += batch.num_rows
        text, _ = _filled_up(ids)
        if np.isin(text, list(b',"')).any():
            yield lines((id.as_py().decode(), value.decode()) for id, value in zip(ids, chosen, strict=True))
        else:
            yield _known(_abreast(text, b",", chosen.view(np.uint8).reshape(-1, VALUE_WIDTH), b"\n"))


def _gathered(batches):
    """The ids' numbers and the other columns of a whole table."""
    columns = [(id_numbers(b.column(0)), *(c.to_numpy(zero_copy_only=False) for c in b.columns[1:])) for b in batches]
    return [np.concatenate(parts) for parts in zip(*columns, strict=True)]


def _sums(given, true, public):
    squares = np.square(given - true)
    return np.array([[squares[rows].sum(), np.count_nonzero(rows)] for rows in (~public, public)])


def _rmse(total, count):
    return float(np.sqrt(total / count)) if count else None


def values_by_picture(path, wanted):
    """Yield the values of each picture; `wanted` are (picture's number, ids), in the order in which the file must hold them."""
    return (np.concatenate([values for _, values in pieces]) for _, pieces in groupby(_numbered(path, wanted), itemgetter(0)))


def _numbered(path, wanted):
    import pyarrow as pa

    ids = (pa.RecordBatch.from_arrays([ids.column(0), pa.array(np.full(ids.num_rows, number))], ("id", "picture"))
           for number, ids in wanted)
    for given, true in in_step(table(path, (TEXT, FINITE), REWRITE), ids):
        if not same_ids(given, true):
            raise UserError(f"{path} does not hold the rows of this holdout in their order; {REWRITE}.")
        yield true.column(1)[0].as_py(), given.column(1).to_numpy()
