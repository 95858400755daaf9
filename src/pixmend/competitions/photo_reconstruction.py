"""The Kaggle competition `photo-reconstruction`: four classes of animals, two black squares in each picture, RMSE.

Its archive holds, under Dataset/, whole and damaged training pictures by class and the damaged test pictures, each set
with a masked_info.csv that says where the squares begin; and sample_submission.csv with every id to be submitted.
Channel 0 of a submission and the scale of its values are not documented, so both are settings.
"""

import re
import unicodedata
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np

from pixmend import files
from pixmend.data.damage import BLACK, box_counts, covered, two_boxes
from pixmend.data.image_record import Entry
from pixmend.errors import UserError
from pixmend.submissions import csv_errors, csv_join, csv_scores, csv_tables, csv_text
from pixmend.submissions.csv_tables import AGAIN

SLUG = "photo-reconstruction"
DEFAULTS = {}
CHANNELS = 3
SCORES = {}
ENDING, TABLE, SAMPLE = ".csv", "masked_info.csv", "sample_submission.csv"
CORNERS = ("box1_row", "box1_col", "box2_row", "box2_col")
PICTURES = (".jpeg", ".jpg", ".png")
WHOLE_NUMBER = re.compile(r"\d{1,9}(\.0*)?", re.ASCII)


def box_side(shape):
    """75 pixels in a picture of 256, and in that proportion elsewhere."""
    return round(75 * shape[0] / 256)


def draw_boxes(rng, shape):
    return two_boxes(rng, shape, box_side(shape))


def missing(rng, shape, settings):
    """How often each pixel is asked for, two new boxes drawn."""
    return box_counts(draw_boxes(rng, shape), shape)


def cover(settings):
    """What stands where pixels are missing."""
    return BLACK


def damage(rng, picture, settings):
    """A picture with new black boxes, and how often each pixel is asked for."""
    counts = missing(rng, picture.shape, settings)
    return covered(picture, counts), counts


def read(folder, shape):
    """The training pictures, class by class in the order of their tables, then the test pictures in theirs."""
    folder = Path(folder)
    kinds = _folders(folder / "Dataset" / "Training_Data")
    train = {kind.name: _training_rows(kind, shape) for kind in kinds}
    testing = folder / "Dataset" / "Testing_Data"
    test = _rows(testing, shape)
    _check_pictures(testing, test, testing / TABLE)
    _check_sample_briefly(folder, test)
    uses = Counter(name for rows in [*train.values(), test] for name in rows)
    entries = [_training_entry(kind, name, boxes, name if uses[name] == 1 else f"{kind.name}/{name}")
               for kind in kinds for name, boxes in train[kind.name].items()]
    return entries + [Entry(name, "", name, "test", str(testing / name), None, boxes) for name, boxes in test.items()]


def _training_entry(kind, name, boxes, id):
    damaged, whole = (str(kind / folder / name) for folder in ("Masked_Train", "Unmasked_Train"))
    return Entry(id, kind.name, id, "train", damaged, whole, boxes)


def _training_rows(kind, shape):
    rows = _rows(kind / "Masked_Train", shape)
    for folder in ("Masked_Train", "Unmasked_Train"):
        _check_pictures(kind / folder, rows, kind / "Masked_Train" / TABLE)
    return rows


def _folders(parent):
    found = sorted(path for path in _listed(parent) if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise UserError(f"{parent} holds no class folders; {AGAIN}.")
    return found


def _listed(folder):
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} is missing; {AGAIN}.") from None


def _rows(folder, shape):
    """Boxes by file name, as a folder's masked_info.csv lists them."""
    path, rows, alike = folder / TABLE, {}, {}
    with csv_errors.lines(path, AGAIN) as table:
        _, names = next(table, (1, []))
        columns = [_column(path, names, wanted) for wanted in ("filename", *CORNERS)]
        for line, fields in table:
            if len(fields) != len(names):
                raise UserError(f"{path}, line {line}: {len(fields)} fields where {len(names)} are wanted; {AGAIN}.")
            name, *corners = (fields[column] for column in columns)
            _check_name(path, line, name, alike)
            rows[name] = _boxes(path, line, corners, shape)
    return rows


