"""Mend the holdout and the test pictures with the run's best weights; only pixels in the boxes are predicted."""

from functools import partial

import numpy as np

from src import files, models, workers
from src.pictures import predictions, prepared
from src.pictures.paste import paste
from src.progress import Bar, say

CHUNK = 16


def main(settings):
    folder = settings.run_folder
    with files.only_one(folder):
        fill = models.is_fill(settings.model)
        ready = prepared.open_for(settings)
        made_from = {"set": ready.made_from, "mode": settings.predict_mode, "tta": settings.tta,
                     "weights": settings.model if fill else files.stamp_or_none(folder / "best.npz")}
        made = [folder / "holdout.npz", folder / "test.npz"]
        if not settings.force and files.receipt_holds(folder / "predict.json", made_from):
            say(f"predict: {folder}/holdout.npz and test.npz are up to date.")
            return
        paint_rows = with_fill(settings) if fill else with_network(settings)
        for split, path in zip(("holdout", "test"), made, strict=True):
            rows = ready.split(split)
            holes = ((row.id, ready.hole(row) > 0) for row in rows)
            predictions.write(path, paint_rows(ready, rows, split), holes, made_from)
        files.write_receipt(folder / "predict.json", made_from, made)
    say(f"predict: {made[0]}, {made[1]}")


def with_fill(settings):
    def painted(ready, rows, split):
        job = partial(fill_chunk, settings.augment_folder, settings.model)
        for chunk in workers.over_chunks(job, rows, size=CHUNK, label=f"fill the {split} pictures"):
            yield from chunk
    return painted


def fill_chunk(folder, model, rows):
    """A fill over some rows, in a process of its own."""
    ready, fill = prepared.kept_open(folder), models.named(model).fill
    mended = []
    for row in rows:
        known, mask = ready.damaged(row) / np.float32(255), ready.hole(row) > 0
        mended.append(paste(known, mask, fill(known, mask)))
    return mended


def with_network(settings):
    from src.training import backend

    backend.start()
    from src.training import build, checkpoints
    from src.training.paint import paint

    settings = build.settings_of(settings)
    model = build.painter(settings)
    shapes = {"model": [tuple(v.shape) for v in model.variables]}
    weights, facts = checkpoints.read(settings.run_folder / "best.npz", shapes)
    for variable, value in zip(model.variables, weights["model"], strict=True):
        variable.assign(value)

    def painted(ready, rows, split):
        with Bar(f"predict the {split} pictures", len(rows)) as bar:
            for picture in paint(model, ready, rows, settings, settings.tta):
                bar.advance(1, f"{bar.rate():.1f} pictures/s  step {facts['step']}")
                yield picture
    return painted
