"""The one place that puts predicted pixels into a mask; known pixels stay as they are, bit for bit.

A mask that was found is predicted at every pixel, in one channel; then one channel comes back, and nothing of the picture.
"""

import numpy as np


def paste_predictions(known, mask, painted):
    """`known` and `painted` are floats in 0..1; the result is `painted` inside the mask, clipped, and `known` outside."""
    return np.where(mask[..., None], np.clip(painted, 0.0, 1.0), known[..., :painted.shape[-1]]).astype(np.float32)


def paste_values(known, mask, values):
    """The same from the mask's pixels alone, row by row: values of (pixels, channels)."""
    picture = known[..., :values.shape[-1]].astype(np.float32)
    picture[mask] = np.clip(values, 0.0, 1.0)
    return picture
