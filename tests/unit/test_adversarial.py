"""Losses by their definitions, and adversarial training: what each network learns from, and the published loss by hand."""

import keras
import numpy as np
import pytest
from scipy.special import rel_entr, xlogy
from sklearn.metrics import mean_absolute_error, mean_squared_error
from support.networks import as_inputs, build_small, compile_small, count_parameters, example_batch

from pixmend.errors import FlagError
from pixmend.training import losses, trainer
from pixmend.training.adversarial import AdversarialModel

SHAPE = (64, 64, 3)
ORIGINALS, PREDICTIONS = np.random.default_rng(1).uniform(0.05, 0.95, (2, 2, 8, 8, 3)).astype(np.float32)
COUNTS = np.random.default_rng(2).integers(0, 3, (2, 8, 8)).astype(np.float32)


def flat(distance):
    return lambda original, predicted, weight: distance(original.reshape(-1, 3), predicted.reshape(-1, 3),
                                                        sample_weight=weight.ravel())


def by_pixel(distance):
    return lambda original, predicted, weight: np.average(distance(original, predicted), weights=weight)


EXPECTED = {"l1": flat(mean_absolute_error), "l2": flat(mean_squared_error),
            "huber": by_pixel(lambda original, predicted: ((original - predicted) ** 2 / 2).mean(-1)),
            "poisson": by_pixel(lambda original, predicted: (predicted - xlogy(original, predicted)).mean(-1)),
            "kl": by_pixel(lambda original, predicted: rel_entr(original, predicted).sum(-1)),
            "cross_entropy": by_pixel(lambda original, predicted:
                                      -(xlogy(original, predicted) + xlogy(1 - original, 1 - predicted)).mean(-1))}


@pytest.mark.parametrize("name", sorted(losses.DISTANCES))
def test_loss_equals_its_definition_weighted_by_counts(name):
    ours = losses.ReconstructionLoss(name)(ORIGINALS, PREDICTIONS, sample_weight=COUNTS)
    assert float(ours) == pytest.approx(EXPECTED[name](ORIGINALS, PREDICTIONS, COUNTS), rel=1e-5)


@pytest.mark.parametrize("name", sorted(losses.POSITIVE_ONLY))
def test_loss_is_finite_for_predictions_outside_the_range(name):
    assert np.isfinite(float(losses.ReconstructionLoss(name)(ORIGINALS, 4 * PREDICTIONS - 2)))


def test_pix2pix_has_the_published_number_of_parameters():
    model, _ = build_small("pix2pix_published", (256, 256, 3), width=64)
    assert count_parameters(model.generator.trainable_variables) == 54_414_979
    assert count_parameters(model.generator.non_trainable_variables) == 10_880
    assert count_parameters(model.discriminator.variables) == 2_770_433
    assert model.discriminator.output_shape == (None, 30, 30, 1)


def compute_published_loss(model, inputs, originals, settings):
    """Compute both losses from the two networks, with the reconstruction loss on images in -1..1."""
    damaged, predicted = inputs[0], model.generator(inputs, training=False)
    crossentropy = keras.losses.BinaryCrossentropy(from_logits=True)
    fake, real = (model.discriminator([damaged, image], training=False) for image in (predicted, originals))
    original, predicted = (2 * np.asarray(image) - 1 for image in (originals, predicted))
    reconstruction = {"l1": np.abs(original - predicted).mean(), "l2": np.square(original - predicted).mean()}[settings.loss]
    generator = crossentropy(np.ones(fake.shape), fake) + settings.LAMBDA * reconstruction
    discriminator = crossentropy(np.ones(real.shape), real) + settings.disc_lambda * crossentropy(np.zeros(fake.shape), fake)
    return float(generator) + float(discriminator)


@pytest.mark.parametrize("loss", ["l1", "l2"])
@pytest.mark.parametrize(("LAMBDA", "disc_lambda"), [(100.0, 1.0), (400.0, 400.0), (0.0, 1.0)])
def test_adversarial_loss_is_the_published_one(LAMBDA, disc_lambda, loss):
    damaged, masks, originals = example_batch(SHAPE)
    model, settings = build_small("pix2pix_published", SHAPE, start="none", LAMBDA=LAMBDA, disc_lambda=disc_lambda, loss=loss)
    trainer.compile_model(model, settings)
    for layer in model.discriminator.layers:   # batch norm by its moving averages, so that both losses are of the same network
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    inputs = [keras.ops.convert_to_tensor(array) for array in as_inputs(damaged, masks)]
    originals = keras.ops.convert_to_tensor(originals)
    ours = model.compute_loss(inputs, originals, model(inputs, training=False), training=False)
    assert float(ours) == pytest.approx(compute_published_loss(model, inputs, originals, settings), rel=1e-4)


def test_generator_loss_does_not_move_the_discriminator():
    damaged, masks, originals = example_batch(SHAPE)
    weights = []
    for LAMBDA in (0.0, 1000.0):
        model = compile_small("pix2pix_published", LAMBDA=LAMBDA)
        model.train_on_batch(as_inputs(damaged, masks), originals)
        weights.append([np.asarray(v) for v in model.discriminator.trainable_variables])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(("loss_region", "is_seen"), [("hole", False), ("all", True)])
def test_the_discriminator_compares_the_pixels_that_the_loss_counts(loss_region, is_seen):
    damaged, masks, originals = example_batch(SHAPE)
    model = compile_small("pix2pix_published", LAMBDA=0.0, loss_region=loss_region)
    inputs = [keras.ops.convert_to_tensor(array) for array in as_inputs(damaged, masks)]
    changed = np.where(masks[..., None], originals, 1 - originals)
    values = [float(model.compute_loss(inputs, keras.ops.convert_to_tensor(target), inputs[0], training=False))
              for target in (originals, changed)]
    assert (values[0] != values[1]) == is_seen


def test_adversarial_loss_alone_moves_the_generator():
    damaged, masks, originals = example_batch(SHAPE)
    model = compile_small("residual_unet", adversarial=True, LAMBDA=0.0)
    before = np.asarray(model.generator.trainable_variables[-1]).copy()
    results = model.train_on_batch(as_inputs(damaged, masks), originals, return_dict=True)
    assert set(results) == {"loss", "generator", "discriminator", "reconstruction"}
    assert not np.array_equal(before, np.asarray(model.generator.trainable_variables[-1]))


def test_every_network_can_be_trained_with_or_without_a_discriminator():
    assert isinstance(build_small("residual_unet", SHAPE, adversarial=True)[0], AdversarialModel)
    assert not isinstance(build_small("pix2pix_published", SHAPE, adversarial=False)[0], AdversarialModel)


def test_adversarial_model_keeps_its_inputs_in_float32():
    """In bfloat16 its first prediction is the input, bit for bit."""
    damaged, masks, _ = example_batch(SHAPE)
    model = compile_small("residual_unet", adversarial=True, precision="bfloat16", start="harmonic")
    np.testing.assert_array_equal(np.asarray(model.predict_on_batch(as_inputs(damaged, masks))), damaged)


def test_the_smallest_image_of_an_adversarial_loss_is_one_patch():
    assert build_small("pix2pix_published", (24, 24, 3), levels=2)[0].discriminator.output_shape == (None, 1, 1, 1)
    with pytest.raises(FlagError, match="--work-size"):
        build_small("pix2pix", (16, 16, 3), levels=2)
