"""Fills of pixelated areas: every tile keeps its mean, no smoother surface does, and empty holes are harmonic."""

import numpy as np
import pytest
from scipy.optimize import minimize
from support.fills import boxes, photo, rmse

from pixmend.fills.biharmonic import build_bilaplacian, build_laplacian
from pixmend.fills.harmonic import fill_harmonic
from pixmend.fills.tiles import (
    BENDING,
    fill_tile_harmonic,
    fill_tile_smooth,
    find_tile_boxes,
    find_tiles,
    restore_tile_means,
)

FILLS = [fill_tile_harmonic, fill_tile_smooth]
AREAS = [[(10, 20, 32, 29, 7)], [(0, 0, 5, 5, 4)], [(20, 30, 4, 4, 16)], [(33, 31, 31, 33, 16)],
         [(5, 5, 20, 17, 4), (30, 28, 33, 21, 9)]]
TOUCHING = [(5, 5, 20, 20, 5), (5, 25, 12, 30, 6)]  # in grey, neighbours of one colour are one tile there
CASES = [*((areas, channels) for areas in AREAS for channels in (1, 3)), (TOUCHING, 3)]


def pixelate(original, *areas):
    """Pixelate areas (top, left, height, width, tile) with plain loops; return the image, its mask and the tiles' slices."""
    image, mask, tiles = original.copy(), np.zeros(original.shape[:2], bool), []
    for top, left, height, width, side in areas:
        bottom, right = top + height, left + width
        mask[top:bottom, left:right] = True
        tiles += [np.s_[row:min(row + side, bottom), column:min(column + side, right)]
                  for row in range(top, bottom, side) for column in range(left, right, side)]
    for tile in tiles:
        image[tile] = np.rint(255 * original[tile].mean((0, 1))) / 255
    return image, mask, tiles


@pytest.mark.parametrize(("areas", "channels"), CASES, ids=str)
def test_tiles_are_found(areas, channels):
    image, mask, tiles = pixelate(photo(np.random.default_rng(1), 64, 64, channels), *areas)
    found = find_tiles(image, mask)
    assert (found[~mask] == -1).all() and found.max() + 1 == len(np.unique(found[mask])) == len(tiles)
    assert all(len(np.unique(found[tile])) == 1 for tile in tiles)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize(("areas", "channels"), CASES, ids=str)
def test_every_tile_keeps_its_mean(fill, areas, channels):
    image, mask, tiles = pixelate(photo(np.random.default_rng(2), 64, 64, channels), *areas)
    before, filled = image.copy(), fill(image, mask)
    assert filled.dtype == np.float32 and np.array_equal(filled[~mask], image[~mask]) and np.array_equal(image, before)
    for tile in tiles:
        np.testing.assert_allclose(filled[tile].mean((0, 1)), image[tile].mean((0, 1)), atol=1e-5)


@pytest.mark.parametrize("fill", FILLS)
def test_fill_has_the_least_energy_of_all_surfaces_that_keep_the_means(fill):
    image, mask, tiles = pixelate(photo(np.random.default_rng(3), 12, 14, 1), (3, 4, 6, 8, 4))
    everywhere = np.ones_like(mask)
    operator = build_laplacian(everywhere) + (BENDING * build_bilaplacian(everywhere) if fill is fill_tile_smooth else 0)
    operator, numbers = operator.toarray(), np.arange(mask.size).reshape(mask.shape)
    missing = mask.ravel()

    def surface(values):
        flat = image.ravel().astype(float)
        flat[missing] = values
        return flat

    means = [{"type": "eq", "fun": lambda values, tile=tile: surface(values)[numbers[tile]].mean() - image[tile].mean()}
             for tile in tiles]
    found = minimize(lambda values: surface(values) @ operator @ surface(values), image.ravel()[missing].astype(float),
                     jac=lambda values: 2 * (operator @ surface(values))[missing], constraints=means, method="SLSQP",
                     options={"ftol": 1e-14, "maxiter": 500})
    np.testing.assert_allclose(fill(image, mask)[mask].ravel(), found.x, atol=1e-4)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("damage", [0, 1, 9 / 255, "noise", np.nan], ids=str)
def test_hole_without_tiles_is_harmonic(fill, damage):
    rng = np.random.default_rng(4)
    original, mask = photo(rng, 64, 64), boxes((64, 64), (10, 12, 30, 30))
    mask |= np.tile(np.pad(np.ones((2, 2), bool), 3), (8, 8))
    image = original.copy()
    image[mask] = rng.random((mask.sum(), 3)) if damage == "noise" else damage
    assert np.array_equal(fill(image, mask), fill_harmonic(image, mask))


@pytest.mark.parametrize("fill", FILLS)
def test_empty_hole_next_to_a_pixelated_area_is_harmonic(fill):
    image, mask, tiles = pixelate(photo(np.random.default_rng(5), 64, 64), (5, 5, 20, 20, 5))
    empty = boxes((64, 64), (40, 40, 15, 15))
    image[empty] = 0
    filled = fill(image, mask | empty)
    assert np.array_equal(filled[empty], fill_harmonic(image, mask | empty)[empty])
    np.testing.assert_allclose(filled[tiles[5]].mean((0, 1)), image[tiles[5]].mean((0, 1)), atol=1e-5)


@pytest.mark.parametrize("fill", FILLS)
def test_fill_is_closer_to_the_original_than_the_tiles_and_than_harmonic(fill):
    rows, columns = np.indices((64, 64)) / 10
    original = (0.5 + 0.25 * np.sin(rows) + 0.2 * np.cos(columns))[..., None].astype(np.float32)
    image, mask, _ = pixelate(original, (10, 20, 32, 29, 7))
    tiles, harmonic, ours = (rmse(one, original, mask) for one in (image, fill_harmonic(image, mask), fill(image, mask)))
    assert ours < min(tiles, harmonic) / 2


def test_restored_means_are_those_of_the_tiles():
    rng = np.random.default_rng(6)
    image, mask, tiles = pixelate(photo(rng, 64, 64), (10, 20, 32, 29, 7))
    predicted = rng.random(image.shape)
    restored = restore_tile_means(predicted, image, mask)
    assert np.array_equal(restored[~mask], predicted[~mask])
    for tile in tiles:
        np.testing.assert_allclose(restored[tile].mean((0, 1)), image[tile].mean((0, 1)), atol=1e-6)
        assert np.ptp(restored[tile] - predicted[tile], axis=(0, 1)).max() < 1e-6
    image[mask] = 0
    assert np.array_equal(restore_tile_means(predicted, image, mask), predicted)


def test_every_tile_has_its_bounding_box():
    image, mask, tiles = pixelate(photo(np.random.default_rng(7), 64, 64), (10, 20, 32, 29, 7))
    expected = [(part[0].start, part[1].start, part[0].stop - part[0].start, part[1].stop - part[1].start) for part in tiles]
    assert sorted(find_tile_boxes(image, mask)) == sorted(expected)
