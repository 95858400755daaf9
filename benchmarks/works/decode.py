"""Every JPEG of a contest decoded: by OpenCV in a bare loop on all cores; and decoded, checked and stored as `augment` does it.

`decode HOME SIDE` reads the competition in HOME. What `augment` does besides, its fills and its index, is left out.
"""

import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import cv2

from benchmarks._process import serve
from pixmend import competitions, progress, workers
from pixmend.competitions.prepare import CHUNK, store_image
from pixmend.config import Settings
from pixmend.data import array_files

READ_AT_ONCE = 64


def read(paths):
    cv2.setNumThreads(1)
    return sum(cv2.imread(path).shape[0] > 0 for path in paths)


def store(folder, settings, by_row):
    with array_files.open_row_writer(folder / "pictures.npy") as pictures, array_files.open_row_writer(folder / "counts.npy") as counts:
        for row, whole_row, entry in by_row:
            store_image(row, whole_row, entry, settings, {"pictures": pictures, "counts": counts})


def main():
    settings = Settings(home=sys.argv[1], competition="photo_reconstruction", size=int(sys.argv[2]))
    progress.quiet = True
    folder = settings.augment_folder
    entries = competitions.get_competition(settings.competition).read_images(settings.competition_folder / "files", settings.shape)
    paths = [path for entry in entries for path in (entry.damaged, entry.original) if path]

    def bare():
        with ProcessPoolExecutor(workers.count_cores()) as pool:
            return sum(pool.map(read, workers.split_into_chunks(paths, READ_AT_ONCE)))

    def forget():
        """What the round before has stored; taking it away is no part of the work."""
        shutil.rmtree(folder, ignore_errors=True)

    def ours():
        folder.mkdir(parents=True)
        for name, shape in (("pictures", (len(paths), *settings.shape)), ("counts", (len(entries), *settings.shape[:2]))):
            array_files.make_array_file(folder / f"{name}.npy", shape)
        by_row = ((row, len(entries) + row, entry) for row, entry in enumerate(entries))
        for _ in workers.run_in_chunks(partial(store, folder, settings), by_row, size=CHUNK, label="decode"):
            pass
        return len(paths)

    serve(bare=bare, ours=ours, forget=forget)


if __name__ == "__main__":
    main()
