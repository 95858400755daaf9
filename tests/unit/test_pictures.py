"""Pictures as arrays, against NumPy's and scikit-learn's word: variants, pasting, measures, damage, twins, the holdout."""

import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import root_mean_squared_error

from pixmend.data import augmentation, damage, near_duplicates, splits
from pixmend.data.paste import paste_predictions, paste_values
from pixmend.evaluation import bootstrap, metrics
from pixmend.experiments import study_conclusion

RNG = np.random.default_rng(7)
PICTURE = RNG.integers(0, 256, (6, 6, 3), np.uint8)


def test_the_five_variants_are_numpys_turns_and_flip_byte_for_byte():
    expected = [PICTURE, np.rot90(PICTURE), np.rot90(PICTURE, 2), np.rot90(PICTURE, 3), np.fliplr(PICTURE)]
    for variant, picture in enumerate(expected):
        assert augmentation.apply_transform(PICTURE, variant).tobytes() == picture.tobytes()


def test_the_eight_variants_differ_and_turn_back():
    turned = [augmentation.apply_transform(PICTURE, variant) for variant in range(augmentation.TRANSFORMS_PER_MODE["8x"])]
    assert len({picture.tobytes() for picture in turned}) == 8
    for variant, picture in enumerate(turned):
        np.testing.assert_array_equal(augmentation.invert_transform(picture, variant), PICTURE)


def test_paste_keeps_known_pixels_bit_for_bit_and_clips_the_others():
    known, mask = RNG.random((6, 6, 3), np.float32), RNG.random((6, 6)) < 0.5
    painted = RNG.normal(0.5, 2, (6, 6, 3))
    mended = paste_predictions(known, mask, painted)
    assert mended[~mask].tobytes() == known[~mask].tobytes()
    np.testing.assert_allclose(mended[mask], np.clip(painted[mask], 0, 1).astype(np.float32))
    np.testing.assert_array_equal(paste_values(known, mask, painted[mask]), mended)


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11), st.integers(1, 5), st.integers(1, 5)), max_size=4))
def test_rmse_over_counts_is_scikit_learns_over_the_rows_a_grader_lists(boxes):
    whole, painted = RNG.random((16, 16, 3)), RNG.random((16, 16, 3))
    counts = damage.count_boxes(boxes, whole.shape)
    listed = [np.s_[r:r + h, c:c + w] for r, c, h, w in boxes]
    total, number = metrics.sum_squared_errors(whole, painted, counts)
    assert number == sum(whole[place].size for place in listed)
    if listed:
        rows = [np.concatenate([picture[place].ravel() for place in listed]) for picture in (whole, painted)]
        assert bootstrap.compute_rmse([total], [number]) == pytest.approx(root_mean_squared_error(*rows))


def test_the_interval_holds_the_rmse_and_narrows_with_more_pictures():
    sums = RNG.gamma(2, 1, 400)
    few, many = (bootstrap.bootstrap_interval(sums[:n], np.full(n, 50)) for n in (20, 400))
    assert few[0] < bootstrap.compute_rmse(sums[:20], [50] * 20) < few[1]
    assert many[1] - many[0] < few[1] - few[0]


def test_an_interval_over_many_pictures_takes_little_memory_and_is_that_of_all_draws_at_once():
    rng = np.random.default_rng(5)
    sums, numbers = rng.gamma(2, 1, 10_000), rng.integers(1, 50, 10_000)
    tracemalloc.start()
    many = bootstrap.bootstrap_interval(sums, numbers)
    study_conclusion.Draws(numbers).compute_interval(sums[None])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 70_000_000 and many[0] < bootstrap.compute_rmse(sums, numbers) < many[1]
    picks = np.random.default_rng(0).integers(0, 30, (2000, 30))
    tail = bootstrap.compute_tail(30)
    plain = np.quantile(np.sqrt(sums[:30][picks].sum(1) / numbers[:30][picks].sum(1)), [tail, 1 - tail])
    assert bootstrap.bootstrap_interval(sums[:30], numbers[:30]) == tuple(plain)


