"""Batches by seed and step: the same in any process, every row once before any again, damage and crops as asked."""

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
    (a, b, c), (d, e, f) = ((*inputs, whole) for inputs, whole, _ in (left, right))
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
    (seen, _), whole, _ = source.get_batch(0)
    rows = [source.rows[i] for i in twice[:3]]
    np.testing.assert_array_equal(whole, [bytes_to_floats(apply_transform(source.dataset.pictures[row.whole], row.variant)) for row in rows])
    filled = source.dataset.filled["harmonic"]
    np.testing.assert_array_equal(seen, [bytes_to_floats(apply_transform(filled[row.damaged], row.variant)) for row in rows])


def test_what_is_seen_outside_the_hole_is_the_damaged_picture(batches):
    source = batches(start="none")
    (seen, mask), whole, weight = source.get_batch(3)
    known = mask[..., 0] == 0
    assert np.abs(seen - whole)[known].mean() < 0.02
    assert seen[~known].mean() < 0.05
    assert weight is None


def test_the_hole_is_weighed_as_the_grader_counts(batches):
    (_, mask), _, weight = batches(loss_region="hole").get_batch(3)
    assert ((weight > 0) == (mask[..., 0] > 0)).all()
    assert weight.sum() == 3 * 2 * get_box_side((32, 32, 3)) ** 2


def test_fresh_damage_differs_each_time_a_picture_is_seen(batches):
    source = batches(fresh_masks=True, batch_size=4)
    masks = {source.get_batch(step)[0][1][i].tobytes() for step in range(10) for i in range(4)}
    assert len(masks) > 35
    seen, whole = source.get_batch(0)[0][0], source.get_batch(0)[1]
    known = source.get_batch(0)[0][1][..., 0] == 0
    np.testing.assert_array_equal(seen[known], whole[known])


@pytest.mark.parametrize("changes", [{"fresh_masks": True}, {"jitter": 36}, {"jitter": 36, "fresh_masks": True}], ids=str)
def test_another_contests_damage_is_drawn_and_seen_as_it_is(prepared_home, changes):
    """Tiles are seen in the hole, each a flat area, also where they were enlarged."""
    settings = Settings(home=str(prepared_home), size=32, batch_size=6, start="given", **changes)
    (seen, mask), whole, _ = ImageBatches(settings, open_dataset(settings), competitions.get_competition("depixelation")).get_batch(1)
    known = mask[..., 0] == 0
    np.testing.assert_array_equal(seen[known], whole[known])
    if "fresh_masks" in changes:
        assert all(np.abs(s[m] - w[m]).mean() < 0.2 < s[m].mean() + 0.2 for s, w, m in zip(seen, whole, ~known, strict=True))
        assert len(np.unique(seen[0][~known[0]], axis=0)) <= 64


def test_jitter_crops_at_many_places(batches):
    plain, jittered = batches(), batches(jitter=36)
    assert jittered.get_batch(0)[1].shape == plain.get_batch(0)[1].shape
    assert not np.array_equal(jittered.get_batch(0)[1], plain.get_batch(0)[1])
    assert np.abs(jittered.get_batch(0)[1] - plain.get_batch(0)[1]).mean() < 0.3


def test_an_even_distance_weighs_a_pixel_by_the_contrast_around_it(batches):
    (seen, _), _, weight = batches(loss_region="hole", contrast_weighting=True).get_batch(3)
    _, _, counts = batches(loss_region="hole").get_batch(3)
    assert ((weight > 0) == (counts > 0)).all()
    for picture, row, column in np.argwhere(counts[:, 7:-7, 7:-7])[::50] + [0, 7, 7]:
        around = seen[picture, row - 6:row + 7, column - 6:column + 7]
        assert weight[picture, row, column] == pytest.approx(counts[picture, row, column] / max(around.std(), 0.02), rel=1e-3)
