"""Steps of the training loop, the same number of bare compiled steps on one batch, and the batches alone.

`loop HOME SIDE WIDTH STEPS`: the steps have their share of the evaluations that a run has by default, and one saved state.
"""

import sys
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks._process import serve
from pixmend import backend, competitions, progress
from pixmend.config import Settings
from pixmend.data import dataset as datasets

LOADED_IMAGES = 512


def make_settings(home: str, side: int, width: int, steps: int) -> Settings:
    default = Settings()
    evaluation_images = max(1, default.evaluation_images * steps // default.evaluate_every)
    return replace(default, home=home, competition="photo_reconstruction", size=side, width=width, model="pix2pix",
                   adversarial=True, run=f"loop{width}", evaluate_every=steps, evaluation_images=evaluation_images)


def build_trainer(settings: Settings) -> tuple[Any, Any]:
    """Return the trainer of a compiled network, and its batches."""
    from pixmend.training import setup, trainer
    from pixmend.training.batches import ImageBatches

    settings = setup.resolve_precision(settings)
    dataset = datasets.open_dataset(settings)
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    model = setup.build_trainable(settings)
    trainer.compile_model(model, settings)
    batches = ImageBatches(settings, dataset, competitions.get_competition(settings.competition))
    return trainer.Trainer(model, settings, dataset, batches, settings.run_folder), batches


def train_further(trainer: Any, steps: int) -> None:
    """Continue the training loop for some steps."""
    trainer.settings = replace(trainer.settings, steps=trainer.step + steps)
    trainer.fit()


def train_bare(model: Any, fixed_batch: Any, steps: int) -> None:
    """Run the compiled step again and again on one batch."""
    for _ in range(steps):
        np.asarray(model.train_function(iter([fixed_batch]))["loss"])


def load_batches(batches: Any, batch_size: int) -> int:
    for number in range(LOADED_IMAGES // batch_size):
        batches.get_batch(number)
    return LOADED_IMAGES


def copy_images(dataset: datasets.Dataset) -> int:
    """Do what no input pipeline can do without: read both images of each row and convert them to floats."""
    from pixmend.training.batches import bytes_to_floats

    for number in range(LOADED_IMAGES):
        for images in (dataset.images, dataset.filled["harmonic"]):
            bytes_to_floats(images[number % len(dataset.counts)])
    return LOADED_IMAGES


def main() -> None:
    home, (side, width, steps) = sys.argv[1], map(int, sys.argv[2:])
    backend.start_keras()
    import keras

    progress.quiet = True
    trainer, batches = build_trainer(make_settings(home, side, width, steps))
    inputs, original, _ = batches.get_batch(0)
    fixed_batch = [keras.ops.convert_to_tensor(array) for array in inputs], keras.ops.convert_to_tensor(original)
    trainer.model.make_train_function()
    serve(train=lambda: train_further(trainer, steps),
          bare=lambda: train_bare(trainer.model, fixed_batch, steps),
          load=lambda: load_batches(batches, trainer.settings.batch_size),
          copy=lambda: copy_images(trainer.dataset))


if __name__ == "__main__":
    main()