def test_boxes_are_drawn_over_every_place_and_overlap_at_times():
    rng = np.random.default_rng(1)
    drawn = [damage.draw_two_boxes(rng, (16, 16, 3), 6) for _ in range(600)]
    corners = {box[:2] for pair in drawn for box in pair}
    assert min(c for corner in corners for c in corner) == 0 and max(c for corner in corners for c in corner) == 10
    assert any(damage.count_boxes(pair, (16, 16)).max() == 2 for pair in drawn)


def photo(number):
    """A smooth random picture; different numbers are different photos."""
    coarse = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
    return cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)


def test_twins_are_found_mirrored_re_encoded_and_brightened_and_no_others():
    photos = [photo(n) for n in range(40)]
    encoded = cv2.imdecode(cv2.imencode(".jpg", photos[1], [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    brighter = np.clip(photos[2].astype(int) + 20, 0, 255).astype(np.uint8)
    photos += [photos[0][:, ::-1], encoded, brighter]
    hashes = [near_duplicates.hash_image(np.ascontiguousarray(photo)) for photo in photos]
    pairs = near_duplicates.find_near_duplicates(*zip(*hashes, strict=True))
    assert {(i, j) for some in pairs for i, j in np.sort(some).tolist()} == {(0, 40), (1, 41), (2, 42)}


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_sources_are_joined_as_looking_at_every_pair_would(seed):
    """A few hashes, each several times with a few bits changed: some copies are the same, some near, some just too far."""
    rng = np.random.default_rng(seed)
    straight, mirrored = (np.repeat(rng.integers(0, 2**64, 4, np.uint64), 8) for _ in range(2))
    for hashes in (straight, mirrored):
        for place in range(len(hashes)):
            for bit in rng.choice(64, rng.choice([0, 0, 5, 10, 11]), replace=False):
                hashes[place] ^= np.uint64(1) << np.uint64(bit)
    mirrored[-1] = straight[0]
    near = sum(np.bitwise_count(straight[:, None] ^ other) <= near_duplicates.NEAR for other in (straight, mirrored))
    group = connected_components(np.triu(near), directed=False)[1]
    first = [f"{np.flatnonzero(group == label)[0]:02d}" for label in group]
    pairs = near_duplicates.find_near_duplicates(straight, mirrored)
    assert near_duplicates.join_sources([f"{n:02d}" for n in range(len(straight))], pairs) == first


def test_sources_of_twins_are_joined_through_a_chain():
    joined = near_duplicates.join_sources(["a", "b", "c", "d", "a"], [np.array([[0, 1]]), np.array([[2, 4]])])
    assert joined == ["a", "a", "a", "d", "a"]
    assert near_duplicates.join_sources(["a", "b"], []) == ["a", "b"]


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("xyz")), min_size=2, max_size=120), st.floats(0.01, 0.5))
def test_the_holdout_is_whole_sources_and_leaves_training_something(pictures, share):
    sources, kinds = [f"{kind}{n}" for n, kind in pictures], [kind for _, kind in pictures]
    if len(set(sources)) < 2:
        return
    holdout = splits.choose_holdout(sources, kinds, share, seed=3)
    assert holdout and holdout < set(sources)
    assert holdout == splits.choose_holdout(sources, kinds, share, seed=3)


def test_every_class_gives_its_share_to_the_holdout():
    sources, kinds = [f"s{n}" for n in range(400)], [("cat", "dog", "tiger")[n % 3] for n in range(400)]
    holdout = splits.choose_holdout(sources, kinds, 0.1, seed=1)
    per_class = [sum(f"s{n}" in holdout for n in range(400) if kinds[n] == kind) for kind in ("cat", "dog", "tiger")]
    assert all(12 <= count <= 14 for count in per_class)


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_a_picture_turned_fast_is_the_view_that_turn_gives(channels):
    picture = np.random.default_rng(1).integers(0, 256, (6, 6, *channels), np.uint8)
    for variant in range(8):
        fast = augmentation.transform_bytes(picture, variant)
        assert np.array_equal(fast, augmentation.apply_transform(picture, variant)) and fast.shape == picture.shape
