"""How a network learns: distances by their definitions, the learning rate over a run, averaged weights, any painter judged."""


import numpy as np
import pytest
from scipy.special import rel_entr, xlogy
from sklearn.metrics import mean_absolute_error, mean_squared_error
from support.learning import network, one_batch

from pixmend import backend
from pixmend.config import Settings
from pixmend.networks.layers.batch_norm import BatchNormalization
from pixmend.networks.layers.strided import DownsampleConv, UpsampleConv, uses_matrix_product
from pixmend.training import losses, schedule
from pixmend.training.optimizer import build_optimizer

WHOLE, PAINTED = np.random.default_rng(1).uniform(0.05, 0.95, (2, 2, 8, 8, 3)).astype(np.float32)
COUNTS = np.random.default_rng(2).integers(0, 3, (2, 8, 8)).astype(np.float32)


def flat(distance):
    return lambda whole, painted, weight: distance(whole.reshape(-1, 3), painted.reshape(-1, 3), sample_weight=weight.ravel())


def by_pixel(distance):
    return lambda whole, painted, weight: np.average(distance(whole, painted), weights=weight)


ORACLES = {"l1": flat(mean_absolute_error), "l2": flat(mean_squared_error),
           "huber": by_pixel(lambda whole, painted: ((whole - painted) ** 2 / 2).mean(-1)),
           "poisson": by_pixel(lambda whole, painted: (painted - xlogy(whole, painted)).mean(-1)),
           "kl": by_pixel(lambda whole, painted: rel_entr(whole, painted).sum(-1)),
           "cross_entropy": by_pixel(lambda whole, painted: -(xlogy(whole, painted) + xlogy(1 - whole, 1 - painted)).mean(-1))}


@pytest.mark.parametrize("name", sorted(losses.DISTANCES))
def test_a_distance_is_what_its_name_says_weighed_by_how_often_a_pixel_counts(name):
    ours = losses.build_reconstruction_loss(Settings(loss=name))(WHOLE, PAINTED, sample_weight=COUNTS)
    assert float(ours) == pytest.approx(ORACLES[name](WHOLE, PAINTED, COUNTS), rel=1e-5)


@pytest.mark.parametrize("name", sorted(losses.POSITIVE_ONLY))
def test_a_pixel_painted_below_black_or_above_white_still_has_a_distance(name):
    assert np.isfinite(float(losses.build_reconstruction_loss(Settings(loss=name))(WHOLE, 4 * PAINTED - 2)))


def rates(**changes):
    settings = Settings(steps=100, learning_rate=0.5, **changes)
    return np.array([schedule.get_learning_rate(settings, step, minutes=0.0) for step in range(100)])


def test_the_learning_rate_rises_then_stays_or_falls_to_nothing():
    assert (rates() == 0.5).all()
    constant, cosine = rates(warmup_steps=9), rates(warmup_steps=9, schedule="cosine")
    np.testing.assert_allclose(constant[:10], np.arange(1, 11) * 0.05)
    assert (constant[10:] == 0.5).all()
    assert (np.diff(cosine[:9]) > 0).all() and (np.diff(cosine[10:]) < 0).all()
    assert cosine[50] == pytest.approx(0.25)
    assert cosine[-1] < 0.001


def test_the_learning_rate_follows_whichever_budget_ends_first():
    settings = Settings(steps=100, minutes=2.0, learning_rate=1.0, schedule="cosine")
    assert schedule.get_learning_rate(settings, 10, minutes=1.0) == pytest.approx(0.5)
    assert schedule.get_learning_rate(settings, 50, minutes=0.1) == pytest.approx(0.5)


def test_averaged_weights_are_a_mean_that_forgets_its_first_steps_sooner():
    model, (inputs, whole) = network("residual_unet", average=0.9), one_batch()
    expected = np.asarray(model.trainable_variables[0])
    for step in range(4):
        model.train_on_batch(inputs, whole)
        kept = min(0.9, (1 + step) / (10 + step)) if step else 0
        expected = kept * expected + (1 - kept) * np.asarray(model.trainable_variables[0])
    model.optimizer.finalize_variable_values(model.trainable_variables)
    np.testing.assert_allclose(np.asarray(model.trainable_variables[0]), expected, atol=1e-6)