def _column(path, names, wanted):
    if wanted not in (clean := [name.removeprefix("\ufeff") for name in names]):
        raise UserError(f"{path} has no column {wanted}, only {','.join(clean)[:80]!r}; {AGAIN}.")
    return clean.index(wanted)


def _check_name(path, line, name, alike):
    """Refuse a name that comes again, or that some file systems take for another one."""
    if any(c < " " for c in name) or "/" in name:
        raise UserError(f"{path}, line {line}: {name!r} is no file name; {AGAIN}.")
    other = alike.setdefault(unicodedata.normalize("NFC", name).casefold(), (line, name))
    if other[1] != name:
        raise UserError(f"{path}, line {line}: {name} and {other[1]} (line {other[0]}) differ only in case; {AGAIN}.")
    if other[0] != line:
        raise UserError(f"{path}, line {line}: {name} stands in line {other[0]} already; {AGAIN}.")


def _boxes(path, line, corners, shape):
    side, texts = box_side(shape), [text.strip() for text in corners]
    for name, text in zip(CORNERS, texts, strict=True):
        if not WHOLE_NUMBER.fullmatch(text):
            raise UserError(f"{path}, line {line}: {name} is {text!r}, not a whole number from 0 on; {AGAIN}.")
    row1, column1, row2, column2 = (int(text.split(".")[0]) for text in texts)
    if max(row1, row2) + side > shape[0] or max(column1, column2) + side > shape[1]:
        raise UserError(f"{path}, line {line}: a box of {side} pixels at ({row1}, {column1}) or ({row2}, {column2}) "
                        f"leaves the picture of {shape[1]}x{shape[0]}; give --size the contest's own, or {AGAIN}.")
    return (row1, column1, side, side), (row2, column2, side, side)


def _check_pictures(folder, rows, table):
    """Every row has its picture in a folder, and every picture its row."""
    present = {path.name for path in _listed(folder)}
    for name in rows:
        if name not in present:
            near = next((f"; there is {p}" for p in sorted(present) if p.casefold() == name.casefold()), "")
            raise UserError(f"{table} lists {name}, which {folder} does not hold{near}; {AGAIN}.")
    for name in sorted(present - rows.keys()):
        if name.lower().endswith(PICTURES) and not name.startswith("."):
            raise UserError(f"{folder / name} has no row in {table}; {AGAIN}, or remove the picture and go on with "
                            "`python -m pixmend augment` (`download` would bring it back).")


def _check_sample_briefly(folder, test):
    """The header, the first rows and how many there are; `sample_order` looks at every id."""
    path, wanted = folder / SAMPLE, sum(h * w for boxes in test.values() for *_, h, w in boxes) * CHANNELS
    for rows in islice(_sample_rows(folder), 1):
        first = rows.column(0)[0].as_py().decode(errors="replace")
        if first.rpartition("_box")[0] not in test:
            raise UserError(f"{path}: its first id, {first!r}, is of no test picture; {AGAIN}.")
    if csv_tables.lines_in(path) - 1 == wanted:
        return
    given = sum(rows.num_rows for rows in _sample_rows(folder))   # which leaves blank lines out
    if given != wanted:
        raise UserError(f"{path} has {given} rows, and the test pictures' boxes {wanted}; {AGAIN}.")


def header(folder):
    """The submission's two column names, from the sample."""
    return csv_tables.header(Path(folder) / SAMPLE, 2, AGAIN)


def as_sent(picture, settings):
    """A picture, float RGB in 0..1, scaled and its channels ordered as the settings say a submission is."""
    values = picture[..., ::-1] if settings.channel_order == "bgr" else picture
    return _stretched(values) if settings.value_scale == "minmax" else values


def rows(picture, boxes, settings):
    """The values of a picture's boxes as they are sent."""
    values = as_sent(picture, settings)
    return np.concatenate([values[r:r + h, c:c + w].ravel() for r, c, h, w in boxes]).astype(np.float32)


def _stretched(picture):
    """Each channel from 0 to 1 over the whole picture; a flat one becomes 0."""
    low, high = picture.min((0, 1)), picture.max((0, 1))
    return (picture - low) / np.where(high > low, high - low, 1)


