"""The registry of networks, and what every network promises: shapes, known pixels, a start at its fill, one step of learning."""

import sys
from types import ModuleType

import keras
import numpy as np
import pytest
from keras import layers
from support.networks import as_inputs, build_small, count_parameters, example_batch

from pixmend import backend, models, processor
from pixmend.config import Settings
from pixmend.data.paste import paste_predictions
from pixmend.errors import FlagError, UserError
from pixmend.networks import registry
from pixmend.networks.registry import NETWORKS, NetworkSpec, Output, register_network
from pixmend.run_identity import apply_defaults
from pixmend.training import setup, trainer

SHAPES = [(64, 64, 1), (64, 64, 3)]
OPTIONAL_SETTINGS = {"width", "levels", "mask_channel", "encoder", "encoder_weights", "freeze_encoder", "work_size"}
IMAGE_NETWORKS = sorted(name for name, spec in NETWORKS.items() if not spec.finds_masks)


class RecordingSettings:
    """Settings that keep the names of those that were read."""

    def __init__(self, settings):
        self.settings, self.names = settings, set()

    def __getattr__(self, name):
        self.names.add(name)
        return getattr(self.settings, name)


@pytest.mark.parametrize("name", NETWORKS)
def test_entry_lists_the_settings_that_the_network_reads(name):
    _, settings = build_small(name, (64, 64, 3), adversarial=False)
    recording = RecordingSettings(settings)
    NETWORKS[name].load()((64, 64, 3), recording)
    assert recording.names & OPTIONAL_SETTINGS == set(NETWORKS[name].reads)


@pytest.mark.parametrize(("shape", "start"), list(zip(SHAPES, ["none", "harmonic"], strict=True)), ids=str)
@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_network_predicts_an_image_and_learns_one_step(name, shape, start):
    damaged, masks, originals = example_batch(shape)
    model, settings = build_small(name, shape, start=start)
    trainer.compile_model(model, settings)
    model.run_eagerly = True  # one step costs less than tracing it
    inputs, targets = [keras.ops.convert_to_tensor(x) for x in as_inputs(damaged, masks)], keras.ops.convert_to_tensor(originals)
    predictions = np.asarray(model.predict_on_batch(inputs))
    weights = [np.asarray(v).copy() for v in model.trainable_variables]
    results = model.train_on_batch(inputs, targets, return_dict=True)
    assert predictions.shape == originals.shape and predictions.dtype == np.float32
    restored = paste_predictions(damaged[0], masks[0], predictions[0])
    assert restored[~masks[0]].tobytes() == damaged[0][~masks[0]].tobytes()
    assert np.isfinite(results["loss"])
    assert any(not np.array_equal(old, np.asarray(new)) for old, new in zip(weights, model.trainable_variables, strict=True))


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_network_begins_at_its_fill(name):
    damaged, masks, _ = example_batch((64, 64, 3))
    model, _ = build_small(name, (64, 64, 3), start="harmonic")
    np.testing.assert_allclose(model(as_inputs(damaged, masks), training=False), damaged, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in IMAGE_NETWORKS if NETWORKS[name].output is not Output.RESIDUAL])
def test_network_without_a_start_predicts_what_its_output_says(name):
    damaged, masks, _ = example_batch((64, 64, 3))
    model, settings = build_small(name, (64, 64, 3), start="none", adversarial=False)
    spec = NETWORKS[name]
    network = spec.load()((64, 64, 3), settings)
    network.set_weights(model.get_weights())
    output = np.asarray(network(as_inputs(damaged, masks), training=False))
    expected = (output + 1) / 2 if spec.output is Output.SYMMETRIC else output
    predicted = np.asarray(model(as_inputs(damaged, masks), training=False))
    if spec.blocks_only:
        where = np.tile(np.pad(np.ones((2, 2), bool), 3), (8, 8)) & masks[0]
        np.testing.assert_allclose(predicted[:, ~where], damaged[:, ~where], atol=1e-6)
    else:
        where = masks[0] if spec.copies_known_pixels else np.ones((64, 64), bool)
    np.testing.assert_allclose(predicted[:, where], expected[:, where], atol=1e-6)


def convolve_inputs(image, mask, **options):
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.Concatenate()([image, mask]))
    return layers.Conv2D(image.shape[-1], 3, padding="same", **options)(x)


def convolve_in_a_nested_model(image, mask):
    inner = keras.Input(image.shape[1:])
    return keras.Model(inner, layers.Conv2D(image.shape[-1], 3, padding="same", activation="sigmoid")(inner))(image)


