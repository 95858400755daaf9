"""Compact batches become, on the device, the same bits as the batches of the host."""

import dataclasses

import keras
import numpy as np
import pytest
from support.batches import same_bits

from pixmend import competitions
from pixmend.config import Settings
from pixmend.data.augmentation import apply_transform
from pixmend.data.dataset import open_dataset
from pixmend.training.batches import ImageBatches
from pixmend.training.steps import transform_images
from pixmend.training.window_batches import WindowBatches


@pytest.mark.parametrize("changes", [{}, {"loss_region": "hole", "start": "none"}, {"fresh_masks": True}, {"jitter": 36},
                                     {"fresh_masks": True, "start": "harmonic"}, {"noise": 0.1}], ids=str)
def test_compact_images_expand_to_the_same_bits(prepared_home, changes):
    settings = dataclasses.replace(Settings(home=str(prepared_home), size=32, batch_size=24, start="none"), **changes)
    stored = same_bits(ImageBatches(settings, open_dataset(settings), competitions.get_competition("demo")), 3)
    drawn_here = {"jitter", "noise"} & set(changes) or "harmonic" in changes.values()
    assert len(set(stored["transforms"].tolist())) == (1 if drawn_here else 5)
    assert ("inputs" in stored) == ("fresh_masks" not in changes or bool(drawn_here))


def test_images_are_covered_on_the_device_in_every_colour(prepared_home):
    settings = Settings(home=str(prepared_home), size=32, batch_size=8, start="none", fresh_masks=True, damage="landscapes",
                        hole_colour="white")
    prepared = open_dataset(dataclasses.replace(settings, damage=""))
    batches = ImageBatches(settings, prepared, competitions.get_competition("landscapes"))
    assert set(same_bits(batches, 3)) == {"target", "counts", "transforms"}


def test_every_transform_of_images():
    pictures = np.random.default_rng(1).integers(0, 256, (8, 6, 6, 3), np.uint8)
    turned = transform_images(keras.ops.convert_to_tensor(pictures), np.arange(8, dtype=np.uint8))
    np.testing.assert_array_equal(turned, [apply_transform(picture, variant) for variant, picture in enumerate(pictures)])


def test_compact_windows_expand_to_the_same_bits(home):
    settings = Settings(home=str(home), size=32, window=2.0, work_size=16, batch_size=24, loss_region="hole", masks_per_image=1,
                        start="smooth")
    same_bits(WindowBatches(settings, open_dataset(settings)), 3)


def test_each_process_takes_its_share_of_the_images(prepared_home):
    settings = Settings(home=str(prepared_home), size=32, batch_size=6, start="none")
    one = ImageBatches(settings, open_dataset(settings), competitions.get_competition("demo")).get_batch(5)[1]
    processes = [dataclasses.replace(settings, process=number, of_processes=3) for number in range(3)]
    shares = [ImageBatches(process, open_dataset(settings), None).get_batch(5)[1] for process in processes]
    np.testing.assert_array_equal(one, np.concatenate(shares))