def write(path, entries, pictures, settings):
    """Stream predictions into a submission; one of test pictures comes out in the sample's order."""
    folder = settings.competition_folder / "files"
    first_line = csv_text.lines([header(folder)])
    order = sample_order(folder, entries) if all(entry.split == "test" for entry in entries) else None
    values = (_values(entry, picture, settings) for entry, picture in zip(entries, pictures, strict=True))
    with files.whole_file(path) as file:
        file.write(first_line)
        if order is None:
            file.writelines(texts(entries, values))
        else:
            file.writelines(csv_text.reordered(_sample_rows(folder), order, values))


def texts(entries, values, ending=b"\n"):
    """The rows of each entry's boxes as text."""
    for entry, of_entry in zip(entries, values, strict=True):
        for number, (box, part) in enumerate(zip(entry.boxes, _by_box(of_entry, entry.boxes), strict=True), 1):
            yield csv_text.box_rows(entry.id, number, box, part, ending)


def _by_box(values, boxes):
    return np.split(values, np.cumsum([h * w * CHANNELS for *_, h, w in boxes])[:-1])


def _values(entry, picture, settings):
    values = rows(picture, entry.boxes, settings)
    if not ((values >= 0) & (values <= 1)).all():
        raise UserError(f"The prediction for {entry.id} leaves 0..1; run `python -m pixmend predict --force`.")
    return values


def told(path, entries, settings):
    """The values that a file holds for each entry, as sent: missing pixels row by row, and their channels."""
    ids = ((place, csv_text.box_ids(entry.id, number, box, CHANNELS))
           for place, entry in enumerate(entries) for number, box in enumerate(entry.boxes, 1))
    for entry, values in zip(entries, csv_tables.values_by_picture(path, ids), strict=True):
        picture = np.zeros(settings.shape)
        for (row, column, height, width), part in zip(entry.boxes, _by_box(values, entry.boxes), strict=True):
            picture[row:row + height, column:column + width] = part.reshape(height, width, CHANNELS)
        yield picture[entry.counts(settings.shape) > 0]


def check(path, folder):
    """Hold a submission file against sample_submission.csv."""
    csv_tables.check(path, Path(folder) / SAMPLE)


def grade(submission, solution):
    """RMSE over the public, the private and all rows of a solution."""
    return csv_scores.rmse_of(submission, solution)


def sample_order(folder, entries):
    """For each row of the sample the entries' row of the same id; None where both are in one order.

    A UserError names the first id that only one of them has.
    """
    if is_plain(Path(folder) / SAMPLE, entries):
        return None
    if all(csv_tables.same_ids(*pair) for pair in csv_tables.in_step(_ids(entries), _sample_rows(folder))):
        return None
    wanted, given = csv_join.all_id_numbers(_sample_rows(folder)), csv_join.all_id_numbers(_ids(entries))
    try:
        return csv_join.join(wanted, given)
    except csv_join.Mismatch as mismatch:
        raise UserError(_disagreement(Path(folder) / SAMPLE, entries, *mismatch.args)) from None


def is_plain(sample, entries):
    """Whether a sample has these ids in this order and one value for all, as Kaggle's has: then its bytes are known."""
    with open(sample, "rb") as file:
        first_row = len(file.readline())
        ending = b"," + file.readline().rpartition(b",")[2]
        file.seek(first_row)
        boxes = ((entry.id, number, box) for entry in entries for number, box in enumerate(entry.boxes, 1))
        expected = (csv_text.box_rows_alike(*box, CHANNELS, ending) for box in boxes)
        return all(file.read(len(text)) == text for text in expected) and not file.read(1)


def _ids(entries):
    return (csv_text.box_ids(entry.id, number, box, CHANNELS)
            for entry in entries for number, box in enumerate(entry.boxes, 1))


def _sample_rows(folder):
    return csv_tables.table(Path(folder) / SAMPLE, (csv_tables.TEXT, csv_tables.TEXT), AGAIN)


def _disagreement(path, entries, which, what, row):
    if which == "given":
        ids = (id for box in _ids(entries) for id in box.column(0))
        id = next(islice(ids, row, None)).as_py().decode()
        return f"{path} lacks the id {id!r} of a box in {TABLE}; {AGAIN}."
    line, fields = csv_errors.row(path, row, AGAIN)
    how = "occurs a second time" if what == "twice" else f"belongs to no box in {TABLE}"
    return f"{path}, line {line}: the id {fields[0]!r} {how}; {AGAIN}."
