"""What a network starts from: every picture with its hole filled, once, by several processes, for all later runs.

starts/<fill>.npy in the prepared set, uint8, as harmonic.npy beside it, which is always there; any fill of src/models.
"""

import math
import os
from functools import partial

import numpy as np

from pixmend import files, models, workers
from pixmend.data import dataset
from pixmend.training.batches import bytes_to_floats

CHUNK = 16


def fill_training_images(settings, ready):
    """Fill the pictures as the settings start, unless that was done."""
    path = ready.start_file(settings.start)
    if settings.start in dataset.AS_GIVEN or settings.start in dataset.ARRAYS:
        return
    made_from = {name: ready.made_from[name] for name in ("archive", "size", "broken")}
    made_from |= {name: getattr(settings, name) for name in ("start", *dataset.OF_DAMAGE)}
    path.parent.mkdir(exist_ok=True)
    with files.in_turn(path.parent / ".lock"):
        if not files.receipt_holds(path.with_suffix(".json"), made_from):
            write(path, settings, ready)
            files.write_receipt(path.with_suffix(".json"), made_from, [path])


def write(path, settings, ready):
    count = len(ready.counts)
    chunks = workers.over_chunks(partial(fill_chunk, settings), range(count), size=CHUNK, label=f"start from {settings.start}")
    write_array(path, (count, *settings.shape), chunks)


def write_array(path, shape, chunks):
    """An array file of bytes, chunk after chunk, in room that is taken beforehand: a full disk is known now."""
    with files.whole_file(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.flush()
        os.truncate(file.name, file.tell() + math.prod(shape))
        files.reserve(file.name)
        for chunk in chunks:
            file.write(chunk.tobytes())


def fill_chunk(settings, numbers):
    """Some pictures filled, in a process of its own."""
    ready, fill = dataset.kept_open(settings.augment_folder), models.get_fill(settings.start)
    pictures = [fill(bytes_to_floats(ready.pictures[number]), ready.counts[number] > 0) for number in numbers]
    return np.rint(np.stack(pictures) * 255).astype(np.uint8)
