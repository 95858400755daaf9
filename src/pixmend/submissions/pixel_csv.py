"""Submissions as a table by picture, row and column: each missing pixel of each picture once, in 0..1, colours one after another.

An id is `{picture}_{row}_{column}`, of a colour picture `{picture}_{row}_{column}_{channel}` with 0 for red.
"""

from pathlib import Path

from pixmend import files
from pixmend.submissions import csv_scores, csv_tables, csv_text

ENDING, SAMPLE = ".csv", "sample_submission.csv"
HEADER = ("pixel", "value")


def write(path, entries, pictures, settings):
    """Stream mended pictures into a submission."""
    with files.whole_file(path) as file:
        file.write(csv_text.lines([HEADER]))
        for entry, picture in zip(entries, pictures, strict=True):
            mask = entry.counts(settings.shape) > 0
            file.write(csv_text.pixel_rows(entry.id, mask, picture[mask]))


def told(path, entries, settings):
    """The values that a file holds for each entry: missing pixels row by row, and their channels."""
    channels = settings.shape[2]
    ids = ((place, csv_text.pixel_ids(entry.id, entry.counts(settings.shape) > 0, channels))
           for place, entry in enumerate(entries))
    for values in csv_tables.values_by_picture(path, ids):
        yield values.reshape(-1, channels)


def as_sent(picture, settings):
    """Values go into the table as they are."""
    return picture


def check(path, folder):
    csv_tables.check(path, Path(folder) / SAMPLE)


def grade(submission, solution):
    return csv_scores.rmse_of(submission, solution)


def sample(holes, values):
    """A submission's text for (id, mask) pairs and the values of each."""
    yield csv_text.lines([HEADER])
    for (id, mask), of_picture in zip(holes, values, strict=True):
        yield csv_text.pixel_rows(id, mask, of_picture)


def solution(holes, values, public):
    """The same with a column Usage: so many pictures are public, the others private."""
    yield csv_text.lines([(*HEADER, "Usage")])
    for place, ((id, mask), of_picture) in enumerate(zip(holes, values, strict=True)):
        yield csv_text.pixel_rows(id, mask, of_picture, b",Public\n" if place < public else b",Private\n")
