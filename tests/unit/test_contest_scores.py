"""The contests' own scores against SciPy's, scikit-learn's and scikit-image's word; grey against the formulas of colour."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cosine
from scipy.special import xlogy
from scipy.stats import poisson
from skimage import color
from skimage.metrics import mean_squared_error
from sklearn.metrics import mean_absolute_error, mean_poisson_deviance, root_mean_squared_error

from pixmend.competitions import get_competition
from pixmend.data.grey import grey, grey_by_light

SCORES = {name: metric for competition in ("missing_pixels", "depixelation", "landscapes")
          for name, metric in get_competition(competition).metrics.items()}


@pytest.fixture(params=[1, 3])
def case(request):
    """Whole and mended pictures that agree where pixels are known, and which aren't."""
    rng = np.random.default_rng(request.param)
    whole = rng.integers(0, 256, (4, 32, 32, request.param)).astype(np.float32) / 255
    counts = (rng.random((4, 32, 32)) < np.array([0.1, 0.3, 0.6, 0.9])[:, None, None]).astype(np.uint8)
    return whole, np.where(counts[..., None], rng.random(whole.shape, np.float32), whole), counts


def ours(name, case):
    score = SCORES[name]
    return score.over([score.parts(*of_picture) for of_picture in zip(*case, strict=True)])


def test_mse_is_scikit_images_over_whole_pictures_in_0_to_255(case):
    whole, mended, _ = case
    assert ours("mse_255", case) == pytest.approx(mean_squared_error(255 * whole.astype(float), 255 * mended.astype(float)))


def test_rmse_is_scikit_learns_over_the_missing_pixels_of_all_pictures_in_0_to_255(case):
    whole, mended, counts = case
    hole = counts > 0
    expected = root_mean_squared_error(255 * whole[hole].ravel().astype(float), 255 * mended[hole].ravel().astype(float))
    assert ours("rmse_255", case) == pytest.approx(expected)


def test_l1_l2_and_cosine_are_scikit_learns_and_scipys_over_whole_pictures(case):
    whole, mended, _ = (array.astype(float) for array in case)
    assert ours("l1", case) == pytest.approx(mean_absolute_error(whole.ravel(), mended.ravel()))
    assert ours("l2", case) == pytest.approx(mean_squared_error(whole, mended))
    alike = [1 - cosine(w.ravel(), m.ravel()) for w, m in zip(whole, mended, strict=True)]
    assert ours("cosine", case) == pytest.approx(np.mean(alike))


def test_poisson_is_half_the_deviance_up_to_what_the_whole_picture_alone_says(case):
    whole, mended, _ = (array.astype(float) for array in case)
    mended = np.maximum(mended, 1e-3)
    constant = (whole - xlogy(whole, whole)).mean()
    expected = mean_poisson_deviance(whole.ravel(), mended.ravel()) / 2 + constant
    assert ours("poisson", (whole, mended, case[2])) == pytest.approx(expected, abs=1e-6)


def test_poisson_is_scipys_likelihood_of_counts():
    """Of whole numbers the constant that is left out is the logarithm of their factorial, nought for 0 and 1."""
    whole, mended = np.array([[[0.0], [1.0]]]), np.array([[[0.3], [0.8]]])
    assert ours("poisson", (whole[None], mended[None], np.ones((1, 1, 2)))) == pytest.approx(
        -poisson.logpmf(whole, mended).mean(), abs=1e-6)


def test_a_perfect_picture_and_black_ones():
    whole = np.random.default_rng(1).random((1, 8, 8, 3))
    black, counts = np.zeros_like(whole), np.ones((1, 8, 8), np.uint8)
    for name in SCORES:
        assert np.isfinite(ours(name, (whole, black, counts)))
    assert ours("cosine", (whole, whole, counts)) == pytest.approx(1)
    assert (ours("cosine", (black, black, counts)), ours("cosine", (whole, black, counts))) == (1, 0)
    assert [ours(name, (whole, whole, counts)) for name in ("mse_255", "rmse_255", "l1", "l2")] == [0, 0, 0, 0]


def test_grey_by_light_is_scikit_images_luminance_coded_again():
    every = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    every[:4] = np.arange(256, dtype=np.uint8).reshape(4, 64, 1)
    luminance = color.rgb2xyz(every)[..., 1]
    coded = np.where(luminance <= 0.0031308, 12.92 * luminance, 1.055 * luminance ** (1 / 2.4) - 0.055)
    assert np.abs(grey_by_light(every)[..., 0] - 255 * coded).max() < 0.53   # its weights have more digits
    assert grey_by_light(every).shape == (64, 64, 1) and grey_by_light(every).dtype == np.uint8


@given(st.integers(0, 255))
def test_grey_of_grey_is_itself(value):
    flat = np.full((2, 2, 3), value, np.uint8)
    assert (grey(flat) == value).all() and (grey_by_light(flat) == value).all()
    assert (grey_by_light(flat[..., :1]) == value).all()


def test_the_two_greys_differ_on_colours():
    blue = np.full((1, 1, 3), (0, 0, 255), np.uint8)
    assert int(grey(blue)[0, 0, 0]) == 29 and int(grey_by_light(blue)[0, 0, 0]) == 76
