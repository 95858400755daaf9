"""The classical fills against SciPy, mathematics and their contract."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import diags_array, eye_array, kron
from scipy.sparse.linalg import spsolve
from skimage.restoration import inpaint_biharmonic
from support.fills import boxes, photo, rmse

from pixmend.fills import mean, opencv
from pixmend.fills.biharmonic import fill_biharmonic
from pixmend.fills.harmonic import fill_harmonic

ALL = [mean.fill_mean, mean.fill_ring, opencv.fill_telea, opencv.fill_navier_stokes, fill_harmonic, fill_biharmonic]


def random_boxes(rng, shape, count):
    """Boxes drawn so that they often overlap, touch one another or touch the picture's edges."""
    sizes = rng.integers(1, np.array(shape) * 3 // 5, (count, 2))
    corners = rng.integers(-5, np.array(shape) - sizes + 6).clip(0, shape - sizes)
    return boxes(shape, *np.hstack([corners, sizes]))


def oracle(picture, mask):
    """The Laplace equation of the whole grid, known pixels as its data, solved by SciPy in double precision."""
    chains = [diags_array([np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1]) for n in mask.shape]
    links = (kron(chains[0], eye_array(mask.shape[1])) + kron(eye_array(mask.shape[0]), chains[1])).tocsr()
    laplace = (diags_array(links.sum(1)) - links).tocsr()
    hole, known = mask.ravel(), ~mask.ravel()
    values = picture.reshape(-1, picture.shape[2]).astype(float)
    filled = values.copy()
    solution = spsolve(laplace[hole][:, hole].tocsc(), -laplace[hole][:, known] @ values[known])
    filled[hole] = solution.reshape(-1, picture.shape[2])
    return filled.reshape(picture.shape)


def small_masks():
    rng = np.random.default_rng(5)
    for _ in range(60):
        shape = tuple(rng.integers(16, 65, 2))
        yield random_boxes(rng, shape, rng.integers(1, 4))
    for share in (0.05, 0.5, 0.95):
        yield rng.random((48, 40)) < share
    yield np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((7, 5))) > 0
    yield np.hypot(*(np.indices((64, 64)) - 30)) < 25


@pytest.mark.parametrize("mask", list(small_masks()))
@pytest.mark.parametrize("channels", [1, 3])
def test_harmonic_agrees_with_scipy(mask, channels):
    picture = photo(np.random.default_rng(1), *mask.shape, channels)
    assert rmse(fill_harmonic(picture, mask), oracle(picture, mask), mask) < 1e-5


@pytest.mark.parametrize("first, second", [
    ((40, 50), (150, 160)), ((40, 50), (80, 90)), ((0, 0), (181, 181)), ((0, 60), (30, 0)), ((100, 100), (100, 175)),
    ((100, 100), (103, 175)), ((10, 20), (84, 21)), ((90, 90), (90, 90)), ((90, 20), (164, 94)), ((0, 100), (75, 103)),
    ((181, 0), (107, 1)), ((50, 50), (125, 125))])
def test_harmonic_agrees_with_scipy_on_boxes_of_the_competition(first, second):
    mask = boxes((256, 256), (*first, 75, 75), (*second, 75, 75))
    picture = photo(np.random.default_rng(2), 256, 256)
    assert rmse(fill_harmonic(picture, mask), oracle(picture, mask), mask) < 1e-5


def test_harmonic_agrees_with_scipy_on_a_hole_in_every_block():
    mask = np.pad(np.ones((2, 2), bool), 3)
    mask = np.tile(mask, (32, 32))
    picture = photo(np.random.default_rng(3), 256, 256)
    assert rmse(fill_harmonic(picture, mask), oracle(picture, mask), mask) < 1e-5


def test_harmonic_continues_a_slope():
    rows, columns = np.indices((80, 90)) / 200
    slope = (0.1 + rows + columns)[..., None].astype(np.float32)
    for mask in (boxes((80, 90), (5, 5, 50, 40), (30, 30, 40, 55)), boxes((80, 90), (1, 1, 78, 88))):
        assert np.abs(fill_harmonic(slope, mask) - slope).max() < 1e-5


