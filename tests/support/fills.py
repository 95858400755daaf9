"""Images and masks for tests of fills."""

import numpy as np


def photo(rng, height, width, channels=3):
    """Noise over a slope over a few edges."""
    slope = np.linspace(0.2, 0.6, width) + np.linspace(0, 0.2, height)[:, None]
    edges = 0.1 * (np.indices((height, width)).sum(0) // 11 % 2)
    return ((slope + edges)[..., None] + 0.1 * rng.random((height, width, channels))).astype(np.float32)


def boxes(shape, *corners_and_sizes):
    mask = np.zeros(shape, bool)
    for top, left, height, width in corners_and_sizes:
        mask[top:top + height, left:left + width] = True
    return mask


def rmse(one, other, mask):
    return np.sqrt(np.mean((one[mask] - other[mask]) ** 2))
