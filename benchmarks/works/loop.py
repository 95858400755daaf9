"""A block of the training loop, as many bare compiled steps on one batch, and the batches alone: `loop HOME SIDE WIDTH STEPS`.

A block has its share of the looks at the holdout that a run has by default, and one saved state.
"""

import sys
from dataclasses import replace

import numpy as np

from benchmarks._process import serve
from pixmend import backend, progress
from pixmend.config import Settings
from pixmend.data import dataset

FED = 512   # pictures


def main():
    home, (side, width, steps) = sys.argv[1], map(int, sys.argv[2:])
    backend.start_keras()
    import keras

    from pixmend.training import setup, trainer
    from pixmend.training.batches import ImageBatches, bytes_to_floats

    progress.quiet = True
    usual = Settings()
    looked_at = max(1, usual.evaluation_images * steps // usual.evaluate_every)
    settings = replace(usual, home=home, competition="photo_reconstruction", size=side, width=width, model="pix2pix",
                       adversarial=True, run=f"loop{width}", evaluate_every=steps, evaluation_images=looked_at)
    settings = setup.resolve_precision(settings)
    ready = dataset.open_dataset(settings)
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    model = setup.build_trainable(settings)
    trainer.compile_model(model, settings)
    batches = ImageBatches(settings, ready, competition=None)
    training = trainer.Trainer(model, settings, ready, batches, settings.run_folder)
    (seen, mask), whole, _ = batches.get_batch(0)
    fixed = [keras.ops.convert_to_tensor(array) for array in (seen, mask)], keras.ops.convert_to_tensor(whole)
    model.make_train_function()

    def block():
        training.settings = replace(settings, steps=training.step + steps)
        training.fit()

    def bare():
        for _ in range(steps):
            np.asarray(model.train_function(iter([fixed]))["loss"])

    def feed():
        for number in range(FED // settings.batch_size):
            batches.get_batch(number)
        return FED

    def copy():
        """What no feeding can do without: reading both pictures of each row, and turning them to floats."""
        for number in range(FED):
            for pictures in (ready.images, ready.filled["harmonic"]):
                bytes_to_floats(pictures[number % len(ready.counts)])
        return FED

    serve(block=block, bare=bare, feed=feed, copy=copy)


if __name__ == "__main__":
    main()
