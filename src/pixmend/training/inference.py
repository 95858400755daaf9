"""A network's pictures for rows of the prepared set, each the same whoever else is in the batch.

A view is a row, a box of its hole where the network sees a window around it and not the whole picture, and the number of a
flip or turn under which it sees that: see pictures/windows.py and pictures/variants.py.
"""

import zlib

import numpy as np

from pixmend import competitions
from pixmend.data.augmentation import turn, turn_back
from pixmend.data.paste import paste
from pixmend.data.windows import enlarge, look
from pixmend.training.batches import bytes_to_floats
from pixmend.workers import chunks

BATCH_SIZE = 8


def predict_images(model, prepared, rows, settings, turns=1):
    """Yield the mended picture of each row: known pixels as given, the network's mean over its turns in the hole."""
    draw = in_training_mode if settings.predict_mode == "training" else in_inference_mode
    boxes = {row: boxes_in(prepared, row, settings) if settings.window else [None] for row in rows}
    views = [(row, box, variant) for row in rows for box in boxes[row] for variant in range(turns)]
    painted = draw(model, prepared, views, settings)
    upright = (turn_back(picture, variant) for (_, _, variant), picture in zip(views, painted, strict=True))
    means = (np.mean(pictures, axis=0, dtype=np.float64) for pictures in chunks(upright, turns))
    for row in rows:
        picture = from_windows(prepared, row, boxes[row], means, settings) if settings.window else next(means)
        damaged, mask = bytes_to_floats(prepared.damaged(row)), prepared.hole(row) > 0
        yield paste(damaged, mask, competitions.damage_competition(settings).apply_constraint(picture, damaged, mask))


def boxes_in(prepared, row, settings):
    return competitions.damage_competition(settings).find_boxes(bytes_to_floats(prepared.damaged(row)), prepared.hole(row))


def make_inputs(prepared, views, settings):
    turned = [[turn(picture, variant) for picture in shown(prepared, row, box, settings)] for row, box, variant in views]
    seen, mask = map(np.stack, zip(*turned, strict=True))
    return [seen, mask[..., None].astype(np.float32)]


def shown(prepared, row, box, settings):
    """What the network sees of a row, or of one of its boxes, and what is missing there."""
    seen, mask = bytes_to_floats(prepared.seen(row, settings.start)), prepared.hole(row) > 0
    return look(seen, mask, box, settings.window, settings.work_size) if box else (seen, mask)


def from_windows(prepared, row, boxes, painted, settings):
    """The picture as the network saw it, plus what it added in each box; where boxes overlap, the mean of what it added."""
    picture = bytes_to_floats(prepared.seen(row, settings.start))
    added, times = np.zeros(picture.shape), np.zeros((*picture.shape[:2], 1))
    for box, cells in zip(boxes, painted, strict=False):
        before, _ = shown(prepared, row, box, settings)
        inside = np.s_[box[0]:box[0] + box[2], box[1]:box[1] + box[3]]
        added[inside] += enlarge(cells - before, box, settings.window)
        times[inside] += 1
    return picture + added / np.maximum(times, 1)


def in_inference_mode(model, prepared, views, settings):
    """Batches of one fixed size, the last one filled up by its first view, so that a picture's bits never vary."""
    for batch in chunks(views, BATCH_SIZE):
        padded = batch + batch[:1] * (BATCH_SIZE - len(batch))
        yield from np.asarray(model.predict_on_batch(make_inputs(prepared, padded, settings)))[:len(batch)]


def in_training_mode(model, prepared, views, settings):
    """Batch norm and dropout as in training, one view at a time, dropout seeded by the picture's name.

    What a network keeps of it, its averages and seeds, is put back: the pictures may be of the holdout, and training goes on.
    """
    before = [(variable, np.asarray(variable).copy()) for variable in model.non_trainable_variables]
    try:
        for view in views:
            for variable in model.non_trainable_variables:
                if variable.path.endswith("seed_generator_state"):
                    variable.assign(np.array([zlib.crc32(view[0].id.encode()), 0], dtype="uint32"))
            yield np.asarray(model(make_inputs(prepared, [view], settings), training=True))[0]
    finally:
        for variable, value in before:
            variable.assign(value)
