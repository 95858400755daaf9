"""The smooth fill: its kriging against Gaussian processes written another way, and what it does to photos."""

import cv2
import numpy as np
import pytest
from support.fills import boxes

from pixmend.fills.harmonic import fill_harmonic
from pixmend.fills.smooth import NOISE_VARIANCE, compute_covariance, fill_smooth, fill_smooth_images, krige


def test_covariance_is_positive_definite():
    points = np.random.default_rng(0).integers(0, 256, (2, 600))
    points = np.unique(points, axis=1)
    assert np.linalg.eigvalsh(compute_covariance(points, points)).min() > 0


def test_kriging_is_the_conditional_mean():
    """Compare with the conditional mean computed from blocks of the inverse of the whole covariance matrix."""
    rng = np.random.default_rng(1)
    all_points = np.unique(rng.integers(0, 80, (2, 70)), axis=1)
    known, points = all_points[:, ::2], all_points[:, 1::2]
    values = rng.random((known.shape[1], 3))
    both = np.hstack([points, known])
    covariance = compute_covariance(both, both) + NOISE_VARIANCE * np.eye(both.shape[1])
    precision, count = np.linalg.inv(covariance), points.shape[1]
    right_side = precision[:count, count:] @ (values - values.mean(0))
    expected = values.mean(0) - np.linalg.solve(precision[:count, :count], right_side)
    assert np.abs(krige(known, values, points) - expected).max() < 1e-8


@pytest.mark.parametrize("rotation", [0, 1])
def test_smooth_is_better_than_harmonic_on_stripes(rotation):
    stripes = np.convolve(np.random.default_rng(2).random(170), np.ones(11) / 11, "valid")
    image = np.rot90(np.tile(stripes.astype(np.float32)[:, None], (160, 1, 1)), rotation)
    mask = boxes((160, 160), (42, 42, 75, 75))
    error = {fill: np.square(fill(image, mask) - image)[mask].mean() for fill in (fill_harmonic, fill_smooth)}
    assert error[fill_smooth] < 0.95 * error[fill_harmonic]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mask", [
    boxes((256, 256), (40, 50, 75, 75), (150, 160, 75, 75)), boxes((256, 256), (40, 50, 75, 75), (80, 90, 75, 75)),
    boxes((256, 256), (0, 0, 75, 75), (181, 181, 75, 75)), boxes((90, 120), (0, 0, 90, 100)),
    np.hypot(*(np.indices((120, 100)) - 50)) < 40, ~boxes((64, 64), (63, 63, 1, 1)), ~boxes((400, 300), (7, 8, 1, 2)),
    np.random.default_rng(4).random((80, 80)) < 0.6])
def test_smooth_keeps_known_pixels_on_masks_of_many_shapes(mask, channels):
    image = np.random.default_rng(3).random((*mask.shape, channels), np.float32)
    before = image.copy()
    filled = fill_smooth(image, mask)
    assert filled.dtype == np.float32 and filled.shape == image.shape
    assert np.array_equal(image, before) and np.array_equal(filled[~mask], image[~mask])
    assert filled.min() >= 0 and filled.max() <= 1
    assert np.array_equal(filled, fill_smooth(np.where(mask[..., None], np.float32(np.nan), image), mask))


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("mask", [boxes((128, 128), (0, 10, 60, 60), (30, 50, 60, 60)), boxes((128, 128), (9, 9, 5, 5))])
def test_images_with_the_same_mask_are_filled_as_each_alone(mask, channels):
    images = list(np.random.default_rng(6).random((5, *mask.shape, channels), np.float32))
    for image, filled in zip(images, fill_smooth_images(images, mask), strict=True):
        assert filled.shape == image.shape
        np.testing.assert_allclose(filled, fill_smooth(image, mask), atol=1e-6)


def test_constant_image_stays_constant():
    image = np.full((100, 110, 3), 0.3, np.float32)
    filled = fill_smooth(image, boxes((100, 110), (10, 20, 60, 50), (40, 40, 50, 60)))
    assert np.abs(filled - image).max() < 1e-5


def test_small_and_thin_holes_are_harmonic():
    mask = np.tile(np.pad(np.ones((2, 2), bool), 3), (16, 16)) | boxes((128, 128), (20, 0, 10, 128))
    image = np.random.default_rng(5).random((128, 128, 3), np.float32)
    assert np.array_equal(fill_smooth(image, mask), fill_harmonic(image, mask))


def test_fill_is_continuous_at_the_border():
    rows, columns = np.indices((120, 120)) / 200
    slope = (0.1 + rows + columns / 2)[..., None].astype(np.float32)
    filled = fill_smooth(slope, boxes((120, 120), (20, 20, 75, 75)))
    assert np.abs(np.diff(filled, axis=0)).max() < 0.02 and np.abs(filled - slope).max() < 0.02


def test_colour_that_jpeg_bleeds_from_a_black_box_is_ignored():
    colour = np.array([230, 60, 40], np.uint8)
    original, mask = np.full((128, 128, 3), colour), boxes((128, 128), (41, 37, 45, 45))
    black = np.where(mask[..., None], 0, original).astype(np.uint8)
    stored = cv2.imdecode(cv2.imencode(".jpg", black[..., ::-1])[1], cv2.IMREAD_COLOR)[..., ::-1] / np.float32(255)
    errors = [np.abs(fill(stored, mask)[mask] * 255 - colour).mean() for fill in (fill_harmonic, fill_smooth)]
    assert errors[0] > 10 > 2 * errors[1]
