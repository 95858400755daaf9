"""A network's pictures for rows of the prepared set, each the same whoever else is in the batch."""

import zlib

import numpy as np

from src.pictures.paste import paste
from src.training.batches import unit

BATCH = 8


def inputs(prepared, rows, start):
    seen = np.stack([unit(prepared.seen(row, start)) for row in rows])
    mask = np.stack([prepared.hole(row) > 0 for row in rows])[..., None].astype(np.float32)
    return [seen, mask]


def paint(model, prepared, rows, settings):
    """Yield the mended picture of each row: known pixels as given, the network's in the hole."""
    batches = in_training_mode(model, prepared, rows, settings.start) if settings.predict_mode == "training" else \
        in_inference_mode(model, prepared, rows, settings.start)
    for row, painted in batches:
        yield paste(unit(prepared.damaged(row)), prepared.hole(row) > 0, painted)


def in_inference_mode(model, prepared, rows, start):
    """Batches of one fixed size, the last one filled up by its first row, so that a picture's bits never vary."""
    for first in range(0, len(rows), BATCH):
        batch = rows[first:first + BATCH]
        padded = batch + batch[:1] * (BATCH - len(batch))
        yield from zip(batch, np.asarray(model.predict_on_batch(inputs(prepared, padded, start))), strict=False)


def in_training_mode(model, prepared, rows, start):
    """Batch norm and dropout as in training, one picture at a time, dropout seeded by the picture's name."""
    for row in rows:
        for variable in model.non_trainable_variables:
            if variable.path.endswith("seed_generator_state"):
                variable.assign(np.array([zlib.crc32(row.id.encode()), 0], dtype="uint32"))
        yield row, np.asarray(model(inputs(prepared, [row], start), training=True))[0]
