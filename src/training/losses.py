"""Distances between a painted picture and the whole one, averaged over the pixels that count."""

import keras

CLASSES = {"l1": keras.losses.MeanAbsoluteError, "l2": keras.losses.MeanSquaredError}


def reconstruction(settings):
    """The settings' distance as a Keras loss; weights, where there are any, say how often each pixel counts."""
    return CLASSES[settings.loss](reduction="mean_with_sample_weight")
