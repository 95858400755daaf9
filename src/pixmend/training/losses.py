"""Reconstruction losses: distances between a predicted and an original image, averaged over the pixels that count."""

from typing import Any

import keras
from keras import losses, ops

DISTANCES = {"l1": losses.mean_absolute_error, "l2": losses.mean_squared_error, "huber": losses.huber,
             "poisson": losses.poisson, "kl": losses.kl_divergence, "cross_entropy": losses.binary_crossentropy}
POSITIVE_ONLY = {"poisson", "kl", "cross_entropy"}  # these need predictions above 0; the last also below 1
EPSILON = 1e-3


class ReconstructionLoss(keras.losses.Loss):
    """One of DISTANCES, chosen by the name of --loss; sample weights, where there are any, say how much each pixel counts."""

    def __init__(self, name: str) -> None:
        super().__init__(name, reduction="mean_with_sample_weight")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the distance at each pixel: batch x height x width."""
        if self.name in POSITIVE_ONLY:
            y_pred = ops.clip(y_pred, EPSILON, 1 - EPSILON)
        return DISTANCES[self.name](y_true, y_pred)
