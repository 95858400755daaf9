"""Decoding every JPEG of a competition, in two ways: `decode HOME SIDE` reads the competition in HOME.

OpenCV decodes in a plain loop on all cores. This project decodes, checks and stores as in `augment`, without fills and index.
"""

import shutil
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from benchmarks._process import serve
from pixmend import competitions, progress, workers
from pixmend.competitions.prepare import CHUNK, store_image
from pixmend.config import Settings
from pixmend.data import array_files
from pixmend.data.image_record import ImageRecord

FILES_PER_CHUNK = 64


def decode_files(paths: Iterable[str]) -> int:
    """Decode the files with OpenCV, and return how many there were."""
    cv2.setNumThreads(1)
    images = (cv2.imread(path) for path in paths)
    return sum(image is not None for image in images)


def decode_with_opencv(paths: Sequence[str]) -> int:
    with ProcessPoolExecutor(workers.count_cores()) as pool:
        return sum(pool.map(decode_files, workers.split_into_chunks(paths, FILES_PER_CHUNK)))


def store_records(folder: Path, settings: Settings, numbered: Iterable[tuple[int, int, ImageRecord]]) -> None:
    """Decode, check and store (row, row of the original, record)."""
    open_writer = array_files.open_row_writer
    with open_writer(folder / "pictures.npy") as images, open_writer(folder / "counts.npy") as counts:
        for row, original_row, record in numbered:
            store_image(row, original_row, record, settings, {"pictures": images, "counts": counts})


def decode_with_pixmend(records: Sequence[ImageRecord], file_count: int, settings: Settings) -> int:
    folder = settings.augment_folder
    folder.mkdir(parents=True)
    array_files.make_array_file(folder / "pictures.npy", (file_count, *settings.shape))
    array_files.make_array_file(folder / "counts.npy", (len(records), *settings.shape[:2]))
    numbered: Any = ((row, len(records) + row, record) for row, record in enumerate(records))
    for _ in workers.run_in_chunks(partial(store_records, folder, settings), numbered, size=CHUNK, label="decode"):
        pass
    return file_count


def main() -> None:
    settings = Settings(home=sys.argv[1], competition="photo_reconstruction", size=int(sys.argv[2]))
    progress.quiet = True
    competition = competitions.get_competition(settings.competition)
    records = competition.read_images(settings.competition_folder / "files", settings.shape)
    paths = [path for record in records for path in (record.damaged, record.original) if path]
    serve(opencv=lambda: decode_with_opencv(paths),
          pixmend=lambda: decode_with_pixmend(records, len(paths), settings),
          delete=lambda: shutil.rmtree(settings.augment_folder, ignore_errors=True))   # what the round before has stored


if __name__ == "__main__":
    main()
