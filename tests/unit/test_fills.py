"""Fills: what they promise, and their results against SciPy, scikit-image and mathematics."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from scipy.sparse import diags_array, eye_array, kron
from scipy.sparse.linalg import spsolve
from skimage.restoration import inpaint_biharmonic
from support.fills import boxes, photo, rmse

from pixmend.fills import FILLS
from pixmend.fills.biharmonic import fill_biharmonic
from pixmend.fills.harmonic import fill_harmonic
from pixmend.fills.simple import fill_mean, fill_ring

READS_DAMAGE = {"tile_harmonic", "tile_smooth"}
TWO_HOLES = boxes((40, 50), (3, 4, 20, 20), (10, 10, 30, 15))
MASKS = {"no hole": np.zeros((40, 50), bool), "two holes": TWO_HOLES, "noise": np.random.default_rng(8).random((40, 50)) < 0.3,
         "one known column": boxes((40, 50), (0, 0, 40, 49)),
         "a hole in every block": np.tile(np.pad(np.ones((2, 2), bool), 3), (6, 8)),
         "one row": boxes((1, 50), (0, 9, 1, 14)), "one column": boxes((50, 1), (30, 0, 20, 1))}


def random_boxes(rng, shape, count):
    """Draw boxes that often overlap, touch one another or touch the image's edges."""
    sizes = rng.integers(1, np.array(shape) * 3 // 5, (count, 2))
    corners = rng.integers(-5, np.array(shape) - sizes + 6).clip(0, shape - sizes)
    return boxes(shape, *np.hstack([corners, sizes]))


def solve_laplace(image, mask):
    """Solve Laplace's equation on the whole grid by SciPy in double precision."""
    chains = [diags_array([np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1]) for n in mask.shape]
    links = (kron(chains[0], eye_array(mask.shape[1])) + kron(eye_array(mask.shape[0]), chains[1])).tocsr()
    laplace = (diags_array(links.sum(1)) - links).tocsr()
    missing, known = mask.ravel(), ~mask.ravel()
    values = image.reshape(-1, image.shape[2]).astype(float)
    filled = values.copy()
    solution = spsolve(laplace[missing][:, missing].tocsc(), -laplace[missing][:, known] @ values[known])
    filled[missing] = solution.reshape(-1, image.shape[2])
    return filled.reshape(image.shape)


def small_masks():
    rng = np.random.default_rng(5)
    for _ in range(60):
        shape = tuple(rng.integers(16, 65, 2))
        yield random_boxes(rng, shape, rng.integers(1, 4))
    for share in (0.05, 0.5, 0.95):
        yield rng.random((48, 40)) < share
    yield np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((7, 5))) > 0
    yield np.hypot(*(np.indices((64, 64)) - 30)) < 25


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_fill_keeps_known_pixels_and_stays_in_range(name, channels, mask):
    image = photo(np.random.default_rng(8), *mask.shape, channels)
    before = image.copy()
    filled = FILLS[name].load()(image, mask)
    assert filled.dtype == np.float32 and filled.shape == image.shape and filled is not image
    assert np.array_equal(image, before) and filled[~mask].tobytes() == image[~mask].tobytes()
    assert filled[mask].min(initial=0) >= 0 and filled[mask].max(initial=1) <= 1


@pytest.mark.parametrize("name", [name for name in FILLS if name not in READS_DAMAGE])
def test_missing_pixels_have_no_effect(name):
    fill, image = FILLS[name].load(), photo(np.random.default_rng(9), 40, 50)
    assert np.array_equal(fill(image, TWO_HOLES), fill(np.where(TWO_HOLES[..., None], np.float32(np.nan), image), TWO_HOLES))


@pytest.mark.parametrize("name", FILLS)
def test_image_without_known_pixels_becomes_grey(name):
    filled = FILLS[name].load()(np.zeros((20, 30, 3), np.float32), np.ones((20, 30), bool))
    assert filled.shape == (20, 30, 3) and filled.dtype == np.float32 and np.allclose(filled, 0.5, atol=1e-6)


@pytest.mark.parametrize("mask", list(small_masks()))
@pytest.mark.parametrize("channels", [1, 3])
def test_harmonic_equals_scipy(mask, channels):
    image = photo(np.random.default_rng(1), *mask.shape, channels)
    assert rmse(fill_harmonic(image, mask), solve_laplace(image, mask), mask) < 1e-5


