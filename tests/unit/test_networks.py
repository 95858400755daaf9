"""Published networks: parameters, arithmetic against plain NumPy, image sizes, and that they learn."""

import keras
import numpy as np
import pytest
from support.networks import as_inputs, build_small, count_parameters, example_batch
from support.stages import done, stage

from pixmend import models
from pixmend.config import Settings
from pixmend.data.dataset import Dataset
from pixmend.errors import FlagError, UserError
from pixmend.networks import block_networks, pconv_unet
from pixmend.networks.layers import blocks
from pixmend.networks.residual import build_with_start
from pixmend.run_identity import apply_defaults
from pixmend.submissions.predictions import PredictionFile
from pixmend.training import checkpoints, run, trainer


@pytest.mark.parametrize(("name", "shape", "trainable", "rest"), [
    ("pconv_unet", (256, 256, 3), 25_255_508, 8_832), ("unet", (256, 256, 3), 2_662_659, 0),
    ("encoder_decoder", (256, 256, 3), 744_387, 1_280), ("mlp", (256, 256, 1), 14_824, 0),
    ("mlp_large", (256, 256, 1), 73_540, 0), ("cnn", (256, 256, 1), 23_748, 0),
    ("mobilenet_v2", (256, 256, 1), 2_262_532 - 34_112, 34_112), ("deepix", (64, 64, 1), 2_415_107, 3_202),
    ("deepix_small", (64, 64, 1), 479_427, 1_026)])
def test_network_has_the_published_number_of_parameters(name, shape, trainable, rest):
    settings = apply_defaults(Settings(size=shape[0], model=name), models.default_settings(name))
    model = build_with_start(shape, settings)
    assert (count_parameters(model.trainable_variables), count_parameters(model.non_trainable_variables)) == (trainable, rest)


