"""The holdout RMSE along a short training; the same code measures this project's step and the tutorial's step."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

HOLDOUT_IMAGES, BATCH_SIZE = 16, 4
INITIAL_DEVIATION = 0.02   # of the first weights

Images = tuple[np.ndarray, np.ndarray, np.ndarray]   # damaged images, masks, original images: float32 in 0..1


def read_batch(file: str) -> Images:
    with np.load(file) as arrays:
        return arrays["damaged"], arrays["mask"], arrays["original"]


class TrainingCurve:
    """Each call is a training from new first weights, which are the same for every kind of step.

    `step` and `predict` receive the numbers of the images that they train on or predict.
    """

    def __init__(self, step: Callable[[Any], None], predict: Callable[[Any], np.ndarray], images: Images,
                 steps: int, evaluate_every: int, *, weights: Sequence[Any], optimizer_variables: Sequence[Any]) -> None:
        _, self.masks, self.originals = images
        self.step, self.predict, self.steps, self.evaluate_every = step, predict, steps, evaluate_every
        self.variables = [*weights, *optimizer_variables]
        self.kernels = [variable for variable in weights if len(variable.shape) == 4]
        self.initial_values = [np.array(variable) for variable in self.variables]
        self.seed = 0

    def __call__(self) -> float:
        """Train, and return the mean of the holdout RMSE of all evaluations."""
        self.seed += 1
        self.reset_weights(np.random.default_rng(self.seed))
        training = len(self.originals) - HOLDOUT_IMAGES
        evaluations = []
        for number in range(1, self.steps + 1):
            self.step(np.arange((number - 1) * BATCH_SIZE, number * BATCH_SIZE) % training)
            if number % self.evaluate_every == 0:
                evaluations.append(self.compute_rmse(slice(training, None)))
        return float(np.mean(evaluations))

    def reset_weights(self, rng: np.random.Generator) -> None:
        """Set all variables to their first values, and draw new kernels."""
        for variable, value in zip(self.variables, self.initial_values, strict=True):
            variable.assign(value)
        for kernel in self.kernels:
            kernel.assign(rng.normal(0, INITIAL_DEVIATION, tuple(kernel.shape)).astype(np.float32))

    def compute_rmse(self, images: slice) -> float:
        """Return the RMSE over the missing pixels of the images."""
        squares = (np.clip(self.predict(images), 0, 1) - self.originals[images]) ** 2
        return float(np.sqrt(squares.mean(-1)[self.masks[images][..., 0] > 0].mean()))
