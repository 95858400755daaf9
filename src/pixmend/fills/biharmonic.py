"""The biharmonic fill: a thin plate bent through the known pixels, which carries slopes on into the hole.

Its equation, the square of the harmonic fill's, is solved exactly for all holes at once. The plate's edge is free where
it is the picture's. A plate can swing beyond what it is held by, so each channel is kept between its known extremes.
"""

from functools import lru_cache

import numpy as np


def fill_biharmonic(picture, mask):
    """Fill the missing pixels; where nothing at all is known they become mid-grey."""
    filled = picture.copy()
    if mask.all():
        filled[mask] = 0.5
    elif mask.any():
        known = picture[~mask]
        filled[mask] = np.clip(solve(plate(mask.shape), picture, mask), known.min(0), known.max(0))
    return filled


@lru_cache(4)
def springs(shape):
    """The Laplacian of a picture's pixels, each held by its neighbours alone, as a sparse matrix."""
    from scipy.sparse import diags_array, eye_array, kron

    down, across = (diags_array([-np.ones(n - 1), np.r_[1, np.full(n - 2, 2), 1], -np.ones(n - 1)], offsets=[-1, 0, 1])
                    for n in shape)
    return (kron(down, eye_array(shape[1])) + kron(eye_array(shape[0]), across)).tocsr()


@lru_cache(4)
def plate(shape):
    """What a thin plate resists: the Laplacian of the Laplacian."""
    return springs(shape) @ springs(shape)


def solve(stiffness, picture, mask):
    """Values of the missing pixels, pixels x channels, at which a stiff surface through the known ones rests."""
    from scipy.sparse.linalg import splu

    inside, pull = inner(stiffness, picture, mask)
    return splu(inside.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(pull)


def inner(stiffness, picture, mask):
    """The stiffness between missing pixels, and the pull of the known ones on them."""
    hole = np.flatnonzero(mask)
    rows = stiffness[hole]
    known = np.where(mask[..., None], 0, picture).reshape(-1, picture.shape[2]).astype(float)
    return rows[:, hole], -(rows @ known)
