"""The smooth fill against Gaussian processes written another way, and its contract."""

import cv2
import numpy as np
import pytest

from pixmend.fills.harmonic import fill_harmonic
from pixmend.fills.smooth import fill_smooth, krige, likeness


def boxes(shape, *corners_and_sizes):
    mask = np.zeros(shape, bool)
    for top, left, height, width in corners_and_sizes:
        mask[top:top + height, left:left + width] = True
    return mask


def test_likeness_is_a_covariance():
    points = np.random.default_rng(0).integers(0, 256, (2, 600))
    points = np.unique(points, axis=1)
    assert np.linalg.eigvalsh(likeness(points, points)).min() > 0


def test_krige_is_the_conditional_mean():
    """Against the other way to write it: blocks of the inverse of the whole covariance."""
    rng = np.random.default_rng(1)
    points = np.unique(rng.integers(0, 80, (2, 70)), axis=1)
    known, places = points[:, ::2], points[:, 1::2]
    colours = rng.random((known.shape[1], 3))
    both = np.hstack([places, known])
    whole = likeness(both, both) + 0.01 * np.eye(both.shape[1])
    precision, count = np.linalg.inv(whole), places.shape[1]
    pull = precision[:count, count:] @ (colours - colours.mean(0))
    expected = colours.mean(0) - np.linalg.solve(precision[:count, :count], pull)
    assert np.abs(krige(known, colours, places) - expected).max() < 1e-8


@pytest.mark.parametrize("turns", [0, 1])
def test_colours_last_longer_upright_and_lying(turns):
    """Where columns, or rows, are of one colour each, the smooth fill is nearer than the harmonic one."""
    stripes = np.convolve(np.random.default_rng(2).random(170), np.ones(11) / 11, "valid")
    picture = np.rot90(np.tile(stripes.astype(np.float32)[:, None], (160, 1, 1)), turns)
    mask = boxes((160, 160), (42, 42, 75, 75))
    error = {fill: np.square(fill(picture, mask) - picture)[mask].mean() for fill in (fill_harmonic, fill_smooth)}
    assert error[fill_smooth] < 0.95 * error[fill_harmonic]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mask", [
    boxes((256, 256), (40, 50, 75, 75), (150, 160, 75, 75)), boxes((256, 256), (40, 50, 75, 75), (80, 90, 75, 75)),
    boxes((256, 256), (0, 0, 75, 75), (181, 181, 75, 75)), boxes((90, 120), (0, 0, 90, 100)),
    np.hypot(*(np.indices((120, 100)) - 50)) < 40, ~boxes((64, 64), (63, 63, 1, 1)), ~boxes((400, 300), (7, 8, 1, 2)),
    np.random.default_rng(4).random((80, 80)) < 0.6, np.zeros((20, 30), bool), np.ones((20, 30), bool)])
def test_contract(mask, channels):
    picture = np.random.default_rng(3).random((*mask.shape, channels), np.float32)
    before = picture.copy()
    filled = fill_smooth(picture, mask)
    assert filled.dtype == np.float32 and filled.shape == picture.shape and filled is not picture
    assert np.array_equal(picture, before) and np.array_equal(filled[~mask], picture[~mask])
    assert filled.min() >= 0 and filled.max() <= 1
    assert np.array_equal(filled, fill_smooth(np.where(mask[..., None], np.float32(np.nan), picture), mask))


def test_a_plain_picture_stays_plain():
    picture = np.full((100, 110, 3), 0.3, np.float32)
    filled = fill_smooth(picture, boxes((100, 110), (10, 20, 60, 50), (40, 40, 50, 60)))
    assert np.abs(filled - picture).max() < 1e-5


def test_small_holes_are_harmonic():
    mask = np.tile(np.pad(np.ones((2, 2), bool), 3), (16, 16)) | boxes((128, 128), (20, 0, 10, 128))
    picture = np.random.default_rng(5).random((128, 128, 3), np.float32)
    assert np.array_equal(fill_smooth(picture, mask), fill_harmonic(picture, mask))


def test_goes_on_smoothly_from_the_border():
    rows, columns = np.indices((120, 120)) / 200
    slope = (0.1 + rows + columns / 2)[..., None].astype(np.float32)
    filled = fill_smooth(slope, boxes((120, 120), (20, 20, 75, 75)))
    assert np.abs(np.diff(filled, axis=0)).max() < 0.02 and np.abs(filled - slope).max() < 0.02


def test_the_black_that_jpeg_bleeds_into_the_colour_beside_a_box_is_not_taken_up():
    colour = np.array([230, 60, 40], np.uint8)
    whole, mask = np.full((128, 128, 3), colour), boxes((128, 128), (41, 37, 45, 45))
    black = np.where(mask[..., None], 0, whole).astype(np.uint8)
    stored = cv2.imdecode(cv2.imencode(".jpg", black[..., ::-1])[1], cv2.IMREAD_COLOR)[..., ::-1] / np.float32(255)
    errors = [np.abs(fill(stored, mask)[mask] * 255 - colour).mean() for fill in (fill_harmonic, fill_smooth)]
    assert errors[0] > 10 > 2 * errors[1]
