"""The biharmonic fill: a thin plate through the known pixels, which also continues slopes into the hole.

The squared Laplacian is solved exactly, for all holes at once, with free boundaries at the image's edge. A plate can overshoot,
so each channel is clipped to the range of its known pixels.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

NEIGHBOURS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
REACH = 2   # pixels, of the squared Laplacian


def fill_biharmonic(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill the missing pixels with the solution of the biharmonic equation."""
    if mask.all():
        return np.full_like(image, 0.5)
    filled = image.copy()
    if mask.any():
        from scipy.sparse.linalg import splu

        matrix, right_side = restrict_to_missing(build_bilaplacian, image, mask)
        solution = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right_side)
        known = image[~mask]
        filled[mask] = np.clip(solution, known.min(0), known.max(0))
    return filled


def build_laplacian(inside: np.ndarray) -> Any:
    """Return the negative Laplacian of the pixels inside as a sparse matrix, with free boundaries."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import laplacian

    count = np.count_nonzero(inside)
    index = np.full(inside.shape, -1, np.int32)
    index[inside] = np.arange(count)
    links = []
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        both = inside[one] & inside[other]
        links.append((index[one][both], index[other][both]))
    ends = np.hstack(links)
    graph = coo_array((np.ones(ends.shape[1]), ends), shape=(count, count)).tocsr()
    return laplacian(graph + graph.T).tocsr()


def build_bilaplacian(inside: np.ndarray) -> Any:
    """Return the squared Laplacian of the pixels inside as a sparse matrix."""
    laplacian = build_laplacian(inside)
    return laplacian @ laplacian


def restrict_to_missing(build: Callable[[np.ndarray], Any], image: np.ndarray, mask: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return matrix and right-hand side (pixels x channels) of the system in which an operator is zero at missing pixels.

    The operator is built on these and the pixels in its reach: at missing pixels it is that of the whole image.
    """
    inside = cv2.dilate(mask.astype(np.uint8), NEIGHBOURS, iterations=REACH) > 0
    is_missing = mask[inside]
    rows = build(inside)[np.flatnonzero(is_missing)]
    known = np.where(is_missing[:, None], 0, image[inside]).astype(float)
    return rows[:, np.flatnonzero(is_missing)], -(rows @ known)
