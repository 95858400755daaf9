"""Training steps of a small network, each with the batch that it takes from a prepared set: `step_of_a_set HOME SIDE`."""

import sys
import time

from benchmarks._process import serve
from pixmend import backend, progress
from pixmend.config import Settings
from pixmend.data import dataset

STEPS = 50


def main():
    settings = Settings(home=sys.argv[1], competition="photo_reconstruction", size=int(sys.argv[2]), augment="none", width=4,
                        model="pix2pix", adversarial=True)
    progress.quiet = True
    backend.start_keras()
    from pixmend.training import setup, trainer
    from pixmend.training.batches import ImageBatches

    settings = setup.resolve_precision(settings)
    batches = ImageBatches(settings, dataset.open_dataset(settings), competition=None)
    model = setup.build_trainable(settings)
    trainer.compile_model(model, settings)
    begun = iter(range(10**9))

    def steps():
        """The core seconds of a step."""
        began = time.process_time()
        for _ in range(STEPS):
            (seen, mask), whole, _ = batches.get_batch(next(begun))
            model.train_on_batch([seen, mask], whole, return_dict=True)
        return (time.process_time() - began) / STEPS

    serve(steps=steps)


if __name__ == "__main__":
    main()
