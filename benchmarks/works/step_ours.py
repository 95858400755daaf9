"""One training step of Pix2Pix in this project's form, and its RMSE curve: `step_ours BATCH_FILE WIDTH STEPS EVERY`."""

import sys

from benchmarks._process import serve
from benchmarks.works._curve import Curve, read
from pixmend import backend
from pixmend.config import Settings

LAMBDA = 100   # as in the tutorial


def main():
    file, (width, steps, every) = sys.argv[1], map(int, sys.argv[2:])
    backend.start_keras()
    import numpy as np

    from pixmend.training import setup, trainer

    seen, mask, whole = pictures = read(file)
    settings = setup.resolve_precision(Settings(model="pix2pix", adversarial=True, start="none", size=seen.shape[1],
                                             width=width, LAMBDA=LAMBDA))
    model = setup.build_trainable(settings)
    trainer.compile_model(model, settings)

    def step(picked=slice(None)):
        model.train_on_batch([seen[picked], mask[picked]], whole[picked], return_dict=True)

    def paint(picked):
        return np.asarray(model([seen[picked], mask[picked]], training=True))

    networks = [*model.generator.variables, *model.discriminator.variables]
    serve(step=step, curve=Curve(step, paint, pictures, steps, every, weights=networks, rest=model.optimizer.variables))


if __name__ == "__main__":
    main()
