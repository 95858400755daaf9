"""Batches are functions of seed and step, and every row comes once before any comes again."""

import dataclasses

import numpy as np
import pytest

from pixmend import competitions
from pixmend.competitions.photo_reconstruction import get_box_side
from pixmend.config import Settings
from pixmend.data.augmentation import apply_transform
from pixmend.data.dataset import open_dataset
from pixmend.training.batches import ImageBatches, bytes_to_floats, draw_order


@pytest.fixture
def batches(prepared_home):
    def of(**changes):
        settings = dataclasses.replace(Settings(home=str(prepared_home), size=32, batch_size=3), **changes)
        return ImageBatches(settings, open_dataset(settings), competitions.get_competition("demo"))
    return of


def same(left, right):
    (a, b, c), (d, e, f) = ((*inputs, target) for inputs, target, _ in (left, right))
    return all(np.array_equal(x, y) for x, y in ((a, d), (b, e), (c, f)))


@pytest.mark.parametrize("changes", [{}, {"fresh_masks": True}, {"jitter": 36}, {"noise": 0.1}], ids=str)
def test_a_batch_is_a_function_of_seed_and_step(batches, changes):
    straight, later = batches(**changes), batches(**changes)
    for step in range(5):
        straight.get_batch(step)
    assert same(straight.get_batch(7), later.get_batch(7))
    assert not same(straight.get_batch(7), straight.get_batch(8))


def test_every_row_comes_once_before_any_comes_again(batches):
    source = batches()
    twice = np.concatenate([draw_order(1, epoch, len(source.rows)) for epoch in range(2)])
    assert sorted(twice[:len(source.rows)]) == sorted(twice[len(source.rows):]) == list(range(len(source.rows)))
    (inputs, _), target, _ = source.get_batch(0)
    rows = [source.rows[i] for i in twice[:3]]
    expected = [bytes_to_floats(apply_transform(source.dataset.images[row.original], row.variant)) for row in rows]
    np.testing.assert_array_equal(target, expected)
    filled = source.dataset.filled["harmonic"]
    np.testing.assert_array_equal(inputs, [bytes_to_floats(apply_transform(filled[row.damaged], row.variant)) for row in rows])


def test_inputs_outside_the_mask_are_the_damaged_image(batches):
    source = batches(start="none")
    (inputs, mask), target, weight = source.get_batch(3)
    known = mask[..., 0] == 0
    assert np.abs(inputs - target)[known].mean() < 0.02
    assert inputs[~known].mean() < 0.05
    assert weight is None


def test_weights_are_the_counts_of_the_score(batches):
    (_, mask), _, weight = batches(loss_region="hole").get_batch(3)
    assert ((weight > 0) == (mask[..., 0] > 0)).all()
    assert weight.sum() == 3 * 2 * get_box_side((32, 32, 3)) ** 2


def test_fresh_masks_differ_each_time(batches):
    source = batches(fresh_masks=True, batch_size=4)
    masks = {source.get_batch(step)[0][1][i].tobytes() for step in range(10) for i in range(4)}
    assert len(masks) > 35
    inputs, target = source.get_batch(0)[0][0], source.get_batch(0)[1]
    known = source.get_batch(0)[0][1][..., 0] == 0
    np.testing.assert_array_equal(inputs[known], target[known])


@pytest.mark.parametrize("changes", [{"fresh_masks": True}, {"jitter": 36}, {"jitter": 36, "fresh_masks": True}], ids=str)
def test_damage_of_another_competition_is_drawn(prepared_home, changes):
    """Tiles are inputs in the hole, each a flat area, also where they were enlarged."""
    settings = Settings(home=str(prepared_home), size=32, batch_size=6, start="given", **changes)
    source = ImageBatches(settings, open_dataset(settings), competitions.get_competition("depixelation"))
    (inputs, mask), target, _ = source.get_batch(1)
    known = mask[..., 0] == 0
    np.testing.assert_array_equal(inputs[known], target[known])
    if "fresh_masks" in changes:
        assert all(np.abs(s[m] - w[m]).mean() < 0.2 < s[m].mean() + 0.2 for s, w, m in zip(inputs, target, ~known, strict=True))
        assert len(np.unique(inputs[0][~known[0]], axis=0)) <= 64


def test_jitter_crops_images(batches):
    plain, jittered = batches(), batches(jitter=36)
    assert jittered.get_batch(0)[1].shape == plain.get_batch(0)[1].shape
    assert not np.array_equal(jittered.get_batch(0)[1], plain.get_batch(0)[1])
    assert np.abs(jittered.get_batch(0)[1] - plain.get_batch(0)[1]).mean() < 0.3


def test_contrast_weighting_divides_by_the_contrast_around_a_pixel(batches):
    (inputs, _), _, weight = batches(loss_region="hole", contrast_weighting=True).get_batch(3)
    _, _, counts = batches(loss_region="hole").get_batch(3)
    assert ((weight > 0) == (counts > 0)).all()
    for picture, row, column in np.argwhere(counts[:, 7:-7, 7:-7])[::50] + [0, 7, 7]:
        around = inputs[picture, row - 6:row + 7, column - 6:column + 7]
        assert weight[picture, row, column] == pytest.approx(counts[picture, row, column] / max(around.std(), 0.02), rel=1e-3)
