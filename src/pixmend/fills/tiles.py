"""Fills of pixelated areas: the smoothest surface on which every tile keeps its mean.

Unlike the other fills, these read the pixels under the mask, where tiles are patches of one colour. A hole that is empty (mostly
black or white), or that shows an image of its own without tiles, is filled harmonically. In a rectangular area the tiles are
found by their grid; in any other area, neighbours of exactly the same colour count as one tile, whose mean is still right.

`tiles` numbers the tile of each pixel from 0; -1 where there is none: int, height x width.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pixmend.fills.biharmonic import build_bilaplacian, build_laplacian, restrict_to_missing
from pixmend.fills.harmonic import fill_harmonic

MIN_TILE_PIXELS = 4  # on average; 6 is the smallest average where tiles of 4x4 are cut off by the end of an area
NEAR_BLACK = 16 / 255  # what JPEG may leave of black; and as near to white
BENDING = 2  # weight of bending against stretching in the tile_smooth fill


def build_bending_membrane(inside: np.ndarray) -> Any:
    """Return the operator of a membrane that resists bending, as a sparse matrix."""
    return build_laplacian(inside) + BENDING * build_bilaplacian(inside)


def fill_with_means(image: np.ndarray, mask: np.ndarray, build: Callable[[np.ndarray], Any]) -> np.ndarray:
    """Fill all holes harmonically, then those with tiles by the surface of least energy that keeps their means."""
    from scipy.sparse import block_array, csr_array
    from scipy.sparse.linalg import spsolve

    filled, tiles = fill_harmonic(image, mask), find_tiles(image, mask)
    is_tiled = tiles >= 0
    if is_tiled.any():
        means = np.stack([image[tiles == tile].mean(0) for tile in range(tiles.max() + 1)])
        matrix, right_side = restrict_to_missing(build, filled, is_tiled)
        numbers = tiles[is_tiled]
        sizes = np.bincount(numbers)
        averages = csr_array((1 / sizes[numbers], (numbers, np.arange(len(numbers)))), shape=(len(sizes), len(numbers)))
        system = block_array([[matrix, averages.T], [averages, None]]).tocsc()   # one Lagrange multiplier for each mean
        solution = spsolve(system, np.vstack([right_side, means])).reshape(-1, filled.shape[2])
        filled[is_tiled] = np.clip(solution[:len(numbers)], 0, 1)
    return filled


fill_tile_harmonic = partial(fill_with_means, build=build_laplacian)   # a membrane, which stretches least
fill_tile_smooth = partial(fill_with_means, build=build_bending_membrane)   # also resists bending, which is closer to photos


def find_tile_boxes(image: np.ndarray, mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Return the bounding box (row, column, height, width) of each tile."""
    from scipy.ndimage import find_objects

    return [(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
            for rows, columns in find_objects(find_tiles(image, mask) + 1)]


def restore_tile_means(predicted: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a prediction in which every tile is shifted to the mean that the image shows; other pixels are unchanged."""
    tiles = find_tiles(image, mask)
    is_tiled = tiles >= 0
    restored, numbers = predicted.copy(), tiles[is_tiled]
    for channel in range(predicted.shape[2] if is_tiled.any() else 0):
        shift = np.bincount(numbers, (image - predicted)[is_tiled, channel]) / np.bincount(numbers)
        restored[is_tiled, channel] += shift[numbers]
    return restored


def find_tiles(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the number of each pixel's tile."""
    from scipy.ndimage import find_objects

    patches, areas = label_patches(image, mask), label_patches(np.zeros_like(image), mask)
    tiles, count = np.full(mask.shape, -1), 0
    for area, window in enumerate(find_objects(areas + 1)):
        inside = areas[window] == area
        found, colours = np.unique(find_grid(patches[window], inside), return_inverse=True)[1], image[window][inside]
        black, white, undefined = (colours <= NEAR_BLACK).all(1), (colours >= 1 - NEAR_BLACK).all(1), np.isnan(colours).any(1)
        is_empty = max(black.mean(), white.mean(), undefined.mean()) > 0.5
        if not is_empty and (found.max() + 1) * MIN_TILE_PIXELS <= len(found):
            tiles[window][inside] = found + count
            count += found.max() + 1
    return tiles


def label_patches(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the number of each missing pixel's patch of one colour, from 0; -1 outside the mask."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    index = np.full(mask.shape, -1)
    index[mask] = np.arange(mask.sum())
    links = []
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        alike = mask[one] & mask[other] & (image[one] == image[other]).all(-1)
        links.append((index[one][alike], index[other][alike]))
    ends = np.hstack(links)
    graph = coo_array((np.ones(ends.shape[1]), ends), shape=(mask.sum(),) * 2)
    index[mask] = connected_components(graph, directed=False)[1]
    return index


def find_grid(patches: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the tile of each pixel of an area: in a box by the finest grid that fits all seams, elsewhere its patch."""
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    box = patches[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    height, width = find_tile_height(box), find_tile_height(box.T)
    if inside.sum() < box.size or min(height, width) == 1:
        return patches[inside]
    return (np.arange(len(rows))[:, None] // height * len(columns) + np.arange(len(columns)) // width).ravel()


def find_tile_height(box: np.ndarray) -> int:
    """Return the largest height of tiles, from the top, for which every change of patches is a seam; without any, the box's."""
    seams = np.flatnonzero((box[1:] != box[:-1]).any(1)) + 1
    return np.gcd.reduce(seams, initial=0) or len(box)
