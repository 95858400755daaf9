"""A training's RMSE in the boxes of pictures that it never sees, at looks along the way; the same for every form of a step."""

import numpy as np

HELD_OUT, BATCH = 16, 4
DEVIATION = 0.02   # of the first weights


def read(file):
    with np.load(file) as arrays:
        return arrays["seen"], arrays["mask"], arrays["whole"]


class Curve:
    """Each call is a training from new first weights, the same ones in every form: its RMSE, averaged over the looks."""

    def __init__(self, step, paint, pictures, steps, every, *, weights, rest):
        _, self.mask, self.whole = pictures
        self.step, self.paint, self.steps, self.every = step, paint, steps, every
        self.changing, self.kernels, self.seed = [*weights, *rest], [v for v in weights if len(v.shape) == 4], 0
        self.first = [np.array(variable) for variable in self.changing]

    def __call__(self):
        self.seed += 1
        self.begin_anew(np.random.default_rng(self.seed))
        training, looks = len(self.whole) - HELD_OUT, []
        for number in range(self.steps):
            self.step(np.arange(number * BATCH, (number + 1) * BATCH) % training)
            if (number + 1) % self.every == 0:
                looks.append(self.rmse(slice(training, None)))
        return float(np.mean(looks))

    def begin_anew(self, rng):
        for variable, value in zip(self.changing, self.first, strict=True):
            variable.assign(value)
        for variable in self.kernels:
            variable.assign(rng.normal(0, DEVIATION, tuple(variable.shape)).astype(np.float32))

    def rmse(self, held_out):
        squares = (np.clip(self.paint(held_out), 0, 1) - self.whole[held_out]) ** 2
        return float(np.sqrt(squares.mean(-1)[self.mask[held_out][..., 0] > 0].mean()))