NEWCOMERS = {
    "sigmoid": lambda image, mask: convolve_inputs(image, mask, activation="sigmoid"),
    "linear": convolve_inputs,
    "tanh": lambda image, mask: convolve_inputs(image, mask, activation="tanh"),
    "scaled tanh": lambda image, mask: (convolve_inputs(image, mask, activation="tanh") + 1.0) / 2.0,
    "batch norm": lambda image, mask: layers.Activation("sigmoid")(layers.BatchNormalization()(convolve_inputs(image, mask))),
    "known pixels copied": lambda image, mask: image * (1.0 - mask) + convolve_inputs(image, mask, activation="sigmoid") * mask,
    "residual": lambda image, mask: image + convolve_inputs(image, mask),
    "residual of missing pixels": lambda image, mask: image + convolve_inputs(image, mask) * mask,
    "nested": convolve_in_a_nested_model,
}


@pytest.fixture
def register_newcomer(monkeypatch):
    """A function that registers a network from a function of its two inputs, for this test."""
    def register(name, predict):
        def build(input_shape, settings):
            image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
            return keras.Model([image, mask], predict(image, mask))

        module = ModuleType("newcomer")
        module.build = build
        monkeypatch.setitem(sys.modules, "newcomer", module)
        monkeypatch.setattr(registry, "NETWORKS", NETWORKS.copy())
        register_network(name, NetworkSpec(build="newcomer:build", summary="A network of a test."))

    return register


@pytest.mark.parametrize(("name", "precision"), [*((name, "float32") for name in NEWCOMERS), ("sigmoid", "bfloat16"),
                                                 ("known pixels copied", "bfloat16")])
