"""The text of submissions' rows, an id and a value each, thousands at a time.

An id is `{name}_box{1|2}_{row}_{column}_{channel}`, or without the box; a value is a number with six decimals. Tables are UTF-8
with a header, quoted where a name needs it.
"""

import csv
import io
from functools import cache

import numpy as np

from pixmend.submissions.csv_join import filled_up

DECIMALS = 6
VALUE_WIDTH = 2 + DECIMALS


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


def box_rows_alike(name, number, box, channels, ending):
    """The same of rows that all end alike: in a comma, one value and the end of the line."""
    return _known(_abreast(*_box_id_pieces(_quoted(name), number, box, channels), _quote(name) + ending))


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


def reordered(rows, order, values):
    """The text of rows as a table asks for them: its ids, and of all values the one that `order` names for each row."""
    texts, done = np.concatenate([value_text(part) for part in values]), 0
    for batch in rows:
        ids, chosen = batch.column(0), texts[order[done:done + batch.num_rows]]
        done += batch.num_rows
        text, _ = filled_up(ids)
        if np.isin(text, list(b',"')).any():
            yield lines((id.as_py().decode(), value.decode()) for id, value in zip(ids, chosen, strict=True))
        else:
            yield _known(_abreast(text, b",", chosen.view(np.uint8).reshape(-1, VALUE_WIDTH), b"\n"))
