"""The metrics of competitions compared with SciPy, scikit-learn and scikit-image; grey values compared with their formulas."""

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
from pixmend.data.photos import convert_to_grey, convert_to_grey_by_light

METRICS = {name: metric for competition in ("missing_pixels", "depixelation", "landscapes")
          for name, metric in get_competition(competition).metrics.items()}


@pytest.fixture(params=[1, 3])
def case(request):
    """Original and predicted images that agree where pixels are known, and which aren't."""
    rng = np.random.default_rng(request.param)
    original = rng.integers(0, 256, (4, 32, 32, request.param)).astype(np.float32) / 255
    counts = (rng.random((4, 32, 32)) < np.array([0.1, 0.3, 0.6, 0.9])[:, None, None]).astype(np.uint8)
    return original, np.where(counts[..., None], rng.random(original.shape, np.float32), original), counts


def compute(name, case):
    metric = METRICS[name]
    return metric.over([metric.parts(*values) for values in zip(*case, strict=True)])


def test_mse_equals_scikit_image(case):
    original, predicted, _ = case
    expected = mean_squared_error(255 * original.astype(float), 255 * predicted.astype(float))
    assert compute("mse_255", case) == pytest.approx(expected)


def test_rmse_of_missing_pixels_equals_scikit_learn(case):
    original, predicted, counts = case
    hole = counts > 0
    expected = root_mean_squared_error(255 * original[hole].ravel().astype(float), 255 * predicted[hole].ravel().astype(float))
    assert compute("rmse_255", case) == pytest.approx(expected)


def test_l1_l2_and_cosine_equal_scikit_learn_and_scipy(case):
    original, predicted, _ = (array.astype(float) for array in case)
    assert compute("l1", case) == pytest.approx(mean_absolute_error(original.ravel(), predicted.ravel()))
    assert compute("l2", case) == pytest.approx(mean_squared_error(original, predicted))
    alike = [1 - cosine(w.ravel(), m.ravel()) for w, m in zip(original, predicted, strict=True)]
    assert compute("cosine", case) == pytest.approx(np.mean(alike))


def test_poisson_is_half_the_deviance_plus_a_constant(case):
    original, predicted, _ = (array.astype(float) for array in case)
    predicted = np.maximum(predicted, 1e-3)
    constant = (original - xlogy(original, original)).mean()
    expected = mean_poisson_deviance(original.ravel(), predicted.ravel()) / 2 + constant
    assert compute("poisson", (original, predicted, case[2])) == pytest.approx(expected, abs=1e-6)


def test_poisson_of_counts_equals_scipys_likelihood():
    """Of original numbers the constant that is left out is the logarithm of their factorial, which is 0 for 0 and 1."""
    original, predicted = np.array([[[0.0], [1.0]]]), np.array([[[0.3], [0.8]]])
    assert compute("poisson", (original[None], predicted[None], np.ones((1, 1, 2)))) == pytest.approx(
        -poisson.logpmf(original, predicted).mean(), abs=1e-6)


def test_metrics_of_perfect_and_black_images():
    original = np.random.default_rng(1).random((1, 8, 8, 3))
    black, counts = np.zeros_like(original), np.ones((1, 8, 8), np.uint8)
    for name in METRICS:
        assert np.isfinite(compute(name, (original, black, counts)))
    assert compute("cosine", (original, original, counts)) == pytest.approx(1)
    assert (compute("cosine", (black, black, counts)), compute("cosine", (original, black, counts))) == (1, 0)
    assert [compute(name, (original, original, counts)) for name in ("mse_255", "rmse_255", "l1", "l2")] == [0, 0, 0, 0]


def test_grey_by_light_equals_scikit_images_luminance():
    every = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    every[:4] = np.arange(256, dtype=np.uint8).reshape(4, 64, 1)
    luminance = color.rgb2xyz(every)[..., 1]
    coded = np.where(luminance <= 0.0031308, 12.92 * luminance, 1.055 * luminance ** (1 / 2.4) - 0.055)
    assert np.abs(convert_to_grey_by_light(every)[..., 0] - 255 * coded).max() < 0.53   # its weights have more digits
    assert convert_to_grey_by_light(every).shape == (64, 64, 1) and convert_to_grey_by_light(every).dtype == np.uint8


@given(st.integers(0, 255))
def test_grey_of_grey_is_itself(value):
    flat = np.full((2, 2, 3), value, np.uint8)
    assert (convert_to_grey(flat) == value).all() and (convert_to_grey_by_light(flat) == value).all()
    assert (convert_to_grey_by_light(flat[..., :1]) == value).all()


def test_the_two_greys_differ_on_colours():
    blue = np.full((1, 1, 3), (0, 0, 255), np.uint8)
    assert int(convert_to_grey(blue)[0, 0, 0]) == 29 and int(convert_to_grey_by_light(blue)[0, 0, 0]) == 76
