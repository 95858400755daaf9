"""A submission's RMSE against a solution, from two tables of millions of rows, in one order or in two."""

import numpy as np

from pixmend.errors import UserError
from pixmend.submissions import csv_errors, csv_join
from pixmend.submissions.csv_errors import FINITE, USAGE
from pixmend.submissions.csv_tables import MEND, REWRITE, TEXT, header, in_step, numbers, same_ids, table


def rmse_of(submission, solution):
    """RMSE over the public, the private and all rows of a solution (id, value, Usage); None where there are no rows."""
    names, wanted = header(submission, 2, REWRITE), header(solution, 3, MEND)
    if names != wanted[:2] or wanted[2] != "Usage":
        raise UserError(f"{submission} has the columns {','.join(names)} and {solution} {','.join(wanted)}; "
                        f"the solution's must be the submission's and then Usage.")
    for path, advice in ((submission, REWRITE), (solution, MEND)):
        if csv_errors.row(path, 0, advice) is None:
            raise UserError(f"{path} has a header and no rows; {advice}.")
    sums = _sums_in_step(submission, solution)
    sums = _sums_joined(submission, solution) if sums is None else sums
    return {name: _rmse(*sums[rows].sum(0)) for name, rows in (("public", [1]), ("private", [0]), ("total", [0, 1]))}


def _sums_in_step(submission, solution):
    """Squared errors summed and counted by usage, of tables whose ids agree row by row; None where they don't."""
    sums = np.zeros((2, 2))
    ours, theirs = table(submission, (TEXT, FINITE), REWRITE), table(solution, (TEXT, FINITE, USAGE), MEND)
    for given, true in in_step(ours, theirs):
        if not same_ids(given, true):
            return None
        sums += _sums(*map(numbers, (given.column(1), true.column(1), true.column(2))))
    return sums


def _sums_joined(submission, solution):
    given, values = _gathered(table(submission, (TEXT, FINITE), REWRITE))
    wanted, truth, public = _gathered(table(solution, (TEXT, FINITE, USAGE), MEND))
    try:
        return _sums(values[csv_join.join(wanted, given)], truth, public)
    except csv_join.Mismatch as mismatch:
        raise UserError(_disagreement(submission, solution, *mismatch.args)) from None


def _gathered(batches):
    """The ids' numbers and the other columns of a whole table."""
    columns = [(csv_join.id_numbers(b.column(0)), *map(numbers, b.columns[1:])) for b in batches]
    return [np.concatenate(parts) for parts in zip(*columns, strict=True)]


def _disagreement(submission, solution, which, what, row):
    path, other = (submission, solution) if which == "given" else (solution, submission)
    advice = MEND if (which, what) == ("wanted", "twice") else REWRITE
    line, fields = csv_errors.row(path, row, advice)
    how = "occurs a second time" if what == "twice" else f"is not in {other}"
    return f"{path}, line {line}: the id {fields[0]!r} {how}; {advice}."


def _sums(given, true, public):
    squares = np.square(given - true)
    return np.array([[squares[rows].sum(), np.count_nonzero(rows)] for rows in (~public, public)])


def _rmse(total, count):
    return float(np.sqrt(total / count)) if count else None
