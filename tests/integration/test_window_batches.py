"""Windows around boxes: finding boxes, cutting and merging windows, and batches of them."""

import dataclasses

import cv2
import keras
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import settings as tries
from hypothesis import strategies as st
from support.stages import SMALL, done, stage

from pixmend.config import Settings
from pixmend.data import windows
from pixmend.data.augmentation import apply_transform
from pixmend.data.damage import count_boxes
from pixmend.data.dataset import open_dataset
from pixmend.data.paste import paste_predictions
from pixmend.data.windows import compute_box_coverage, cut_network_input, cut_window, enlarge_box, find_boxes
from pixmend.errors import UserError
from pixmend.training.batches import bytes_to_floats
from pixmend.training.inference import predict_images
from pixmend.training.window_batches import WindowBatches, cut_training_windows

PLACES = st.tuples(st.integers(0, 45), st.integers(0, 45))


@tries(max_examples=200, deadline=None)
@given(PLACES, PLACES)
def test_two_overlapping_squares_are_found(first, second):
    squares = sorted((*place, 19, 19) for place in (first, second))
    assume(sorted(abs(a - b) for a, b in zip(first, second, strict=True)) not in ([0, 0], [0, 19]))   # one box, in truth
    assert sorted(find_boxes(count_boxes(squares, (64, 64)))) == squares


@tries(max_examples=200, deadline=None)
@given(PLACES, PLACES)
def test_two_overlapping_squares_are_found_in_a_mask(first, second):
    """A mask does not count how many squares cover a pixel."""
    squares = sorted((*place, 19, 19) for place in (first, second))
    assume(all(1 <= abs(a - b) <= 18 for a, b in zip(first, second, strict=True)))
    assert sorted(find_boxes((count_boxes(squares, (64, 64)) > 0).astype(np.uint8))) == squares


def test_boxes_around_other_shapes_are_found():
    apart = [(3, 4, 10, 20), (30, 30, 25, 7)]
    assert find_boxes(count_boxes(apart, (64, 64))) == apart
    disc = cv2.circle(np.zeros((64, 64), np.uint8), (20, 30), 9, 1, -1)
    assert find_boxes(disc) == [(21, 11, 19, 19)]
    assert find_boxes(np.zeros((64, 64), np.uint8)) == []


def test_an_image_with_too_many_holes_is_refused():
    holes = np.zeros((256, 256), np.uint8)
    holes[3::8, 3::8] = 1
    with pytest.raises(UserError, match=f"1024 holes.*{windows.MAX_HOLES} at most"):
        find_boxes(holes)


def padded_by_hand(array, box, side, mode, **value):
    """The window in full, out of a picture padded as far as it can reach."""
    row, column = box[0] - (side - box[2]) // 2 + side, box[1] - (side - box[3]) // 2 + side
    padded = np.pad(array, [(side, side), (side, side), *[(0, 0)] * (array.ndim - 2)], mode, **value)
    return padded[row:row + side, column:column + side]


@tries(max_examples=50, deadline=None)
@given(PLACES)
def test_a_window_is_the_mean_of_each_cell_and_repeats_the_edge(place):
    rng, box = np.random.default_rng(1), (*place, 16, 16)
    picture = rng.random((64, 64, 3)).astype(np.float32)
    mask = count_boxes([box], picture.shape) > 0
    colours, missing = cut_network_input(picture, mask, box, 2.0, 16)
    around = padded_by_hand(picture, box, 32, "edge")
    unknown = padded_by_hand(mask.astype(float), box, 32, "constant", constant_values=1)
    np.testing.assert_allclose(colours, around.reshape(16, 2, 16, 2, 3).mean((1, 3)), atol=1e-6)
    np.testing.assert_allclose(missing, unknown.reshape(16, 2, 16, 2).mean((1, 3)), atol=1e-6)
    assert compute_box_coverage(picture.shape, box, 2.0, 16).sum() == 64
    assert (compute_box_coverage(picture.shape, box, 2.0, 16)[4:12, 4:12] == 1).all()


def test_predicted_cells_return_to_their_place():
    box, picture = (5, 40, 18, 18), np.zeros((64, 64), np.float32)
    picture[:] = np.linspace(0, 1, 64) + np.linspace(0, 1, 64)[:, None] * 0.5
    np.testing.assert_allclose(enlarge_box(cut_window(picture, box, 2.0, 36), box, 2.0)[..., 0], picture[5:23, 40:58], atol=1e-6)
    coarse = enlarge_box(cut_window(picture, box, 2.0, 12), box, 2.0)[..., 0]
    np.testing.assert_allclose(coarse, picture[5:23, 40:58], atol=0.01)


@pytest.fixture
def ready(module_home):
    return open_dataset(of(module_home))


def of(home, **changes):
    wanted = {"window": 2.0, "work_size": 16, "batch_size": 5, "loss_region": "hole", "masks_per_image": 1} | changes
    return dataclasses.replace(Settings(home=str(home), size=32), **wanted)


