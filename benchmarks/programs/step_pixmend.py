"""One training step of Pix2Pix in this project, and its RMSE curve: `step_pixmend BATCH_FILE WIDTH STEPS EVALUATE_EVERY`."""

import sys
from typing import Any

from benchmarks._process import serve
from benchmarks.programs._training_curve import TrainingCurve, read_batch
from pixmend import backend
from pixmend.config import Settings

LAMBDA = 100   # as in the tutorial


def main() -> None:
    file, (width, steps, evaluate_every) = sys.argv[1], map(int, sys.argv[2:])
    backend.start_keras()
    import numpy as np

    from pixmend.training import setup, trainer

    batch = read_batch(file)
    damaged, mask, original = batch
    settings = Settings(model="pix2pix", adversarial=True, start="none", size=damaged.shape[1], width=width, LAMBDA=LAMBDA)
    settings = setup.resolve_precision(settings)
    model = setup.build_trainable(settings)
    trainer.compile_model(model, settings)

    def train_step(picks: Any = slice(None)) -> None:
        model.train_on_batch([damaged[picks], mask[picks]], original[picks], return_dict=True)

    def predict(picks: Any) -> np.ndarray:
        return np.asarray(model([damaged[picks], mask[picks]], training=True))

    weights = [*model.generator.variables, *model.discriminator.variables]
    serve(step=train_step, curve=TrainingCurve(train_step, predict, batch, steps, evaluate_every, weights=weights,
                                               optimizer_variables=model.optimizer.variables))


if __name__ == "__main__":
    main()
