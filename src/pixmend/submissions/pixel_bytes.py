"""Submissions as bytes: one byte L; then for each picture its number of missing pixels minus 1, as L bytes, the highest first,
and each of these pixels, row by row, as a byte. Pictures are grey and stand in the order of the test set.
"""

from pathlib import Path

import numpy as np

from pixmend import files
from pixmend.errors import UserError
from pixmend.submissions.csv_tables import AGAIN, MEND, REWRITE

ENDING, SAMPLE = ".bin", "sample_submission.bin"


def write(path, entries, pictures, settings):
    """Mended pictures into a submission, each value rounded to a whole grey level."""
    masks = (entry.counts(settings.shape) > 0 for entry in entries)
    values = [levels(picture[mask]) for picture, mask in zip(pictures, masks, strict=True)]
    with files.whole_file(path) as file:
        file.writelines(packed(values))


def levels(values):
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8).ravel()


def packed(pictures):
    """The bytes of a file for the grey levels of each picture."""
    width = max(1, max(-(-(len(levels) - 1).bit_length() // 8) for levels in pictures))
    yield bytes([width])
    for levels in pictures:
        yield (len(levels) - 1).to_bytes(width, "big") + levels.tobytes()


def unpacked(path, advice):
    """The grey levels of each picture in a file."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {advice}.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, not a file of predictions; {advice}.") from None
    if not data or not data[0]:
        raise UserError(f"{path} does not begin with the number of bytes of a length; {advice}.")
    width, at, pictures = data[0], 1, []
    while at < len(data):
        begin = at + width
        end = begin + int.from_bytes(data[at:begin], "big") + 1
        if end > len(data):
            raise UserError(f"{path} is cut off or damaged: picture {len(pictures) + 1} would end at byte {end} of {len(data)}; "
                            f"{advice}.")
        pictures.append(np.frombuffer(data, np.uint8, end - begin, begin))
        at = end
    return pictures


def agreeing(path, advice, lengths, what):
    """The grey levels in a file that holds so many for each picture."""
    pictures = unpacked(path, advice)
    if len(pictures) != len(lengths):
        raise UserError(f"{path} holds {len(pictures)} pictures, and {what} {len(lengths)}; {advice}.")
    for number, (levels, length) in enumerate(zip(pictures, lengths, strict=True), 1):
        if len(levels) != length:
            raise UserError(f"{path}: picture {number} has {len(levels)} pixels, and in {what} {length}; {advice}.")
    return pictures


def told(path, entries, settings):
    """The values that a file holds for each entry, in 0..1: missing pixels row by row, and their one channel."""
    lengths = [np.count_nonzero(entry.counts(settings.shape)) for entry in entries]
    for levels in agreeing(path, REWRITE, lengths, "the prepared set"):
        yield levels[:, None] / np.float32(255)


def as_sent(picture, settings):
    """A whole picture's grey levels are whole numbers already."""
    return picture


def check(path, folder):
    sample = Path(folder) / SAMPLE
    agreeing(path, REWRITE, [len(levels) for levels in unpacked(sample, AGAIN)], sample)


def grade(submission, solution):
    """RMSE over all missing pixels, in 0..1; this form does not say what is public and what private, so all is public."""
    truth = unpacked(solution, MEND)
    given = agreeing(submission, REWRITE, [len(levels) for levels in truth], solution)
    errors = (np.concatenate(given).astype(np.float64) - np.concatenate(truth)) / 255
    total = float(np.sqrt(np.square(errors).mean()))
    return {"public": total, "private": None, "total": total}


def sample(holes, values):
    """A submission's bytes for the values of each picture; its form knows no ids."""
    return packed([levels(of_picture) for of_picture in values])


def solution(holes, values, public):
    return packed([levels(of_picture) for of_picture in values])
