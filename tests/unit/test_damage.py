"""What each contest does to a picture, by hypothesis: where pixels go missing, what stands there, what stays."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from skimage.draw import disk
from skimage.measure import label, regionprops

from pixmend import competitions
from pixmend.competitions import COMPETITIONS
from pixmend.competitions.depixelation import DEPIXELATION
from pixmend.competitions.landscapes import LANDSCAPES
from pixmend.competitions.missing_pixels import MISSING_PIXELS
from pixmend.config import Settings
from pixmend.data import damage

SEEDS, SIDES, CHANNELS = st.integers(0, 2**32 - 1), st.sampled_from([32, 64, 100, 256]), st.sampled_from([1, 3])
few = examples(max_examples=60, deadline=None)


def picture(seed, side, channels=1):
    return np.random.default_rng(seed).integers(1, 255, (side, side, channels), np.uint8)


def damaged(contest, seed, whole, **changes):
    return contest.damage_image(np.random.default_rng(seed), whole, Settings(**changes))


@pytest.mark.parametrize("name", COMPETITIONS)
@few
@given(seed=SEEDS, side=SIDES, channels=CHANNELS)
def test_known_pixels_stay_some_go_and_a_seed_says_which(name, seed, side, channels):
    contest, whole = competitions.get_competition(name), picture(seed, side, channels)
    before = whole.copy()
    spoilt, counts = damaged(contest, seed, whole)
    assert counts.shape == whole.shape[:2] and counts.dtype == np.uint8 and spoilt.dtype == np.uint8
    assert 0 < np.count_nonzero(counts) < counts.size
    np.testing.assert_array_equal(spoilt[counts == 0], whole[counts == 0])
    np.testing.assert_array_equal(whole, before)
    again = damaged(contest, seed, whole)
    assert (again[0] == spoilt).all() and (again[1] == counts).all()


def test_the_middle_of_every_block_is_missing():
    spoilt, counts = damaged(MISSING_PIXELS, 0, picture(1, 256))
    blocks = counts.reshape(32, 8, 32, 8).swapaxes(1, 2)
    expected = np.zeros((8, 8), int)
    expected[3:5, 3:5] = 1
    assert (blocks == expected).all() and not spoilt[counts > 0].any()


@few
@given(seed=SEEDS)
def test_one_box_is_pixelated_in_tiles_of_their_means(seed):
    whole = picture(seed, 64)
    spoilt, counts = damaged(DEPIXELATION, seed, whole)
    area, = regionprops(label(counts))
    top, left, bottom, right = area.bbox
    height, width = bottom - top, right - left
    assert area.area == height * width and 4 <= height <= 32 and 4 <= width <= 32
    inside, truth = spoilt[top:bottom, left:right, 0], whole[top:bottom, left:right, 0]
    fitting = [tile for tile in range(4, 17) if (inside == tiled(truth, tile)).all()]
    assert fitting


def tiled(area, tile):
    """Tile by tile with plain loops."""
    coarse = np.empty_like(area)
    for row in range(0, area.shape[0], tile):
        for column in range(0, area.shape[1], tile):
            place = np.s_[row:row + tile, column:column + tile]
            coarse[place] = round(float(area[place].mean()))
    return coarse


@few
@given(seed=SEEDS)
def test_tiles_can_be_told_from_the_damaged_picture_and_its_mask_alone(seed):
    """Where a row or column of the box differs from the one before, a tile begins: a model needs to be given no more."""
    rng = np.random.default_rng(seed)
    box, tile = damage.draw_box(rng, (64, 64), (4, 32), at=64), int(rng.integers(4, 17))
    top, left, height, width = box
    inside = damage.pixelate_box(picture(seed, 64), box, tile)[top:top + height, left:left + width, 0].astype(int)
    for axis, length in ((0, height), (1, width)):
        begins = np.flatnonzero(np.diff(inside, axis=axis).any(1 - axis)) + 1
        assert set(begins) <= set(range(tile, length, tile))


def test_boxes_and_tiles_come_in_every_size():
    drawn = [damage.draw_box(np.random.default_rng(seed), (64, 64), (4, 32), at=64) for seed in range(800)]
    assert {box[2] for box in drawn} == {box[3] for box in drawn} == set(range(4, 33))
    assert min(box[0] for box in drawn) == 0 and max(box[0] + box[2] for box in drawn) == 64


@few
@given(seed=SEEDS, hole_colour=st.sampled_from(["black", "white"]))
def test_shapes_are_black_or_white_and_as_many_as_nine(seed, hole_colour):
    spoilt, counts = damaged(LANDSCAPES, seed, picture(seed, 256, 3), hole_colour=hole_colour)
    assert (spoilt[counts > 0] == {"black": 0, "white": 255}[hole_colour]).all()
    assert counts.max() == 1 and counts.sum() <= 9 * 64 * 64
    for part in regionprops(label(counts, connectivity=1)):
        if part.area >= 700:   # not merely the corner of a shape that another one covers
            assert min(part.bbox[2] - part.bbox[0], part.bbox[3] - part.bbox[1]) >= 32


def test_single_shapes_are_the_squares_and_circles_of_both_sizes():
    singles = {np.count_nonzero(counts) for seed in range(400)
               for counts in [damage.draw_shapes(np.random.default_rng(seed), (256, 256), 1, (32, 64))]}
    circles = {len(disk(((side - 1) / 2,) * 2, side / 2 + 1e-9)[0]) for side in (32, 64)}
    assert singles == {32 * 32, 64 * 64} | circles


@few
@given(seed=SEEDS, tile=st.integers(1, 40), channels=CHANNELS)
def test_a_tile_is_the_mean_that_opencv_finds(seed, tile, channels):
    whole = picture(seed, 48, channels)
    box = damage.draw_box(np.random.default_rng(seed), whole.shape, (1, 48), at=48)
    coarse = damage.pixelate_box(whole, box, tile)
    top, left, height, width = box
    corner = whole[top:top + min(tile, height), left:left + min(tile, width)]
    np.testing.assert_allclose(coarse[top, left], cv2.mean(np.ascontiguousarray(corner))[:channels], atol=0.501)