def cut_windows(array, kernel, stride):
    """Return the windows of an image that a convolution with `same` padding reads."""
    starts = [range(0, length, stride) for length in array.shape[:2]]
    padding = [max((len(start) - 1) * stride + kernel - length, 0) for start, length in zip(starts, array.shape, strict=False)]
    padded = np.pad(array, [(width // 2, width - width // 2) for width in padding] + [(0, 0)])
    return [[padded[row:row + kernel, column:column + kernel] for column in starts[1]] for row in starts[0]]


def convolve_partially(pairs, kernel, bias, stride):
    """Compute a partial convolution window by window: known values over their share, and the new mask of known pixels."""
    known = np.concatenate([np.repeat(known, features.shape[-1], -1) for features, known in pairs], -1)
    features = np.concatenate([features for features, _ in pairs], -1)
    values, is_known = [], []
    for row in zip(cut_windows(features, len(kernel), stride), cut_windows(known, len(kernel), stride), strict=True):
        for window, mask in zip(*row, strict=True):
            share = mask.sum() / mask.size
            is_known.append(share > 0)
            values.append((window * mask).ravel() @ kernel.reshape(-1, kernel.shape[-1]) / share + bias if share else 0 * bias)
    side = -(-features.shape[0] // stride)
    return np.reshape(values, (side, side, -1)), np.reshape(is_known, (side, side, 1))


@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (5, 2), (3, 2), (3, 1)])
def test_partial_convolution_equals_a_loop_over_windows(kernel, stride):
    rng = np.random.default_rng(1)
    shapes, hole = [(16, 16, 3), (16, 16, 2)], np.s_[2:13, 4:16]
    pairs = [(rng.random(shape).astype(np.float32), np.ones((16, 16, 1), np.float32)) for shape in shapes]
    pairs[0][1][hole] = pairs[1][1][hole] = 0
    pairs[1][1][:, :2] = 0
    layer = pconv_unet.PartialConv(4, kernel, stride, use_bias=True)
    batch = [(features[None], known[None]) for features, known in pairs]
    layer(batch)
    layer.bias.assign(rng.random(4))
    values, is_known = layer(batch)
    expected, expected_known = convolve_partially(pairs, np.asarray(layer.kernel), np.asarray(layer.bias), stride)
    assert not expected_known.all() and expected_known.any()
    np.testing.assert_allclose(values[0], expected, atol=1e-5)
    np.testing.assert_array_equal(is_known[0], expected_known)
    assert (np.asarray(values[0])[~expected_known[..., 0]] == 0).all()


def test_partial_convolution_network_ignores_missing_pixels():
    damaged, masks, originals = example_batch((64, 64, 3))
    model, _ = build_small("pconv_unet", (64, 64, 3), start="none")
    np.testing.assert_array_equal(model.predict_on_batch(as_inputs(damaged, masks)),
                                  model.predict_on_batch(as_inputs(originals, masks)))


def predict_block_by_block(name, model, image):
    """Predict each block of each channel by itself, with the network of one block that the model holds."""
    inner, = (layer for layer in model.layers if isinstance(layer, keras.Model))
    predicted = image.copy()
    for row in range(0, image.shape[0], 8):
        for column in range(0, image.shape[1], 8):
            for channel in range(image.shape[2]):
                block = image[row:row + 8, column:column + 8, channel]
                values = np.asarray(inner(block[None, ..., None], training=False))[0].reshape(2, 2)
                values = values if name == "cnn" else 1 / (1 + np.exp(-values))
                predicted[row + 3:row + 5, column + 3:column + 5, channel] = values
    return predicted


@pytest.mark.parametrize(("name", "shape"), [("mlp", (24, 16, 3)), ("cnn", (16, 24, 1)), ("mobilenet_v2", (8, 16, 1))])
def test_prediction_of_whole_images_equals_block_by_block(name, shape):
    mask = blocks.build_hole_mask(*shape[:2])
    images = np.random.default_rng(1).random((2, *shape)).astype(np.float32) * (1 - mask)
    model, _ = build_small(name, shape)
    together = model([images, np.stack([mask, mask])], training=False)
    for ours, image in zip(together, images, strict=True):
        np.testing.assert_allclose(ours, predict_block_by_block(name, model, image), atol=1e-5)


def test_perceptron_reads_the_sixty_known_values_only():
    inner, block = block_networks.build_perceptron(120, 60), np.random.default_rng(1).random((1, 8, 8, 1)).astype(np.float32)
    other_hole, other_neighbour = block.copy(), block.copy()
    other_hole[:, 3:5, 3:5] = 0
    other_neighbour[:, 2, 3] = 0
    np.testing.assert_array_equal(inner(block), inner(other_hole))
    assert not np.array_equal(inner(block), inner(other_neighbour))


def test_deepix_copies_known_pixels():
    damaged, masks, _ = example_batch((64, 64, 1))
    model, _ = build_small("deepix_small", (64, 64, 1))
    predicted = model.predict_on_batch(as_inputs(damaged, masks))
    assert predicted[~masks].tobytes() == damaged[~masks].tobytes()
    assert not np.array_equal(predicted[masks], damaged[masks])


LEARNS = {"mlp": {}, "cnn": {"start": "harmonic"}, "pconv_unet": {"levels": 2, "width": 8}, "unet": {"levels": 2, "width": 8},
          "encoder_decoder": {"levels": 2, "width": 8}, "deepix_small": {"width": 4}}


@pytest.mark.parametrize("name", LEARNS)
def test_network_halves_its_loss_and_predicts_the_same_after_loading(name, tmp_path):
    """The images are slopes with a hole in every block."""
    rng = np.random.default_rng(1)
    corners = rng.random((4, 2, 2, 1), np.float32)
    originals = np.stack([keras.ops.image.resize(corner, (16, 16), interpolation="bilinear") for corner in corners])
    masks = np.stack([blocks.build_hole_mask(16, 16)] * 4)
    inputs = [originals * (1 - masks), masks]
    model, settings = build_small(name, (16, 16, 1), learning_rate=3e-3, loss="l2", **LEARNS[name])
    trainer.compile_model(model, settings)
    losses = [model.train_on_batch(inputs, originals, sample_weight=masks[..., 0], return_dict=True)["loss"] for _ in range(40)]
    assert np.mean(losses[-5:]) < losses[0] / 2
    checkpoints.save_weights(tmp_path / "best.npz", [np.asarray(v) for v in model.variables], {"step": 40})
    again, _ = build_small(name, (16, 16, 1), learning_rate=3e-3, loss="l2", **LEARNS[name])
    saved, _ = checkpoints.read_checkpoint(tmp_path / "best.npz", {"model": [tuple(v.shape) for v in again.variables]})
    for variable, value in zip(again.variables, saved["model"], strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(model.predict_on_batch(inputs), again.predict_on_batch(inputs))


def test_edsr_predicts_the_same_in_a_square_and_in_the_whole_image():
    """The holes lie at different places, each far from its square's edges, which a shallow network does not read."""
    images = np.random.default_rng(1).random((2, 64, 64, 3)).astype(np.float32)
    masks = np.zeros((2, 64, 64, 1), np.float32)
    masks[0, 20:28, 24:28], masks[1, 34:38, 16:20] = 1, 1   # squares that begin at even pixels, as strides do
    both = [build_small("edsr", (64, 64, 3), levels=1, work_size=side)[0] for side in (64, 40)]
    weights = [np.random.default_rng(2).normal(0, 0.1, w.shape) for w in both[0].get_weights()]
    for model in both:
        model.set_weights(weights)
    whole, square = (np.asarray(model([images, masks])) for model in both)
    np.testing.assert_allclose(square, whole, atol=1e-5)
    assert ((square != images).any(-1) == (masks[..., 0] > 0)).all()


def test_edsr_changes_nothing_outside_its_square():
    images, masks = np.full((1, 64, 64, 1), 0.5, np.float32), np.zeros((1, 64, 64, 1), np.float32)
    masks[:, 2:60, 30:34] = 1
    model, _ = build_small("edsr", (64, 64, 1), work_size=32)
    model.set_weights([np.full(w.shape, 0.1) for w in model.get_weights()])
    changed = np.asarray(model([images, masks]))[0, ..., 0] != 0.5
    assert changed[15:47, 30:34].all() and changed.sum() == 32 * 4


@pytest.mark.parametrize("name", ["pix2pix", "unet", "encoder_decoder", "pconv_unet", "edsr"])
def test_networks_that_halve_images_accept_even_sides_only(name):
    inputs = as_inputs(*example_batch((36, 36, 3), 1)[:2])
    model, _ = build_small(name, (36, 36, 3))
    assert model(inputs).shape == (1, 36, 36, 3)
    with pytest.raises(FlagError, match=rf"--model {name} .*33x33.*--(work-)?size"):
        build_small(name, (33, 33, 3))


@pytest.mark.parametrize("name", ["deepix_small", "residual_unet", "pretrained_unet"])
def test_other_networks_accept_any_side(name):
    inputs = as_inputs(*example_batch((51, 51, 3), 1)[:2])
    model, _ = build_small(name, (51, 51, 3), work_size=32)
    assert model(inputs).shape == (1, 51, 51, 3)


@pytest.mark.parametrize("name", ["mlp", "mlp_large", "cnn", "mobilenet_v2", "lattice_mlp"])
def test_networks_of_blocks_accept_sides_that_eight_divides(name):
    with pytest.raises(FlagError, match=rf"--model {name} .*8x8.*100x100.*--size"):
        build_small(name, (100, 100, 1))


@pytest.mark.parametrize("encoder", ["EfficientNetV2B0", "ConvNeXtTiny"])
def test_encoder_returns_features_from_fine_to_coarse(encoder):
    model, _ = build_small("pretrained_unet", (64, 64, 1), encoder=encoder)
    sides = [features.shape[1] for features in model.get_layer("encoder").outputs]
    assert sides == sorted(set(sides), reverse=True) and sides[-1] == 2


def test_encoder_weights_come_from_a_file(tmp_path):
    path = tmp_path / "mine.weights.h5"
    keras.utils.set_random_seed(7)
    mine = keras.applications.MobileNetV3Small(include_top=False, weights=None, input_shape=(64, 64, 3))
    mine.save_weights(path)
    model, _ = build_small("pretrained_unet", (64, 64, 3), encoder_weights=str(path))
    for ours, theirs in zip(model.get_layer("encoder").get_weights(), mine.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"--encoder-weights .*mine\.weights\.h5.*--encoder-weights none"):
        build_small("pretrained_unet", (64, 64, 3), encoder_weights=str(path))


def test_prediction_needs_no_file_of_encoder_weights(tmp_path):
    settings = Settings(home=str(tmp_path), run="mine", model="pretrained_unet", encoder_weights="gone.weights.h5")
    settings.run_folder.mkdir(parents=True)
    run.save_run_settings(settings)
    assert run.load_run_settings(settings).encoder_weights == "none"


def test_encoder_weights_that_cannot_be_downloaded_are_an_error(monkeypatch):
    def fail(*_, **__):
        raise OSError("URL fetch failure")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fail)
    with pytest.raises(UserError, match=r"--encoder-weights imagenet .*URL fetch failure.*--encoder-weights none"):
        build_small("pretrained_unet", (64, 64, 3), encoder_weights="imagenet")


def test_network_of_blocks_runs_through_all_stages(home):
    """The demo's boxes are not the holes that it predicts: it changes the middles of blocks only."""
    flags = ("--size", "32", "--model", "mlp", "--start", "harmonic", "--steps", "40", "--evaluate-every", "10")
    assert "step 40" in done(stage("train", home, *flags))
    done(stage("predict", home, *flags))
    dataset, predictions = Dataset(home / "augment/demo"), PredictionFile(next(home.glob("checkpoints/demo/*/holdout.npz")))
    row = dataset.split("holdout")[0]
    known, mask = dataset.read_damaged(row) / np.float32(255), dataset.read_counts(row) > 0
    changed = np.abs(predictions.read_image(row.id, known, mask) - dataset.read_input(row, "harmonic") / 255).max(-1) > 1e-6
    assert changed.any() and not changed[~np.tile(np.pad(np.ones((2, 2), bool), 3), (4, 4)) | ~mask].any()


def test_weights_of_mobilenet_beyond_a_small_image_stay_as_they_are_in_bfloat16():
    """What a kernel of 3x3 reaches beyond an image of one pixel has no gradient."""
    model, settings = build_small("mobilenet_v2", (128, 128, 1), precision="bfloat16")
    kernels = [layer.kernel for inner in model.layers if isinstance(inner, keras.Model) for layer in inner.layers
               if isinstance(layer, keras.layers.DepthwiseConv2D) and layer.input.shape[1] == 1]
    before = [np.asarray(kernel).copy() for kernel in kernels]
    trainer.compile_model(model, settings)
    damaged, masks, originals = example_batch((128, 128, 1))
    for _ in range(4):
        model.train_on_batch(as_inputs(damaged, masks), originals)
    for first, kernel in zip(before, kernels, strict=True):
        changed = np.asarray(kernel) != first
        assert changed[1, 1].any() and changed.sum() == changed[1, 1].sum()
    assert len(kernels) > 5
