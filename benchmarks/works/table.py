"""A submission written in four ways: by this project, by a loop over pixels as entrants did, by pandas, and as bytes raw.

`table FILES PREDICTIONS SIDE COUNT FOLDER`: of the contest in FILES and the predictions, so many pictures.
"""

import os
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from benchmarks._process import serve
from pixmend.competitions.photo_reconstruction import PHOTO_RECONSTRUCTION as contest
from pixmend.submissions.box_csv import cut_boxes, encode_rows

BGR = SimpleNamespace(channel_order="bgr", value_scale="unit")


def main():
    files, predicted, side, count, folder = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5])
    settings = SimpleNamespace(**vars(BGR), competition_folder=files.parent)
    entries = [entry for entry in contest.read_images(files, (side, side, 3)) if entry.split == "test"]
    pictures = list(mended(predicted, entries, side))
    header = contest.submission.read_header(files)
    few, of_few = entries[:count], pictures[:count]
    raw = text_of(entries, pictures)

    def ours():
        contest.submission.write(folder / "ours.csv", entries, iter(pictures), settings)
        return len(entries)

    def loop():
        """A tuple a value, gathered in a list, made a DataFrame and written."""
        rows = []
        for entry, picture in zip(few, of_few, strict=True):
            for number, (top, left, height, width) in enumerate(entry.boxes, 1):
                for row in range(top, top + height):
                    for column in range(left, left + width):
                        for channel in range(3):
                            rows.append((f"{entry.id}_box{number}_{row}_{column}_{channel}", picture[row, column, 2 - channel]))
        pd.DataFrame(rows, columns=header).to_csv(folder / "loop.csv", index=False, float_format="%.6f")
        return len(few)

    def pandas():
        """The same ids and values, made by arrays, in a DataFrame written by pandas."""
        ids, values = [], []
        for entry, picture in zip(few, of_few, strict=True):
            for number, (top, left, height, width) in enumerate(entry.boxes, 1):
                places = np.stack(np.meshgrid(range(top, top + height), range(left, left + width), range(3), indexing="ij"), -1)
                ids += [f"{entry.id}_box{number}_{r}_{c}_{k}" for r, c, k in places.reshape(-1, 3).tolist()]
                values.append(picture[top:top + height, left:left + width, ::-1].ravel())
        frame = pd.DataFrame({header[0]: ids, header[1]: np.concatenate(values)})
        frame.to_csv(folder / "pandas.csv", index=False, float_format="%.6f")
        return len(few)

    def bytes_alone():
        with open(folder / "raw.csv", "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        return len(entries)

    def same():
        """Whether the loop and pandas wrote what this project writes of the same pictures."""
        contest.submission.write(folder / "few.csv", few, iter(of_few), SimpleNamespace(**vars(BGR), competition_folder=folder))
        first = (folder / "few.csv").read_bytes()
        return all((folder / name).read_bytes() == first for name in ("loop.csv", "pandas.csv"))

    few_sample(folder, files, sum(3 * h * w for entry in few for *_, h, w in entry.boxes))
    serve(ours=ours, loop=loop, pandas=pandas, raw=bytes_alone, same=same)


def mended(path, entries, side):
    """Whole pictures, floats in 0..1, from the predictions of their missing pixels."""
    with np.load(path) as kept:
        place = {name: n for n, name in enumerate(kept["ids"].tolist())}
        starts, values = kept["starts"], kept["values"].astype(np.float32)
    for entry in entries:
        picture, n = np.zeros((side, side, 3), np.float32), place[entry.id]
        picture[entry.counts(picture.shape) > 0] = values[starts[n]:starts[n + 1]]
        yield picture


def text_of(entries, pictures):
    return b"".join(rows for entry, picture in zip(entries, pictures, strict=True)
                    for rows in encode_rows(entry, cut_boxes(contest.submission.to_submission_values(picture, BGR), entry.boxes)))


def few_sample(folder, files, rows):
    """The beginning of the sample, as that of a contest of few pictures."""
    (folder / "files").mkdir(exist_ok=True)
    with open(files / contest.submission.sample_name, "rb") as whole:
        (folder / "files" / contest.submission.sample_name).write_bytes(b"".join(islice(whole, rows + 1)))


if __name__ == "__main__":
    main()
