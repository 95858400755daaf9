"""The weights of a window_unet as the first weights of a wider one, which computes the same until it is trained.

Each layer keeps its channels, as the first of the wider layer, and these read no others. The others begin with random weights.
"""

from collections.abc import Sequence

import numpy as np


def widen_weights(weights: Sequence[np.ndarray], wider: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the weights, put into those of an untrained wider network: kernels and biases, of the encoder and the decoder."""
    half, widened = len(weights) // 2, []
    for number, (array, random) in enumerate(zip(weights, wider, strict=True)):
        if array.ndim == 1:
            widened.append(np.concatenate([array, random[len(array):]]))
        elif number < half:
            widened.append(widen_kernel(array, random))
        else:   # height x width x outputs x inputs; all but the first read the layer before and a skip
            kernel = widen_kernel(array.swapaxes(2, 3), random.swapaxes(2, 3), joined=1 if number == half else 2)
            widened.append(kernel.swapaxes(2, 3))
    return widened


def widen_kernel(kernel: np.ndarray, wider: np.ndarray, joined: int = 1) -> np.ndarray:
    """Return the wider kernel, height x width x inputs x outputs, with this one in it; its inputs are so many joined arrays."""
    outputs, widened = kernel.shape[3], wider.copy()
    widened[..., :outputs] = 0
    for part, old in zip(np.split(widened, joined, axis=2), np.split(kernel, joined, axis=2), strict=True):
        part[:, :, :old.shape[2], :outputs] = old
    return widened
