"""Predicted pixels pasted into the missing pixels of an image; known pixels stay unchanged, bit for bit.

Images are height x width x channels, floats in 0..1; a mask is boolean, height x width. A prediction of one channel (a
predicted mask) gives a result of one channel.
"""

import numpy as np


def paste_predictions(known: np.ndarray, mask: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return `predicted`, clipped to 0..1, inside the mask and `known` outside."""
    return np.where(mask[..., None], np.clip(predicted, 0.0, 1.0), known[..., :predicted.shape[-1]]).astype(np.float32)


def paste_values(known: np.ndarray, mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Do the same with the values of the missing pixels alone, row by row: pixels x channels."""
    image = known[..., :values.shape[-1]].astype(np.float32)
    image[mask] = np.clip(values, 0.0, 1.0)
    return image
