"""The tile fills: the smoothest surface on which every tile of a pixelated area keeps its mean; and any picture made to.

These fills do look under the mask, for the tiles: patches of one colour. A hole that is empty (mostly black or white), or
that shows a picture of its own and no tiles, has nothing to keep and is harmonic. In a box the tiles are told by their grid;
in any other area neighbours of exactly the same colour count as one tile, which is still true of their mean.
"""

from functools import lru_cache

import numpy as np

from pixmend.fills.biharmonic import inner, plate, springs
from pixmend.fills.harmonic import fill_harmonic

FEWEST = 4  # pixels a tile on the average; 6 are the fewest where tiles of 4x4 are cut off by the end of an area
NEAR_BLACK = 16 / 255  # what JPEG may leave of black; and as near to white
BEND = 2  # how much a plate's resistance counts beside a soap film's


def fill_tile_harmonic(picture, mask):
    """As a soap film through the known pixels and the tiles' means."""
    return with_means(picture, mask, springs)


def fill_tile_smooth(picture, mask):
    """As a film that also resists bending, which photos resemble more."""
    return with_means(picture, mask, film)


@lru_cache(4)
def film(shape):
    return springs(shape) + BEND * plate(shape)


def with_means(picture, mask, stiffness):
    """Fill all holes harmonically, then those with tiles by the smoothest surface that keeps their means."""
    filled, tiles = fill_harmonic(picture, mask), find_tiles(picture, mask)
    tiled = tiles >= 0
    if tiled.any():
        means = np.stack([picture[tiles == tile].mean(0) for tile in range(tiles.max() + 1)])
        filled[tiled] = np.clip(solve(stiffness(mask.shape), filled, tiles, means), 0, 1)
    return filled


def find_tile_boxes(picture, mask):
    """The box (row, column, height, width) that holds each tile."""
    from scipy.ndimage import find_objects

    return [(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
            for rows, columns in find_objects(find_tiles(picture, mask) + 1)]


def restore_tile_means(painted, picture, mask):
    """What was painted, each tile moved evenly to the mean that the picture shows of it; what shows no tiles stays."""
    tiles = find_tiles(picture, mask)
    tiled = tiles >= 0
    kept, number = painted.copy(), tiles[tiled]
    for channel in range(painted.shape[2] if tiled.any() else 0):
        missing = np.bincount(number, (picture - painted)[tiled, channel]) / np.bincount(number)
        kept[tiled, channel] += missing[number]
    return kept


def find_tiles(picture, mask):
    """The number of each pixel's tile, -1 where there is none."""
    from scipy.ndimage import find_objects

    patches, areas = connected(picture, mask), connected(np.zeros_like(picture), mask)
    tiles, count = np.full(mask.shape, -1), 0
    for area, window in enumerate(find_objects(areas + 1)):
        here = areas[window] == area
        found = np.unique(grid(patches[window], here), return_inverse=True)[1]
        if not empty(picture[window][here]) and (found.max() + 1) * FEWEST <= len(found):
            tiles[window][here] = found + count
            count += found.max() + 1
    return tiles


def grid(patches, here):
    """The tiles of an area: in a box on the finest grid that all its seams fit, elsewhere the patches themselves."""
    rows, columns = (np.flatnonzero(here.any(axis)) for axis in (1, 0))
    inside = patches[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    down, across = side(inside), side(inside.T)
    if here.sum() < inside.size or min(down, across) == 1:
        return patches[here]
    return (np.arange(len(rows))[:, None] // down * len(columns) + np.arange(len(columns)) // across).ravel()


def side(inside):
    """The largest height of tiles, from the upper end on, that has every change of patches at a seam; with none, the box's."""
    seams = np.flatnonzero((inside[1:] != inside[:-1]).any(1)) + 1
    return np.gcd.reduce(seams, initial=0) or len(inside)


def empty(colours):
    """Whether most of an area is black, white or no number at all."""
    black, white = (colours <= NEAR_BLACK).all(1), (colours >= 1 - NEAR_BLACK).all(1)
    return max(black.mean(), white.mean(), np.isnan(colours).any(1).mean()) > 0.5


def connected(picture, mask):
    """Numbers from 0 for the patches of one colour inside the mask, -1 outside."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    number = np.full(mask.shape, -1)
    number[mask] = np.arange(mask.sum())
    links = []
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        alike = mask[one] & mask[other] & (picture[one] == picture[other]).all(-1)
        links.append((number[one][alike], number[other][alike]))
    ends = np.hstack(links)
    graph = coo_array((np.ones(ends.shape[1]), ends), shape=(mask.sum(),) * 2)
    number[mask] = connected_components(graph, directed=False)[1]
    return number


def solve(stiffness, filled, tiles, means):
    """The stiff surface's values in the tiles: at rest but for one even pull a tile, which brings it to its mean."""
    from scipy.sparse import block_array, csr_array
    from scipy.sparse.linalg import spsolve

    inside, pull = inner(stiffness, filled, tiles >= 0)
    number = tiles[tiles >= 0]
    sizes = np.bincount(number)
    average = csr_array((1 / sizes[number], (number, np.arange(len(number)))), shape=(len(sizes), len(number)))
    system = block_array([[inside, average.T], [average, None]]).tocsc()
    return spsolve(system, np.vstack([pull, means])).reshape(-1, filled.shape[2])[:len(number)]