def batches(home, ready, **changes):
    """Windows cut by the stage, as a user's are."""
    settings = of(home, **changes)
    run = f"cut-{settings.masks_per_image}-{settings.start}"
    done(stage("train", home, *SMALL, "--model", "window_mlp", "--work-size", "16", "--masks-per-image", settings.masks_per_image,
               "--start", settings.start, "--steps", "1", "--width", "4", "--run", run))
    return WindowBatches(settings, ready)


def test_windows_are_cut_while_a_backend_runs(module_home, ready):
    """As in the second trial of a sweep: a fork of the backend's threads would wait for ever."""
    keras.ops.matmul(np.ones((300, 300)), np.ones((300, 300)))
    source = WindowBatches(of(module_home, work_size=20), ready)
    assert source.windows.shape[1:3] == (20, 20)
    assert any(window.any() for window in source.windows)


def test_a_batch_of_windows_is_a_function_of_seed_and_step(module_home, ready):
    straight, later, other = (batches(module_home, ready, seed=seed) for seed in (1, 1, 2))
    first, again = straight.get_batch(7), later.get_batch(7)
    for one, same in zip([*first[0], *first[1:]], [*again[0], *again[1:]], strict=True):
        assert one.tobytes() == same.tobytes()
    assert other.get_batch(7)[1].tobytes() != first[1].tobytes() != straight.get_batch(8)[1].tobytes()


def test_windows_show_all_training_boxes_and_no_holdout_box(module_home, ready):
    source = batches(module_home, ready)
    train = {row.damaged for row in ready.split("train")}
    windows = 2 * 2 * len(ready.split("train"))   # two masks of two boxes; a few boxes lie side by side and are found as one
    assert 0.99 * windows < len(source.items) <= windows
    kept, pictures = cut_training_windows(source.settings, ready)
    assert {int(pictures[window]) for window, _ in source.items} == train
    assert kept.shape[1:] == (16, 16, 8)


def test_a_window_shows_fill_and_original_of_its_box(module_home, ready):
    source = batches(module_home, ready, masks_per_image=0, start="harmonic")
    row = ready.split("train")[0]
    box = find_boxes(ready.read_counts(row))[0]
    window, variant = source.items[0]
    kept = bytes_to_floats(source.windows[window])
    assert variant == row.variant == 0
    for place, picture in ((np.s_[:3], ready.read_input(row, "harmonic")), (np.s_[5:], ready.read_original(row))):
        np.testing.assert_allclose(kept[..., place], cut_window(bytes_to_floats(picture), box, 2.0, 16), atol=0.51 / 255)
    (inputs, mask), target, weight = source.get_batch(0)
    assert inputs.shape == target.shape == (5, 16, 16, 3)
    assert ((mask[..., 0] > 0) | (weight == 0)).all()


def test_transforms_of_a_row_transform_its_windows(module_home, ready):
    batch_size = len(batches(module_home, ready, masks_per_image=0).items)
    source = batches(module_home, ready, masks_per_image=0, batch_size=batch_size)
    (inputs, _), _, _ = source.get_batch(0)
    upright = {apply_transform(window[..., :3], variant).tobytes() for window in source.windows for variant in range(5)}
    assert {np.rint(255 * window).astype(np.uint8).tobytes() for window in inputs} <= upright


class Brighter:
    """Stands for a network: adds as much to every cell."""

    non_trainable_variables = ()

    def predict_on_batch(self, inputs):
        return inputs[0] + 0.125


@pytest.mark.parametrize("turns", [1, 8])
def test_changes_on_windows_stay_inside_their_boxes(module_home, ready, turns):
    settings = of(module_home)
    for split in ("holdout", "test"):
        rows = ready.split(split)
        for row, mended in zip(rows, predict_images(Brighter(), ready, rows, settings, turns), strict=True):
            before, mask = bytes_to_floats(ready.read_input(row, settings.start)), ready.read_counts(row) > 0
            expected = paste_predictions(bytes_to_floats(ready.read_damaged(row)), mask, before + 0.125)
            np.testing.assert_allclose(mended, expected, atol=1e-5)


@pytest.mark.parametrize(("flags", "message"), [
    (["--fresh-masks"], "--no-fresh-masks, or --window 0"), (["--jitter", "40"], "--jitter 0, or --window 0"),
    (["--noise", "0.1"], "--noise 0, or"), (["--contrast-weighting"], "--no-contrast-weighting, or"),
    (["--window", "0.5"], "--window 0.5 would show less")])
def test_settings_for_whole_images_are_refused_for_windows(home, flags, message):
    before = sorted((home / "augment/demo").rglob("*"))
    refused = stage("train", home, *SMALL, "--model", "window_mlp", "--work-size", "24", "--start", "telea", *flags)
    assert refused.returncode == 2 and message in refused.stderr
    assert sorted((home / "augment/demo").rglob("*")) == before
