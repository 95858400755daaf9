"""How a run learns: the learning rate over its budget, and averaged weights."""

import keras
import numpy as np
import pytest
from support.networks import as_inputs, compile_small, example_batch

from pixmend.config import Settings
from pixmend.training import optimizer


def rates(**changes):
    settings = Settings(steps=100, learning_rate=0.5, **changes)
    return np.array([optimizer.get_learning_rate(settings, step, minutes=0.0) for step in range(100)])


def test_learning_rate_rises_then_stays_or_falls_to_zero():
    assert (rates() == 0.5).all()
    constant, cosine = rates(warmup_steps=9), rates(warmup_steps=9, schedule="cosine")
    np.testing.assert_allclose(constant[:10], np.arange(1, 11) * 0.05)
    assert (constant[10:] == 0.5).all()
    assert (np.diff(cosine[:9]) > 0).all() and (np.diff(cosine[10:]) < 0).all()
    assert cosine[50] == pytest.approx(0.25)
    assert cosine[-1] < 0.001


def test_learning_rate_follows_the_budget_that_ends_first():
    settings = Settings(steps=100, minutes=2.0, learning_rate=1.0, schedule="cosine")
    assert optimizer.get_learning_rate(settings, 10, minutes=1.0) == pytest.approx(0.5)
    assert optimizer.get_learning_rate(settings, 50, minutes=0.1) == pytest.approx(0.5)


def test_averaged_weights_forget_the_first_steps_sooner():
    model = compile_small("residual_unet", ema_decay=0.9)
    damaged, masks, originals = example_batch((64, 64, 3))
    expected = np.asarray(model.trainable_variables[0])
    for step in range(4):
        model.train_on_batch(as_inputs(damaged, masks), originals)
        decay = min(0.9, (1 + step) / (10 + step)) if step else 0
        expected = decay * expected + (1 - decay) * np.asarray(model.trainable_variables[0])
    model.optimizer.finalize_variable_values(model.trainable_variables)
    np.testing.assert_allclose(np.asarray(model.trainable_variables[0]), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop", "adagrad"])
def test_averaged_weights_do_not_stay_the_first_ones(name):
    weights = keras.Variable(np.zeros(1, np.float32))
    optimize = optimizer.build_optimizer(Settings(optimizer=name, learning_rate=1.0, ema_decay=0.998, clip_norm=0.0))
    optimize.build([weights])
    for _ in range(40):
        weights.assign([1.0])   # wherever the step led
        optimize.apply([np.zeros(1, np.float32)])
    optimize.finalize_variable_values([weights])
    assert np.asarray(weights)[0] > 0.99
