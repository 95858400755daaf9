"""Distances between a painted picture and the whole one, averaged over the pixels that count."""

from keras import ops


def distance(kind, whole, painted, weight=None):
    """Mean distance over all pixels, or over those that `weight` (pictures x height x width) counts."""
    error = ops.cast(whole, "float32") - ops.cast(painted, "float32")
    each = ops.abs(error) if kind == "l1" else ops.square(error)
    if weight is None:
        return ops.mean(each)
    weight = ops.expand_dims(ops.cast(weight, "float32"), -1)
    return ops.sum(each * weight) / (ops.sum(weight) * each.shape[-1] + 1e-9)
