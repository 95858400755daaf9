"""Test images predicted with test-time augmentation, and as many bare forward passes: `predict HOME SIDE WIDTH COUNT`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._process import serve
from pixmend import backend
from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.submissions import predictions

TRANSFORMS = 8


def predict_and_write(path: Path, model: Any, dataset: datasets.Dataset, rows: Sequence[Any], settings: Settings) -> None:
    from pixmend.training.inference import predict_images

    masks = ((row.id, dataset.read_counts(row) > 0) for row in rows)
    predictions.write_predictions(path, predict_images(model, dataset, rows, settings, TRANSFORMS), masks, {})


def predict_bare(model: Any, batch: Any, batch_count: int) -> None:
    for _ in range(batch_count):
        np.asarray(model.predict_function([(batch,)]))


def main() -> None:
    home, (side, width, count) = sys.argv[1], map(int, sys.argv[2:])
    backend.start_keras()
    import keras

    from pixmend.training import setup
    from pixmend.training.inference import BATCH_SIZE, View, make_inputs

    settings = replace(Settings(), home=home, competition="photo_reconstruction", model="pix2pix", size=side, width=width)
    settings = setup.resolve_precision(settings)
    dataset = datasets.open_dataset(settings)
    rows = list(dataset.split("test")[:count])
    model = setup.build_network(settings)
    batch = make_inputs(dataset, [View(row, None, 0) for row in rows[:1] * BATCH_SIZE], settings)
    batch_on_device = [keras.ops.convert_to_tensor(array) for array in batch]
    for inputs in (batch, batch_on_device):   # the first passes compile and are not counted
        model.predict_on_batch(inputs)
    serve(pixmend=lambda: predict_and_write(Path(home) / "predicted.npz", model, dataset, rows, settings),
          bare=lambda: predict_bare(model, batch_on_device, TRANSFORMS * count // BATCH_SIZE))


if __name__ == "__main__":
    main()
