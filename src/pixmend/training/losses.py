"""Distances between a painted picture and the whole one, averaged over the pixels that count."""

import keras
from keras import losses, ops

DISTANCES = {"l1": losses.mean_absolute_error, "l2": losses.mean_squared_error, "huber": losses.huber,
             "poisson": losses.poisson, "kl": losses.kl_divergence, "cross_entropy": losses.binary_crossentropy}
OF_LIGHT = {"poisson", "kl", "cross_entropy"}  # these have no value for a pixel below black
BLACK = 1e-3


def reconstruction(settings):
    """The settings' distance as a Keras loss; weights, where there are any, say how often each pixel counts."""
    return Distance(name=settings.loss, reduction="mean_with_sample_weight")


class Distance(keras.losses.Loss):
    def call(self, whole, painted):
        if self.name in OF_LIGHT:
            painted = ops.clip(painted, BLACK, 1 - BLACK)
        return DISTANCES[self.name](whole, painted)
