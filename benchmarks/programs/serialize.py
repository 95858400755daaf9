"""A submission written in four ways: by this project, by a loop over pixels as past entrants did, by pandas, and as raw bytes.

`serialize FILES PREDICTIONS SIDE COUNT FOLDER` reads the competition in FILES and the predictions; the slow ways write only
COUNT images. Predicted images are float32 in 0..1.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._process import serve
from pixmend.competitions.photo_reconstruction import PHOTO_RECONSTRUCTION
from pixmend.data.image_record import ImageRecord
from pixmend.submissions.box_csv import cut_boxes, encode_rows

FORMAT: Any = PHOTO_RECONSTRUCTION.submission


def make_settings(competition_folder: Path) -> Any:
    return SimpleNamespace(channel_order="bgr", value_scale="unit", competition_folder=competition_folder)


def read_images(path: Path, records: Sequence[ImageRecord], side: int) -> Iterator[np.ndarray]:
    """Yield whole images from a file with the predictions of their missing pixels; known pixels are 0."""
    with np.load(path) as file:
        place = {name: number for number, name in enumerate(file["ids"].tolist())}
        starts, values = file["starts"], file["values"].astype(np.float32)
    for record in records:
        number, image = place[record.id], np.zeros((side, side, 3), np.float32)
        image[record.counts(image.shape) > 0] = values[starts[number]:starts[number + 1]]
        yield image


def write_with_pixmend(path: Path, records: Sequence[ImageRecord], images: Sequence[np.ndarray], competition_folder: Path) -> int:
    FORMAT.write(path, records, iter(images), make_settings(competition_folder))
    return len(records)


def write_with_loop(path: Path, records: Sequence[ImageRecord], images: Sequence[np.ndarray], header: Sequence[str]) -> int:
    """Append a tuple for each value to a list, and write the list as a DataFrame."""
    rows = []
    for record, image in zip(records, images, strict=True):
        for number, (top, left, height, width) in enumerate(record.boxes, 1):
            for row in range(top, top + height):
                for column in range(left, left + width):
                    for channel in range(3):
                        rows.append((f"{record.id}_box{number}_{row}_{column}_{channel}", image[row, column, 2 - channel]))
    pd.DataFrame(rows, columns=header).to_csv(path, index=False, float_format="%.6f")
    return len(records)


def write_with_pandas(path: Path, records: Sequence[ImageRecord], images: Sequence[np.ndarray], header: Sequence[str]) -> int:
    """Make the same ids and values with arrays, and write them as a DataFrame."""
    ids: list[str] = []
    values = []
    for record, image in zip(records, images, strict=True):
        for number, (top, left, height, width) in enumerate(record.boxes, 1):
            places = np.meshgrid(range(top, top + height), range(left, left + width), range(3), indexing="ij")
            for row, column, channel in np.stack(places, -1).reshape(-1, 3).tolist():
                ids.append(f"{record.id}_box{number}_{row}_{column}_{channel}")
            values.append(image[top:top + height, left:left + width, ::-1].ravel())
    table = pd.DataFrame({header[0]: ids, header[1]: np.concatenate(values)})
    table.to_csv(path, index=False, float_format="%.6f")
    return len(records)


def write_raw(path: Path, content: bytes, image_count: int) -> int:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return image_count


def encode_submission(records: Sequence[ImageRecord], images: Sequence[np.ndarray]) -> bytes:
    settings = make_settings(Path())
    rows: list[bytes] = []
    for record, image in zip(records, images, strict=True):
        rows += encode_rows(record, cut_boxes(FORMAT.to_submission_values(image, settings), record.boxes))
    return b"".join(rows)


def write_short_sample(folder: Path, files: Path, rows: int) -> None:
    """Write the first rows of the sample submission, as the sample of a competition with few images."""
    (folder / "files").mkdir(exist_ok=True)
    with open(files / FORMAT.sample_name, "rb") as sample:
        (folder / "files" / FORMAT.sample_name).write_bytes(b"".join(islice(sample, rows + 1)))


def are_equal(folder: Path, records: Sequence[ImageRecord], images: Sequence[np.ndarray]) -> bool:
    """Return whether the loop and pandas wrote what this project writes for the same images."""
    write_with_pixmend(folder / "few.csv", records, images, folder)
    expected = (folder / "few.csv").read_bytes()
    return all((folder / name).read_bytes() == expected for name in ("loop.csv", "pandas.csv"))


def main() -> None:
    files, predictions, folder = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[5])
    side, count = int(sys.argv[3]), int(sys.argv[4])
    records = [record for record in PHOTO_RECONSTRUCTION.read_images(files, (side, side, 3)) if record.split == "test"]
    images = list(read_images(predictions, records, side))
    header = FORMAT.read_header(files)
    few_records, few_images = records[:count], images[:count]
    content = encode_submission(records, images)
    write_short_sample(folder, files, sum(3 * height * width for record in few_records for _, _, height, width in record.boxes))
    serve(pixmend=lambda: write_with_pixmend(folder / "ours.csv", records, images, files.parent),
          loop=lambda: write_with_loop(folder / "loop.csv", few_records, few_images, header),
          pandas=lambda: write_with_pandas(folder / "pandas.csv", few_records, few_images, header),
          raw=lambda: write_raw(folder / "raw.csv", content, len(records)),
          are_equal=lambda: are_equal(folder, few_records, few_images))


if __name__ == "__main__":
    main()