def test_network_of_a_newcomer_begins_at_its_fill_and_learns(name, precision, register_newcomer):
    register_newcomer("mine", NEWCOMERS[name])
    damaged, masks, _ = example_batch((64, 64, 3))
    model, settings = build_small("mine", (64, 64, 3), start="harmonic", loss_region="hole", learning_rate=0.01,
                                  precision=precision)
    first = np.asarray(model(as_inputs(damaged, masks), training=False))
    assert first.dtype == np.float32
    np.testing.assert_allclose(first, damaged, atol=1e-6 if precision == "float32" else 1e-2)
    trainer.compile_model(model, settings)
    model.run_eagerly = keras.backend.backend() == "tensorflow"
    target, weight = np.full_like(damaged, 0.3), masks.astype(np.float32)
    losses = [float(model.train_on_batch(as_inputs(damaged, masks), target, sample_weight=weight)) for _ in range(6)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("predict", [NEWCOMERS["sigmoid"], NEWCOMERS["residual"]], ids=["sigmoid", "residual"])
def test_output_of_a_newcomer_is_the_image_without_a_start(predict, register_newcomer):
    register_newcomer("mine", predict)
    inputs = as_inputs(*example_batch((64, 64, 3))[:2])
    model, settings = build_small("mine", (64, 64, 3), start="none")
    network = registry.get_network("mine").load()((64, 64, 3), settings)
    network.set_weights(model.get_weights())
    np.testing.assert_array_equal(model(inputs, training=False), network(inputs, training=False))


def test_network_that_cannot_begin_at_a_fill_is_refused(register_newcomer):
    register_newcomer("mine", lambda image, mask: convolve_inputs(image, mask) + convolve_inputs(image, mask))
    with pytest.raises(FlagError, match="--start"):
        build_small("mine", (64, 64, 3), start="harmonic")
    build_small("mine", (64, 64, 3), start="none")


def test_network_with_wrong_shapes_is_refused(register_newcomer):
    register_newcomer("mine", lambda image, mask: mask)
    with pytest.raises(UserError, match="newcomer:build"):
        build_small("mine", (64, 64, 3))


class Subclassed(keras.Model):
    """A network that is a class of its own, so that its inputs are not known."""

    def call(self, inputs):
        return inputs[0]


@pytest.mark.parametrize("make", [lambda image, mask: Subclassed(), lambda image, mask: keras.Sequential(),
                                  lambda image, mask: keras.Model([image, mask], [image, mask])],
                         ids=["subclassed", "sequential", "two outputs"])
def test_network_that_is_no_functional_model_of_one_output_is_refused(monkeypatch, make):
    def build(shape, settings):
        return make(keras.Input(shape), keras.Input((*shape[:2], 1)))

    monkeypatch.setattr(NetworkSpec, "load", lambda spec: build)
    with pytest.raises(UserError, match=r"keras\.Model\(\[image, mask\], output\)"):
        build_small("unet", (64, 64, 3))


def test_wrong_registry_entries_are_refused():
    with pytest.raises(ValueError, match="learning_rat"):
        NetworkSpec(build="a:b", summary="", defaults={"learning_rat": 1.0})
    with pytest.raises(ValueError, match="widht"):
        NetworkSpec(build="a:b", summary="", reads=("widht",))
    with pytest.raises(ValueError, match="build_mpl"):
        NetworkSpec(build="pixmend.networks.block_networks:build_mpl", summary="").load()
    with pytest.raises(ValueError, match="mlp"):
        register_network("mlp", NETWORKS["mlp"])
    with pytest.raises(FlagError, match="nosuch"):
        registry.get_network("nosuch")


def test_every_model_has_one_kind():
    kinds = [set(NETWORKS), set(models.FILLS), set(models.PIPELINES)]
    assert sorted(set.union(*kinds)) == models.list_models() and sum(map(len, kinds)) == len(models.list_models())
    assert models.is_trainable("unet") and models.is_fill("smooth") and not models.is_model("nosuch")
    assert models.finds_masks("locate") and NETWORKS["edsr"].reads_square and NETWORKS["mlp"].blocks_only
    assert models.default_settings("smooth") == {}


def test_mask_channel_adds_a_channel_to_the_input():
    model, _ = build_small("pix2pix", (64, 64, 3), mask_channel=True)
    first = next(layer for layer in model.generator.layers if isinstance(layer, keras.layers.Conv2D))
    assert first.kernel.shape[2] == 4


@pytest.mark.parametrize("name", ["pix2pix", "window_unet"])
def test_network_sees_a_dark_window_as_a_bright_one_and_predicts_in_its_contrast(name):
    damaged, masks, _ = example_batch((64, 64, 3))
    model, _ = build_small(name, (64, 64, 3), adversarial=False)
    rng = np.random.default_rng(1)
    model.set_weights([w + 0.1 * np.abs(rng.standard_normal(w.shape)) for w in model.get_weights()])
    bright, dark = (np.asarray(model(as_inputs(image, masks))) - image for image in (damaged, 0.25 * damaged + 0.1))
    assert np.abs(bright).max() > 0.01
    np.testing.assert_allclose(dark, 0.25 * bright, atol=1e-4 * np.abs(bright).max())


@pytest.mark.parametrize("window, side", [(2.0, 32), (3.0, 22), (0.0, 64)])
def test_window_unet_changes_the_pixels_that_the_box_may_touch(window, side):
    damaged, masks, _ = example_batch((64, 64, 3))
    model, _ = build_small("window_unet", (64, 64, 3), window=window)
    model.set_weights([weight + 0.1 for weight in model.get_weights()])
    changed = (np.asarray(model(as_inputs(damaged, masks))) != damaged).any((0, 3))
    border = (64 - side) // 2
    np.testing.assert_array_equal(changed, np.pad(np.ones((side, side), bool), border))


@pytest.mark.parametrize("name", ["pix2pix", "unet", "encoder_decoder", "pconv_unet", "window_unet"])
def test_levels_and_width_shape_the_network(name):
    models = [build_small(name, (64, 64, 3), levels=levels, width=width, adversarial=False)[0]
              for levels, width in ((2, 4), (4, 4), (2, 8))]
    few, many, wide = (count_parameters(model.trainable_variables) for model in models)
    assert few < many and 3 * few < wide


@pytest.mark.parametrize(("name", "flags", "reported"), [
    ("window_mlp", {"mask_channel": True, "width": 8, "LAMBDA": 10.0}, ["--mask-channel", "--lambda"]),
    ("mlp", {"width": 8, "levels": 3, "steps": 5}, ["--levels", "--width"]),
    ("pix2pix_published", {"mask_channel": True, "width": 4, "levels": 3, "LAMBDA": 10.0, "disc_lambda": 2.0}, []),
    ("mlp", {"adversarial": True, "width": 8, "levels": 3, "LAMBDA": 10.0}, ["--levels"]),
    ("pix2pix_published", {"adversarial": False, "width": 4, "disc_lambda": 2.0}, ["--disc-lambda"]),
])
def test_flags_without_effect_are_reported(name, flags, reported, capsys):
    settings = Settings(size=64, model=name, precision="float32", given=frozenset(flags), **flags)
    setup.build_trainable(apply_defaults(settings, models.default_settings(name)))
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == reported


def test_automatic_precision_is_that_of_the_processor(monkeypatch):
    assert setup.resolve_precision(Settings(precision="float32")).precision == "float32"
    monkeypatch.setattr(backend, "is_on_cpu", lambda: True)
    for has_bfloat16, precision in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(processor, "supports", lambda name, has=has_bfloat16: has and name == "avx512_bf16")
        expected = precision if backend.is_tensorflow() else "float32"
        assert setup.resolve_precision(Settings()).precision == expected
