"""Comparison of a batch made on the host with the same batch made on the device."""

import keras
import numpy as np

from pixmend.training.steps import expand_batch


def same_bits(batches, step):
    """Made on the host and on the device; the batch as it was stored."""
    stored = batches.get_compact_batch(step)
    (seen, mask), whole, weight = batches.get_batch(step)
    (seen_there, mask_there), whole_there, weight_there = expand_batch(
        {name: keras.ops.convert_to_tensor(array) for name, array in stored.items()}, batches.settings)
    assert (weight is None) == (weight_there is None)
    weights = [] if weight is None else [(weight, weight_there)]
    for here, there in [(seen, seen_there), (mask, mask_there), (whole, whole_there), *weights]:
        assert np.asarray(here, np.float32).tobytes() == np.asarray(there).tobytes()
    return stored