@pytest.mark.parametrize("fill", [mean.fill_mean, mean.fill_ring, fill_harmonic])
def test_no_new_extremes(fill):
    rng = np.random.default_rng(6)
    for _ in range(20):
        mask = random_boxes(rng, (50, 60), 2)
        picture = rng.random((50, 60, 3), np.float32)
        filled, known = fill(picture, mask), picture[~mask]
        assert filled.min() > known.min() - 1e-6 and filled.max() < known.max() + 1e-6


def test_harmonic_commutes_with_flips_and_turns():
    rng = np.random.default_rng(7)
    for _ in range(5):
        mask, picture = random_boxes(rng, (41, 53), 2), photo(rng, 41, 53)
        for turn in range(4):
            for flip in (np.asarray, np.fliplr):
                turned = flip(np.rot90(fill_harmonic(picture, mask), turn))
                assert np.abs(fill_harmonic(flip(np.rot90(picture, turn)), flip(np.rot90(mask, turn))) - turned).max() < 1e-5


@pytest.mark.parametrize("fill", ALL)
@pytest.mark.parametrize("channels", [1, 3])
def test_contract(fill, channels):
    rng = np.random.default_rng(8)
    holes = [np.zeros((40, 50), bool), boxes((40, 50), (3, 4, 20, 20), (10, 10, 30, 15)), rng.random((40, 50)) < 0.3,
             boxes((40, 50), (0, 0, 40, 49))]
    for mask in holes:
        picture = photo(rng, 40, 50, channels)
        before = picture.copy()
        filled = fill(picture, mask)
        assert filled.dtype == np.float32 and filled.shape == picture.shape and filled is not picture
        assert np.array_equal(picture, before) and np.array_equal(filled[~mask], picture[~mask])
        assert filled[mask].min(initial=0) >= 0 and filled[mask].max(initial=1) <= 1


@pytest.mark.parametrize("fill", ALL)
def test_what_lies_under_the_mask_does_not_matter(fill):
    rng = np.random.default_rng(9)
    mask = boxes((40, 50), (3, 4, 20, 20), (10, 10, 30, 15))
    picture = photo(rng, 40, 50)
    other = np.where(mask[..., None], np.float32(np.nan), picture)
    assert np.array_equal(fill(picture, mask), fill(other, mask))


@pytest.mark.parametrize("fill", ALL)
def test_nothing_known_gives_grey(fill):
    filled = fill(np.zeros((20, 30, 3), np.float32), np.ones((20, 30), bool))
    assert filled.shape == (20, 30, 3) and filled.dtype == np.float32 and (filled == 0.5).all()


def test_a_ring_colours_each_hole_by_itself():
    picture = np.zeros((40, 80, 3), np.float32)
    picture[:, 40:] = (0.25, 0.5, 0.75)
    filled = mean.fill_ring(picture, boxes((40, 80), (10, 10, 15, 15), (20, 55, 20, 15)))
    assert np.array_equal(filled, picture)


@pytest.mark.parametrize("mask", [*list(small_masks())[::8], np.tile(np.pad(np.ones((2, 2), bool), 1), (20, 16)),
                                  boxes((40, 50), (0, 0, 40, 49))])
@pytest.mark.parametrize("channels", [1, 3])
def test_biharmonic_agrees_with_scikit_image(mask, channels):
    picture = photo(np.random.default_rng(1), *mask.shape, channels)
    wanted = inpaint_biharmonic(picture.astype(float), mask, channel_axis=-1)
    assert np.abs(fill_biharmonic(picture, mask) - wanted).max() < 1e-6


def test_biharmonic_continues_a_curve_that_harmonic_cuts():
    rows, columns = np.indices((40, 40)) / 40
    bowl = (0.2 + 0.5 * (rows - 0.5) ** 2 + 0.3 * columns)[..., None].astype(np.float32)
    mask = boxes((40, 40), (12, 15, 12, 9))
    assert rmse(fill_biharmonic(bowl, mask), bowl, mask) < 1e-4 < rmse(fill_harmonic(bowl, mask), bowl, mask)


def test_import_brings_no_scipy():
    command = "import sys, pixmend.fills.harmonic, pixmend.fills.mean, pixmend.fills.tiles; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0