def test_any_painter_can_be_judged_and_pix2pix_can_go_unjudged():
    inputs, whole = one_batch()
    judged, alone = (network("residual_unet", adversarial=value) for value in (True, False))
    assert set(judged.train_on_batch(inputs, whole, return_dict=True)) == {"loss", "generator", "discriminator", "reconstruction"}
    assert set(alone.train_on_batch(inputs, whole, return_dict=True)) == {"loss"}
    assert not hasattr(network("pix2pix", adversarial=False), "discriminator")


def test_a_judged_painter_sees_the_very_pictures_in_bfloat16():
    """At its first step it adds nothing to what it sees."""
    (seen, mask), _ = one_batch()
    judged = network("residual_unet", adversarial=True, precision="bfloat16")
    np.testing.assert_array_equal(np.asarray(judged.predict_on_batch([seen, mask])), seen)


def test_the_judge_pulls_the_painter_away_from_the_nearest_picture():
    """Without weight on the distance, only the judge's opinion moves the painter."""
    inputs, whole = one_batch()
    model = network("residual_unet", adversarial=True, LAMBDA=0.0)
    before = np.asarray(model.generator.trainable_variables[-1]).copy()
    model.train_on_batch(inputs, whole)
    assert not np.array_equal(before, np.asarray(model.generator.trainable_variables[-1]))


def trained(network, optimizer, shape):
    """A small network's weights after a few steps, and what it paints then."""
    import keras

    keras.utils.set_random_seed(1)
    pictures, aims = np.random.default_rng(3).uniform(0, 1, (2, 5, *shape)).astype(np.float32)
    x = seen = keras.Input(shape[1:])
    for layer in network():
        x = layer(x)
    model = keras.Model(seen, x)
    model.compile(optimizer=optimizer, loss="mean_squared_error", jit_compile=False)
    for picture, aim in zip(pictures, aims, strict=True):
        model.train_on_batch(picture, aim)
    return [*map(np.array, model.variables), model.predict_on_batch(pictures[0])]


def compare(ours, usual):
    for got, wanted in zip(ours, usual, strict=True):
        np.testing.assert_allclose(got, wanted, atol=2e-5)


@pytest.mark.parametrize("shape", [(2, 6, 6, 3), (1, 1, 1, 3)], ids=["pictures", "one pixel"])
@pytest.mark.parametrize("knobs", [{}, {"weight_decay": 0.1, "clip_norm": 0.01}], ids=["plain", "decay and clip"])
def test_batch_norm_and_adam_move_a_network_as_kerass_own_do(shape, knobs):
    from keras import layers, optimizers

    def around(norm):
        return lambda: (layers.Conv2D(4, 1, use_bias=False), norm(), layers.Conv2D(3, 1))

    settings = Settings(learning_rate=0.01, beta_1=0.5, **knobs)
    adam = optimizers.Adam(0.01, beta_1=0.5, beta_2=settings.beta_2, epsilon=1e-8, weight_decay=settings.weight_decay or None,
                           global_clipnorm=settings.clip_norm or None)
    compare(trained(around(BatchNormalization), build_optimizer(settings), shape),
            trained(around(layers.BatchNormalization), adam, shape))


@pytest.mark.parametrize("shape", [(2, 4, 2, 3), (1, 2, 2, 3)], ids=["pictures", "one pixel between"])
def test_convolutions_that_halve_and_double_learn_as_kerass_own_do(shape):
    from keras import layers

    def usual():
        return (kind(channels, 4, 2, "same", use_bias=False) for kind, channels in kinds)

    kinds = (layers.Conv2D, 16), (layers.Conv2DTranspose, 3)
    assert uses_matrix_product((shape[1] // 2, shape[2] // 2, 16)) == backend.is_tensorflow()
    compare(*(trained(network, build_optimizer(Settings(learning_rate=0.01)), shape)
              for network in (lambda: (DownsampleConv(16, use_bias=False), UpsampleConv(3, use_bias=False)), usual)))
