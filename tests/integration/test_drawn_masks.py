"""--masks-per-image: every training image is used with its own mask and with new ones."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from support.batches import same_bits
from support.stages import SMALL, done, stage

from pixmend import competitions
from pixmend.config import Settings
from pixmend.data.dataset import open_dataset
from pixmend.fills.harmonic import fill_harmonic
from pixmend.training import prepared_arrays
from pixmend.training.batches import ImageBatches, bytes_to_floats
from pixmend.training.prepared_arrays import draw_training_masks

FLAGS = ("--model", "edsr", "--start", "harmonic", "--masks-per-image", "2", "--steps", "1", "--run", "damaged")


@pytest.fixture(scope="module")
def trained(module_home):
    done(stage("train", module_home, *SMALL, *FLAGS))
    return module_home


@pytest.fixture
def batches(trained):
    def of(**changes):
        settings = dataclasses.replace(Settings(home=str(trained), size=32, masks_per_image=2, loss_region="hole"), **changes)
        ready = open_dataset(settings)
        return ImageBatches(settings, ready, competitions.get_competition("demo"), draw_training_masks(settings, ready))
    return of


def test_every_row_comes_once_with_each_mask_before_any_comes_again(batches):
    rows = len(batches().rows)
    source = batches(batch_size=3 * rows)
    items = source.choose_items(0)
    assert len(set(items)) == 3 * rows
    (inputs, mask), target, weight = source.get_batch(0)
    for number in np.random.default_rng(1).permutation(3 * rows)[:20]:
        row, damage = items[number]
        hole = mask[number, ..., 0] > 0
        np.testing.assert_array_equal(target[number], bytes_to_floats(source.dataset.read_original(row)))
        assert (hole == (source.dataset.read_counts(row) > 0)).all() == (damage == 0)
        assert ((weight[number] > 0) == hole).all()
        if damage:
            np.testing.assert_array_equal(inputs[number][~hole], target[number][~hole])
            np.testing.assert_allclose(inputs[number], fill_harmonic(target[number], hole), atol=0.51 / 255 + 1e-4)
        else:
            np.testing.assert_array_equal(inputs[number], bytes_to_floats(source.dataset.read_input(row, "harmonic")))


@pytest.fixture
def draw(batches, monkeypatch):
    """Draw the masks of some images, four of which share each."""
    source = batches()
    monkeypatch.setattr(prepared_arrays, "LEAST_DRAWS", source.dataset.count_originals() // 4)
    return lambda numbers: prepared_arrays.draw_chunk(source.settings, numbers).astype(int)


def test_few_images_in_a_row_share_a_mask(draw):
    masks = draw(range(40))[..., -1] > 0
    groups = masks.reshape(10, 4, *masks.shape[1:])
    assert (groups == groups[:, :1]).all()
    assert len({mask.tobytes() for mask in groups[:, 0].reshape(20, -1)}) == 20


def test_how_images_are_divided_among_workers_changes_nothing(draw):
    together, apart = draw(range(4, 12)), np.concatenate([draw(range(4, 7)), draw(range(7, 12))])
    assert (together[..., -1] == apart[..., -1]).all()
    np.testing.assert_allclose(together, apart, atol=1)


def test_small_sets_have_a_new_mask_for_each_image(batches):
    assert prepared_arrays.count_sharing(batches().dataset) == 1


@pytest.mark.parametrize(("side", "sharing"), [(256, 16), (512, 4), (1024, 1)])
def test_fewer_large_images_are_in_memory_together(side, sharing):
    dataset = SimpleNamespace(counts=SimpleNamespace(shape=(5000, side, side)), count_originals=lambda: 5000)
    assert prepared_arrays.count_sharing(dataset) == sharing


def test_pixels_in_two_boxes_have_weight_two(batches):
    source = batches(batch_size=60)
    weight = np.concatenate([source.get_batch(step)[2] for step in range(6)])
    assert set(np.unique(weight)) == {0, 1, 2}


def test_compact_batches_expand_to_the_same_bits(batches):
    assert len(set(same_bits(batches(batch_size=24), 1)["transforms"].tolist())) == 5


def test_noise_is_added_to_the_inputs(batches):
    (noisy, _), target, _ = batches(noise=0.1).get_batch(0)
    (clean, _), same, _ = batches().get_batch(0)
    assert (target == same).all() and 0.05 < np.std(noisy - clean) < 0.1


def test_the_next_run_draws_no_masks_again(trained):
    path, = (trained / "augment/demo/damages").glob("*.npy")
    before = path.stat().st_mtime_ns
    done(stage("train", trained, *SMALL, *FLAGS[:-1], "again"))
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(("flags", "message"), [(["--fresh-masks"], "--no-fresh-masks, or --masks-per-image 0"),
                                             (["--jitter", "40"], "--jitter 0, or --masks-per-image 0"),
                                             (["--work-size", "16"], "--work-size 32 or more")])
def test_conflicting_settings_are_refused_before_masks_are_drawn(home, flags, message):
    before = sorted((home / "augment/demo").rglob("*"))
    flags = ["--model", "edsr", "--masks-per-image", "1", "--start", "telea", "--work-size", "32", *flags]
    refused = stage("train", home, "--size", "32", *flags)
    assert refused.returncode == 2 and message in refused.stderr, refused.stderr
    assert sorted((home / "augment/demo").rglob("*")) == before

