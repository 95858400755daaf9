"""The biharmonic fill: a thin plate through the known pixels, which also continues slopes into the hole.

The squared Laplacian is solved exactly, for all holes at once, with free boundaries at the image's edge. A plate can overshoot,
so each channel is clipped to the range of its known pixels.
"""

from functools import lru_cache
from typing import Any

import numpy as np


def fill_biharmonic(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill the missing pixels with the solution of the biharmonic equation."""
    if mask.all():
        return np.full_like(image, 0.5)
    filled = image.copy()
    if mask.any():
        from scipy.sparse.linalg import splu

        matrix, right_side = restrict_to_missing(build_bilaplacian(mask.shape), image, mask)
        solution = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right_side)
        known = image[~mask]
        filled[mask] = np.clip(solution, known.min(0), known.max(0))
    return filled


@lru_cache(4)
def build_laplacian(shape: tuple[int, int]) -> Any:
    """Return the negative Laplacian of an image's pixels as a sparse matrix, with free boundaries."""
    from scipy.sparse import diags_array, eye_array, kron

    down, across = (diags_array([-np.ones(n - 1), np.r_[1, np.full(n - 2, 2), 1], -np.ones(n - 1)], offsets=[-1, 0, 1])
                    for n in shape)
    return (kron(down, eye_array(shape[1])) + kron(eye_array(shape[0]), across)).tocsr()


@lru_cache(4)
def build_bilaplacian(shape: tuple[int, int]) -> Any:
    """Return the squared Laplacian as a sparse matrix."""
    return build_laplacian(shape) @ build_laplacian(shape)


def restrict_to_missing(operator: Any, image: np.ndarray, mask: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return matrix and right-hand side (pixels x channels) of the system in which the operator is zero at missing pixels."""
    missing = np.flatnonzero(mask)
    rows = operator[missing]
    known = np.where(mask[..., None], 0, image).reshape(-1, image.shape[2]).astype(float)
    return rows[:, missing], -(rows @ known)
