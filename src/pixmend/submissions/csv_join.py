"""Millions of ids as numbers of 64 bits, so that tables in different orders can be joined in little memory."""

import numpy as np

MIX = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


def id_numbers(ids):
    """Each id, however long, as a number of 64 bits, so that millions can be sorted and joined in little memory."""
    text, lengths = filled_up(ids)
    numbers = lengths.astype(np.uint64)
    for start, word in enumerate(text.view(np.uint64).T):
        numbers = np.where(lengths > 8 * start, _mixed(numbers ^ word), numbers)
    return numbers


def all_id_numbers(batches):
    return np.concatenate([id_numbers(batch.column(0)) for batch in batches] or [np.empty(0, np.uint64)])


def filled_up(ids):
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
