"""Predictions: the mean over transforms, and the same bits whatever else is in the batch."""

import dataclasses

import keras
import numpy as np
import pytest

from pixmend import models
from pixmend.config import Settings
from pixmend.data.augmentation import apply_transform, invert_transform
from pixmend.data.dataset import Dataset
from pixmend.data.paste import paste_predictions
from pixmend.networks.residual import build_with_start
from pixmend.run_identity import apply_defaults
from pixmend.stages import predict
from pixmend.submissions.predictions import PredictionFile
from pixmend.training import checkpoints, run
from pixmend.training.inference import predict_images

RAMP = np.linspace(-0.2, 0.3, 32, dtype=np.float32)[:, None]
MODES = ["inference", "training"]


@pytest.fixture
def ready(prepared_home):
    return Dataset(prepared_home / "augment/demo")


def with_ramp(both):
    """A ramp from left to right added to what is seen, and half of it again inside the hole."""
    return both[0] + RAMP + both[1] * RAMP / 2


def ramp_model():
    both = [keras.Input((32, 32, 3)), keras.Input((32, 32, 1))]
    return keras.Model(both, keras.layers.Lambda(with_ramp)(both))


def network(**changes):
    """A small untrained Pix2Pix: it has batch norm and dropout, and no turn leaves it as it is."""
    settings = dataclasses.replace(Settings(size=32, width=4, precision="float32", mask_channel=True), **changes)
    settings = apply_defaults(settings, models.default_settings("pix2pix_published"))
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(1)
    model = build_with_start((32, 32, 3), settings)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.2 * np.random.default_rng(1).standard_normal(variable.shape))
    return model, settings


def by_hand(seen, hole, turns):
    predicted = (with_ramp((apply_transform(seen, v), apply_transform(hole, v)[..., None])) for v in range(turns))
    return np.mean([invert_transform(image, v) for v, image in enumerate(predicted)], axis=0)


@pytest.mark.parametrize("start", ["none", "harmonic"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("turns", [1, 8])
def test_a_prediction_is_the_mean_over_transforms(ready, turns, mode, start):
    rows, settings = ready.split("holdout")[:3], Settings(size=32, predict_mode=mode, start=start)
    for row, mended in zip(rows, predict_images(ramp_model(), ready, rows, settings, turns), strict=True):
        hole, known = ready.read_counts(row) > 0, ready.read_damaged(row) / np.float32(255)
        expected = paste_predictions(known, hole, by_hand(ready.read_input(row, start) / 255, hole, turns))
        np.testing.assert_allclose(mended, expected, atol=1e-6)
        np.testing.assert_array_equal(mended[~hole], known[~hole])


@pytest.mark.parametrize("mode", MODES)
def test_a_transformed_image_gives_the_transformed_prediction(ready, mode):
    model, settings = network(predict_mode=mode)
    row = ready.split("holdout")[0]
    turned = [dataclasses.replace(row, variant=variant) for variant in range(8)]
    upright, *others = predict_images(model, ready, turned, settings, transforms=8)
    for variant, mended in enumerate(others, 1):
        np.testing.assert_allclose(mended, apply_transform(upright, variant), atol=1e-5)
    once = list(predict_images(model, ready, turned[:2], settings))
    assert np.abs(once[1] - apply_transform(once[0], 1)).max() > 1e-3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("turns", [1, 8])
def test_a_prediction_does_not_depend_on_the_other_images(ready, turns, mode):
    model, settings = network(predict_mode=mode)
    rows = ready.split("test")[:9]
    together = list(predict_images(model, ready, rows, settings, turns))
    for place in (0, 3, len(rows) - 1):
        alone, = predict_images(model, ready, [rows[place]], settings, turns)
        assert alone.tobytes() == together[place].tobytes()
    backwards = list(predict_images(model, ready, rows[::-1], settings, turns))[::-1]
    assert [a.tobytes() for a in backwards] == [b.tobytes() for b in together]


def test_predict_runs_again_when_tta_changes(home, ready):
    model, settings = network(home=str(home), run="a")
    run.save_run_settings(settings)
    path = checkpoints.get_weights_path(settings.run_folder)
    checkpoints.save_weights(path, [np.asarray(v) for v in model.variables], {"step": 1})
    row = ready.split("test")[2]
    hole, known = ready.read_counts(row) > 0, ready.read_damaged(row) / np.float32(255)
    for turns in (1, 8):
        predict.main(dataclasses.replace(settings, tta=turns))
        found = PredictionFile(settings.run_folder / "test.npz").read_image(row.id, known, hole)
        np.testing.assert_allclose(found, next(predict_images(model, ready, [row], settings, turns)), atol=1e-6)


def test_prediction_in_training_mode_leaves_the_network_unchanged(ready):
    """A look at the holdout while training goes on: neither batch norm's averages nor dropout's seeds may tell of it."""
    model, settings = network(predict_mode="training")
    before = [np.asarray(variable).copy() for variable in model.variables]
    list(predict_images(model, ready, ready.split("holdout")[:3], settings))
    for was, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(was, np.asarray(variable), err_msg=variable.path)
