"""The fills of pixelated areas: every tile's mean kept, the smoothest of all that keep them, and empty holes harmonic."""

import numpy as np
import pytest
from scipy.optimize import minimize
from support.fills import boxes, photo, rmse

from pixmend.fills.biharmonic import plate, springs
from pixmend.fills.harmonic import fill_harmonic
from pixmend.fills.tiles import BEND, fill_tile_harmonic, fill_tile_smooth, find_tile_boxes, find_tiles, restore_tile_means

FILLS = [fill_tile_harmonic, fill_tile_smooth]


def pixelated(whole, *areas):
    """Each area of (top, left, height, width, tile): the picture, its mask, and the slices of the tiles, with plain loops."""
    picture, mask, tiles = whole.copy(), np.zeros(whole.shape[:2], bool), []
    for top, left, height, width, side in areas:
        bottom, right = top + height, left + width
        mask[top:bottom, left:right] = True
        tiles += [np.s_[row:min(row + side, bottom), column:min(column + side, right)]
                  for row in range(top, bottom, side) for column in range(left, right, side)]
    for tile in tiles:
        picture[tile] = np.rint(255 * whole[tile].mean((0, 1))) / 255
    return picture, mask, tiles


AREAS = [[(10, 20, 32, 29, 7)], [(0, 0, 5, 5, 4)], [(20, 30, 4, 4, 16)], [(33, 31, 31, 33, 16)],
         [(5, 5, 20, 17, 4), (30, 28, 33, 21, 9)]]
TOUCHING = [(5, 5, 20, 20, 5), (5, 25, 12, 30, 6)]  # in grey, neighbours of one colour are one tile there
CASES = [*((areas, channels) for areas in AREAS for channels in (1, 3)), (TOUCHING, 3)]


@pytest.mark.parametrize(("areas", "channels"), CASES, ids=str)
def test_the_tiles_are_recognised(areas, channels):
    picture, mask, tiles = pixelated(photo(np.random.default_rng(1), 64, 64, channels), *areas)
    found = find_tiles(picture, mask)
    assert (found[~mask] == -1).all() and found.max() + 1 == len(np.unique(found[mask])) == len(tiles)
    assert all(len(np.unique(found[tile])) == 1 for tile in tiles)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize(("areas", "channels"), CASES, ids=str)
def test_every_tile_keeps_its_mean_and_known_pixels_stay(fill, areas, channels):
    whole = photo(np.random.default_rng(2), 64, 64, channels)
    picture, mask, tiles = pixelated(whole, *areas)
    before, filled = picture.copy(), fill(picture, mask)
    assert filled.dtype == np.float32 and np.array_equal(filled[~mask], picture[~mask]) and np.array_equal(picture, before)
    for tile in tiles:
        np.testing.assert_allclose(filled[tile].mean((0, 1)), picture[tile].mean((0, 1)), atol=1e-5)


@pytest.mark.parametrize("fill", FILLS)
def test_it_is_the_smoothest_of_all_that_keep_the_means(fill):
    """SciPy's minimiser, which knows nothing of sparse matrices, finds no other."""
    picture, mask, tiles = pixelated(photo(np.random.default_rng(3), 12, 14, 1), (3, 4, 6, 8, 4))
    stiffness = springs(mask.shape) + (BEND * plate(mask.shape) if fill is fill_tile_smooth else 0)
    stiffness, numbers = stiffness.toarray(), np.arange(mask.size).reshape(mask.shape)
    hole = mask.ravel()

    def surface(values):
        flat = picture.ravel().astype(float)
        flat[hole] = values
        return flat

    means = [{"type": "eq", "fun": lambda values, tile=tile: surface(values)[numbers[tile]].mean() - picture[tile].mean()}
             for tile in tiles]
    found = minimize(lambda values: surface(values) @ stiffness @ surface(values), picture.ravel()[hole].astype(float),
                     jac=lambda values: 2 * (stiffness @ surface(values))[hole], constraints=means, method="SLSQP",
                     options={"ftol": 1e-14, "maxiter": 500})
    np.testing.assert_allclose(fill(picture, mask)[mask].ravel(), found.x, atol=1e-4)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("under", [0, 1, 9 / 255, "noise", np.nan], ids=str)
def test_a_hole_that_shows_no_tiles_is_harmonic(fill, under):
    rng = np.random.default_rng(4)
    whole, mask = photo(rng, 64, 64), boxes((64, 64), (10, 12, 30, 30))
    mask |= np.tile(np.pad(np.ones((2, 2), bool), 3), (8, 8))
    shown = whole.copy()
    shown[mask] = rng.random((mask.sum(), 3)) if under == "noise" else under
    assert np.array_equal(fill(shown, mask), fill_harmonic(shown, mask))


@pytest.mark.parametrize("fill", FILLS)
def test_an_empty_hole_beside_a_pixelated_area_has_no_tiles(fill):
    picture, mask, tiles = pixelated(photo(np.random.default_rng(5), 64, 64), (5, 5, 20, 20, 5))
    empty = boxes((64, 64), (40, 40, 15, 15))
    picture[empty] = 0
    filled = fill(picture, mask | empty)
    assert np.array_equal(filled[empty], fill_harmonic(picture, mask | empty)[empty])
    np.testing.assert_allclose(filled[tiles[5]].mean((0, 1)), picture[tiles[5]].mean((0, 1)), atol=1e-5)


@pytest.mark.parametrize("fill", FILLS)
def test_it_is_nearer_to_the_whole_picture_than_the_tiles_and_than_harmonic(fill):
    rows, columns = np.indices((64, 64)) / 10
    whole = (0.5 + 0.25 * np.sin(rows) + 0.2 * np.cos(columns))[..., None].astype(np.float32)
    picture, mask, _ = pixelated(whole, (10, 20, 32, 29, 7))
    tiles, film, ours = (rmse(one, whole, mask) for one in (picture, fill_harmonic(picture, mask), fill(picture, mask)))
    assert ours < min(tiles, film) / 2


def test_a_painted_picture_is_moved_to_the_tiles_means_and_is_otherwise_left_alone():
    rng = np.random.default_rng(6)
    whole = photo(rng, 64, 64)
    picture, mask, tiles = pixelated(whole, (10, 20, 32, 29, 7))
    painted = rng.random(picture.shape)
    kept = restore_tile_means(painted, picture, mask)
    assert np.array_equal(kept[~mask], painted[~mask])
    for tile in tiles:
        np.testing.assert_allclose(kept[tile].mean((0, 1)), picture[tile].mean((0, 1)), atol=1e-6)
        assert np.ptp(kept[tile] - painted[tile], axis=(0, 1)).max() < 1e-6
    picture[mask] = 0
    assert np.array_equal(restore_tile_means(painted, picture, mask), painted)


def test_every_tile_has_its_box():
    picture, mask, tiles = pixelated(photo(np.random.default_rng(7), 64, 64), (10, 20, 32, 29, 7))
    wanted = [(part[0].start, part[1].start, part[0].stop - part[0].start, part[1].stop - part[1].start) for part in tiles]
    assert sorted(find_tile_boxes(picture, mask)) == sorted(wanted)
