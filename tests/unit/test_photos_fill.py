"""The fill `photos`: its network in NumPy equals that of Keras, it helps on photos that it never saw, and it keeps its limits."""

import keras
import numpy as np
import pytest
from support.fills import boxes, photo, rmse

from pixmend.config import Settings
from pixmend.data import photos
from pixmend.data.damage import count_boxes, draw_two_boxes
from pixmend.fills.smooth import fill_smooth
from pixmend.networks import photos_fill
from pixmend.networks.window_unet import build_window_unet

LARGEST_FILE = 8_000_000
SIDE = 256


def test_the_network_equals_that_of_keras():
    keras.config.set_dtype_policy("float32")
    size = photos_fill.load_network().size
    network = build_window_unet((size, size, 3), Settings(model="window_unet", **photos_fill.read_settings()))
    network.set_weights(photos_fill.read_weights())
    rng = np.random.default_rng(2)
    for _ in range(3):
        image, missing = photo(rng, size, size), (rng.random((size, size, 1)) < 0.4).astype(np.float32)
        expected = np.asarray(network([image[None], missing[None]]))[0]
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(photos_fill.predict_residual(photos_fill.load_network(), image, missing), expected, atol=2e-6)


def test_it_is_better_than_the_smooth_fill_on_photographs_that_it_never_saw():
    rng, squares = np.random.default_rng(4), {"smooth": 0.0, "photos": 0.0}
    for each in [each for each in photos.list_demo_photos() if each.split == "test"]:
        for cut in photos.cut_squares(rng, each.decode(), 4, 200, least=0):
            image = photos.resize_image(photos.convert_to_colour(cut), (SIDE, SIDE, 3)) / np.float32(255)
            mask = count_boxes(draw_two_boxes(rng, image.shape, 75), image.shape) > 0
            for name, fill in (("smooth", fill_smooth), ("photos", photos_fill.fill_photos)):
                squares[name] += float(np.square(fill(image, mask) - image)[mask].sum())
    assert np.sqrt(squares["photos"] / squares["smooth"]) < 0.97


@pytest.mark.parametrize("mask", [
    boxes((60, 80), (10, 10, 7, 7)), boxes((60, 80), (20, 5, 9, 60)), np.eye(60, 80, dtype=bool),
    np.tile(np.pad(np.ones((2, 2), bool), 3), (32, 40))], ids=["small", "long", "line", "many"])
def test_holes_unlike_those_that_it_learned_are_those_of_the_smooth_fill(mask):
    image = photo(np.random.default_rng(6), *mask.shape)
    assert np.array_equal(photos_fill.fill_photos(image, mask), fill_smooth(image, mask))


def test_a_compact_hole_beside_others_is_changed_alone():
    compact, line = boxes((60, 80), (10, 10, 20, 20)), boxes((60, 80), (45, 5, 3, 60))
    image = photo(np.random.default_rng(6), 60, 80)
    filled, smooth = photos_fill.fill_photos(image, compact | line), fill_smooth(image, compact | line)
    assert np.array_equal(filled[line], smooth[line]) and rmse(filled, smooth, compact) > 1e-4


def test_the_file_is_small():
    assert photos_fill.WEIGHTS.stat().st_size <= LARGEST_FILE