@pytest.mark.parametrize("first, second", [
    ((40, 50), (150, 160)), ((40, 50), (80, 90)), ((0, 0), (181, 181)), ((0, 60), (30, 0)), ((100, 100), (100, 175)),
    ((100, 100), (103, 175)), ((10, 20), (84, 21)), ((90, 90), (90, 90)), ((90, 20), (164, 94)), ((0, 100), (75, 103)),
    ((181, 0), (107, 1)), ((50, 50), (125, 125))])
def test_harmonic_equals_scipy_on_boxes_of_the_competition(first, second):
    mask = boxes((256, 256), (*first, 75, 75), (*second, 75, 75))
    image = photo(np.random.default_rng(2), 256, 256)
    assert rmse(fill_harmonic(image, mask), solve_laplace(image, mask), mask) < 1e-5


def test_harmonic_equals_scipy_on_a_hole_in_every_block():
    mask = np.tile(np.pad(np.ones((2, 2), bool), 3), (32, 32))
    image = photo(np.random.default_rng(3), 256, 256)
    assert rmse(fill_harmonic(image, mask), solve_laplace(image, mask), mask) < 1e-5


def test_harmonic_continues_a_slope():
    rows, columns = np.indices((80, 90)) / 200
    slope = (0.1 + rows + columns)[..., None].astype(np.float32)
    for mask in (boxes((80, 90), (5, 5, 50, 40), (30, 30, 40, 55)), boxes((80, 90), (1, 1, 78, 88))):
        assert np.abs(fill_harmonic(slope, mask) - slope).max() < 1e-5


@pytest.mark.parametrize("fill", [fill_mean, fill_ring, fill_harmonic])
def test_fill_adds_no_new_extremes(fill):
    rng = np.random.default_rng(6)
    for _ in range(20):
        mask = random_boxes(rng, (50, 60), 2)
        image = rng.random((50, 60, 3), np.float32)
        filled, known = fill(image, mask), image[~mask]
        assert filled.min() > known.min() - 1e-6 and filled.max() < known.max() + 1e-6


def test_harmonic_commutes_with_flips_and_rotations():
    rng = np.random.default_rng(7)
    for _ in range(5):
        mask, image = random_boxes(rng, (41, 53), 2), photo(rng, 41, 53)
        filled = fill_harmonic(image, mask)
        for rotation in range(4):
            for flip in (np.asarray, np.fliplr):
                transformed = fill_harmonic(flip(np.rot90(image, rotation)), flip(np.rot90(mask, rotation)))
                assert np.abs(transformed - flip(np.rot90(filled, rotation))).max() < 1e-5


def test_ring_fills_each_hole_from_its_own_surroundings():
    image = np.zeros((40, 80, 3), np.float32)
    image[:, 40:] = (0.25, 0.5, 0.75)
    assert np.array_equal(fill_ring(image, boxes((40, 80), (10, 10, 15, 15), (20, 55, 20, 15))), image)


@pytest.mark.parametrize("mask", [*list(small_masks())[::8], np.tile(np.pad(np.ones((2, 2), bool), 1), (20, 16)),
                                  boxes((40, 50), (0, 0, 40, 49))])
@pytest.mark.parametrize("channels", [1, 3])
def test_biharmonic_equals_scikit_image(mask, channels):
    image = photo(np.random.default_rng(1), *mask.shape, channels)
    expected = inpaint_biharmonic(image.astype(float), mask, channel_axis=-1)
    assert np.abs(fill_biharmonic(image, mask) - expected).max() < 1e-6


def test_biharmonic_continues_a_curve_that_harmonic_cuts():
    rows, columns = np.indices((40, 40)) / 40
    bowl = (0.2 + 0.5 * (rows - 0.5) ** 2 + 0.3 * columns)[..., None].astype(np.float32)
    mask = boxes((40, 40), (12, 15, 12, 9))
    assert rmse(fill_biharmonic(bowl, mask), bowl, mask) < 1e-4 < rmse(fill_harmonic(bowl, mask), bowl, mask)


@pytest.mark.parametrize("name", ["biharmonic", "tile_smooth"])
def test_small_hole_in_a_large_image_takes_little_memory(name):
    image, mask = np.full((2000, 2000, 1), 0.5, np.float32), boxes((2000, 2000), (900, 0, 12, 12))
    image[mask] = 0.5 + np.kron(np.random.default_rng(4).random((4, 4)) / 9, np.ones((3, 3))).reshape(-1, 1)
    tracemalloc.start()
    FILLS[name].load()(image, mask)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50 * mask.size   # bytes: less than the numbers of an operator on the whole image


def test_importing_fills_does_not_import_scipy():
    modules = ", ".join(sorted({spec.function.split(":")[0] for spec in FILLS.values()}))
    command = f"import sys, {modules}; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0
