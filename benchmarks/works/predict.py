"""Test pictures painted in eight flips and turns, and as many bare forward passes: `predict HOME SIDE WIDTH COUNT`."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks._process import serve
from pixmend import backend
from pixmend.config import Settings
from pixmend.data import dataset
from pixmend.submissions import predictions

TURNS = 8


def main():
    home, (side, width, count) = sys.argv[1], map(int, sys.argv[2:])
    backend.start_keras()
    import keras

    from pixmend.training import setup
    from pixmend.training.inference import BATCH_SIZE, make_inputs, predict_images

    settings = setup.resolve_precision(replace(Settings(), home=home, competition="photo_reconstruction", size=side, width=width))
    ready = dataset.open_dataset(settings)
    rows = list(ready.split("test")[:count])
    model = setup.build_network(settings)
    first = make_inputs(ready, [(row, None, 0) for row in rows[:1] * BATCH_SIZE], settings)
    fixed = [keras.ops.convert_to_tensor(array) for array in first]
    for batch in (first, fixed):   # what compiles is not counted
        model.predict_on_batch(batch)

    def ours():
        holes = ((row.id, ready.read_counts(row) > 0) for row in rows)
        predictions.write_predictions(Path(home) / "painted.npz", predict_images(model, ready, rows, settings, TURNS), holes, {})

    def bare():
        for _ in range(TURNS * count // BATCH_SIZE):
            np.asarray(model.predict_function([(fixed,)]))

    serve(ours=ours, bare=bare)


if __name__ == "__main__":
    main()
