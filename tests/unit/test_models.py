"""Every model the moment its file exists: right shape, known pixels kept, one step learnt; Pix2Pix as published."""

import keras
import numpy as np
import pytest
from support.networks import example, network, size

from pixmend import models
from pixmend.config import Settings, with_defaults
from pixmend.data.paste import paste
from pixmend.training import setup, trainer

SHAPES = [(64, 64, 1), (64, 64, 3)]
NETWORKS = [name for name in models.model_names() if models.is_trainable(name) and not models.finds_masks(name)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", models.fill_names())
def test_a_fill_keeps_known_pixels_and_paints_every_other(name, shape):
    damaged, mask, _ = example(shape, 1)
    before = damaged[0].copy()
    mended = models.get_fill(name)(damaged[0], mask[0])
    assert mended.shape == shape
    assert mended[~mask[0]].tobytes() == before[~mask[0]].tobytes()
    assert (mended[mask[0]] > 0).all() and (mended <= 1).all()
    np.testing.assert_array_equal(damaged[0], before)


@pytest.mark.parametrize(("shape", "start"), list(zip(SHAPES, ["none", "harmonic"], strict=True)), ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_predicts_the_right_shape_and_learns_one_step(name, shape, start):
    damaged, mask, whole = example(shape)
    model, settings = network(name, shape, start=start)
    trainer.compile_model(model, settings)
    model.run_eagerly = True  # one step costs less than tracing it
    *inputs, truth = (keras.ops.convert_to_tensor(array) for array in (damaged, mask[..., None].astype(np.float32), whole))
    before = np.asarray(model.predict_on_batch(inputs))
    weights = [np.asarray(v).copy() for v in model.trainable_variables]
    losses = model.train_on_batch(inputs, truth, return_dict=True)
    moved = [not np.array_equal(old, np.asarray(new)) for old, new in zip(weights, model.trainable_variables, strict=True)]
    assert before.shape == whole.shape
    mended = paste(damaged[0], mask[0], before[0])
    assert mended[~mask[0]].tobytes() == damaged[0][~mask[0]].tobytes()
    assert np.isfinite(losses["loss"])
    assert any(moved)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_with_a_start_begins_at_the_fill(name):
    damaged, mask, _ = example((64, 64, 3))
    model, _ = network(name, (64, 64, 3), start="harmonic")
    np.testing.assert_allclose(model([damaged, mask[..., None].astype(np.float32)], training=False), damaged, atol=1e-6)


def test_pix2pix_has_the_published_number_of_parameters():
    model, _ = network("pix2pix", (256, 256, 3), width=64)
    assert size(model.generator.trainable_variables) == 54_414_979
    assert size(model.generator.non_trainable_variables) == 10_880
    assert size(model.discriminator.variables) == 2_770_433
    assert model.discriminator.output_shape == (None, 30, 30, 1)


def test_the_mask_is_one_more_channel_where_asked_for():
    model, _ = network("pix2pix", (64, 64, 3), mask_channel=True)
    assert model.generator.get_layer(index=-1) is not None
    first = next(layer for layer in model.generator.layers if isinstance(layer, keras.layers.Conv2D))
    assert first.kernel.shape[2] == 4


@pytest.mark.parametrize(("name", "flags", "told"), [
    ("window_mlp", {"mask_channel": True, "width": 8, "LAMBDA": 10.0}, ["--mask-channel", "--lambda"]),
    ("mlp", {"width": 8, "levels": 3, "steps": 5}, ["--levels", "--width"]),
    ("pix2pix", {"mask_channel": True, "width": 4, "levels": 3, "LAMBDA": 10.0, "disc_lambda": 2.0}, []),
    ("mlp", {"adversarial": True, "width": 8, "levels": 3, "LAMBDA": 10.0}, ["--levels"]),
    ("pix2pix", {"adversarial": False, "width": 4, "disc_lambda": 2.0}, ["--disc-lambda"]),
])
def test_flags_that_change_nothing_are_told(name, flags, told, capsys):
    settings = Settings(size=64, model=name, precision="float32", given=frozenset(flags), **flags)
    setup.build_trainable(with_defaults(settings, models.default_settings(name)))
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == told


def test_levels_and_width_shape_the_network():
    deep, shallow = (network("pix2pix", (64, 64, 3), levels=levels)[0] for levels in (6, 4))
    assert size(deep.generator.variables) > size(shallow.generator.variables)
    narrow, wide = (network("pix2pix", (64, 64, 3), width=width)[0] for width in (4, 8))
    assert size(wide.generator.variables) > 3 * size(narrow.generator.variables)


def two_losses(model, inputs, whole, settings):
    """The published losses, computed by hand from the two networks."""
    seen = inputs[0]
    painted = model.generator(inputs, training=False)
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    judge = lambda picture: model.discriminator([seen, picture], training=False)  # noqa: E731
    fake, real = judge(painted), judge(whole)
    adversarial = entropy(np.ones(fake.shape), fake)
    generator = adversarial + settings.LAMBDA * np.abs(2 * (np.asarray(whole) - np.asarray(painted))).mean()
    discriminator = entropy(np.ones(real.shape), real) + settings.disc_lambda * entropy(np.zeros(fake.shape), fake)
    return float(generator) + float(discriminator)


@pytest.mark.parametrize(("LAMBDA", "disc_lambda"), [(100, 1), (400, 400), (0, 1)])
def test_pix2pix_loss_is_the_published_one(LAMBDA, disc_lambda):
    damaged, mask, whole = example((64, 64, 3))
    model, settings = network("pix2pix", (64, 64, 3), start="none", LAMBDA=LAMBDA, disc_lambda=disc_lambda)
    inputs = [damaged, mask[..., None].astype(np.float32)]
    trainer.compile_model(model, settings)
    freeze_norms(model)
    inputs, whole = [keras.ops.convert_to_tensor(array) for array in inputs], keras.ops.convert_to_tensor(whole)
    ours = model.compute_loss(inputs, whole, model(inputs, training=False), training=False)
    assert float(ours) == pytest.approx(two_losses(model, inputs, whole, settings), rel=1e-4)


def freeze_norms(model):
    """Batch norm by its moving figures, so that a loss computed twice is computed from the same network."""
    for layer in model.discriminator.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def test_the_generators_loss_leaves_the_discriminator_alone():
    """With the fake term off and the real one constant, LAMBDA alone must not move the discriminator."""
    damaged, mask, whole = example((64, 64, 3))
    inputs = [damaged, mask[..., None].astype(np.float32)]
    moves = []
    for weight in (0.0, 1000.0):
        model, settings = network("pix2pix", (64, 64, 3), LAMBDA=weight)
        trainer.compile_model(model, settings)
        model.train_on_batch(inputs, whole)
        moves.append([np.asarray(v) for v in model.discriminator.trainable_variables])
    for without, with_ in zip(*moves, strict=True):
        np.testing.assert_allclose(without, with_, atol=1e-6)


def test_precision_auto_is_settled_once():
    assert setup.resolve_precision(Settings(precision="float32")).precision == "float32"
    assert setup.resolve_precision(Settings()).precision in ("float32", "bfloat16")
