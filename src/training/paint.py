"""A network's pictures for rows of the prepared set, each the same whoever else is in the batch.

A view is a row and the number of a flip or turn under which the network sees it: see pictures/variants.py.
"""

import zlib

import numpy as np

from src.pictures.paste import paste
from src.pictures.variants import turn, turn_back
from src.training.batches import unit
from src.workers import chunks

BATCH = 8


def inputs(prepared, views, start):
    seen = np.stack([turn(unit(prepared.seen(row, start)), variant) for row, variant in views])
    mask = np.stack([turn(prepared.hole(row) > 0, variant) for row, variant in views])[..., None].astype(np.float32)
    return [seen, mask]


def paint(model, prepared, rows, settings, turns=1):
    """Yield the mended picture of each row: known pixels as given, the network's mean over its turns in the hole."""
    draw = in_training_mode if settings.predict_mode == "training" else in_inference_mode
    views = [(row, variant) for row in rows for variant in range(turns)]
    painted = draw(model, prepared, views, settings.start)
    upright = (turn_back(picture, variant) for (_, variant), picture in zip(views, painted, strict=True))
    for row, pictures in zip(rows, chunks(upright, turns), strict=True):
        yield paste(unit(prepared.damaged(row)), prepared.hole(row) > 0, np.mean(pictures, axis=0, dtype=np.float64))


def in_inference_mode(model, prepared, views, start):
    """Batches of one fixed size, the last one filled up by its first view, so that a picture's bits never vary."""
    for batch in chunks(views, BATCH):
        padded = batch + batch[:1] * (BATCH - len(batch))
        yield from np.asarray(model.predict_on_batch(inputs(prepared, padded, start)))[:len(batch)]


def in_training_mode(model, prepared, views, start):
    """Batch norm and dropout as in training, one view at a time, dropout seeded by the picture's name."""
    for row, variant in views:
        for variable in model.non_trainable_variables:
            if variable.path.endswith("seed_generator_state"):
                variable.assign(np.array([zlib.crc32(row.id.encode()), 0], dtype="uint32"))
        yield np.asarray(model(inputs(prepared, [(row, variant)], start), training=True))[0]
