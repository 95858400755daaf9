"""Training steps of a small network, each with a batch that is read from a prepared dataset: `dataset_step HOME SIDE`."""

import itertools
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks._process import serve
from pixmend import backend, competitions, progress
from pixmend.config import Settings
from pixmend.data import dataset as datasets

STEPS = 50


def measure_step(model: Any, batches: Any, numbers: Iterator[int]) -> float:
    """Do some steps, each on the next batch, and return the core seconds of one."""
    start = time.process_time()
    for _ in range(STEPS):
        inputs, original, _ = batches.get_batch(next(numbers))
        model.train_on_batch(list(inputs), original, return_dict=True)
    return (time.process_time() - start) / STEPS


def main() -> None:
    settings = Settings(home=sys.argv[1], competition="photo_reconstruction", size=int(sys.argv[2]), augment="none", width=4,
                        model="pix2pix", adversarial=True)
    progress.quiet = True
    backend.start_keras()
    from pixmend.training import setup, trainer
    from pixmend.training.batches import ImageBatches

    settings = setup.resolve_precision(settings)
    competition = competitions.get_competition(settings.competition)
    batches = ImageBatches(settings, datasets.open_dataset(settings), competition)
    model = setup.build_trainable(settings)
    trainer.compile_model(model, settings)
    numbers = itertools.count()
    serve(steps=lambda: measure_step(model, batches, numbers))


if __name__ == "__main__":
    main()
