"""The published networks: their numbers of parameters, their arithmetic against plain NumPy, what they take, that they learn."""

import importlib

import keras
import numpy as np
import pytest
from support.networks import example, network, size
from support.stages import done, stage, stage_process

from pixmend import models
from pixmend.config import Settings, with_defaults
from pixmend.data.dataset import Prepared
from pixmend.errors import FlagError, UserError
from pixmend.networks import mlp, pconv_unet
from pixmend.networks.layers import blocks
from pixmend.networks.residual import build_with_start
from pixmend.submissions.predictions import PredictionFile
from pixmend.training import checkpoints, run_settings, trainer


@pytest.mark.parametrize(("name", "shape", "trainable", "rest"), [
    ("pconv_unet", (256, 256, 3), 25_255_508, 8_832), ("unet", (256, 256, 3), 2_662_659, 0),
    ("encoder_decoder", (256, 256, 3), 744_387, 1_280), ("mlp", (256, 256, 1), 14_824, 0),
    ("mlp_large", (256, 256, 1), 73_540, 0), ("cnn", (256, 256, 1), 23_748, 0),
    ("mobilenet_v2", (256, 256, 1), 2_262_532 - 34_112, 34_112), ("deepix", (64, 64, 1), 2_415_107, 3_202),
    ("deepix_small", (64, 64, 1), 479_427, 1_026)])
def test_a_network_has_the_published_number_of_parameters(name, shape, trainable, rest):
    settings = with_defaults(Settings(size=shape[0], model=name), models.default_settings(name))
    model = build_with_start(shape, settings)
    assert (size(model.trainable_variables), size(model.non_trainable_variables)) == (trainable, rest)


def windows(array, kernel, stride):
    """Each window of a picture that is convolved at `same` size, with zeros beyond its edges."""
    places = [range(0, length, stride) for length in array.shape[:2]]
    lacking = [max((len(place) - 1) * stride + kernel - length, 0) for place, length in zip(places, array.shape, strict=False)]
    padded = np.pad(array, [(lack // 2, lack - lack // 2) for lack in lacking] + [(0, 0)])
    return [[padded[row:row + kernel, column:column + kernel] for column in places[1]] for row in places[0]]


def partial_by_hand(pairs, kernel, bias, stride):
    """One window after the other: known pixels alone, over the share that is known; the new mask beside it."""
    known = np.concatenate([np.repeat(known, picture.shape[-1], -1) for picture, known in pairs], -1)
    picture = np.concatenate([picture for picture, _ in pairs], -1)
    seen = zip(windows(picture, len(kernel), stride), windows(known, len(kernel), stride), strict=True)
    values, saw = [], []
    for row in seen:
        for part, there in zip(*row, strict=True):
            share = there.sum() / there.size
            saw.append(share > 0)
            values.append((part * there).ravel() @ kernel.reshape(-1, kernel.shape[-1]) / share + bias if share else 0 * bias)
    side = -(-picture.shape[0] // stride)
    return np.reshape(values, (side, side, -1)), np.reshape(saw, (side, side, 1))


@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (5, 2), (3, 2), (3, 1)])
def test_partial_convolution_is_what_a_loop_over_windows_gives(kernel, stride):
    rng = np.random.default_rng(1)
    shapes, hole = [(16, 16, 3), (16, 16, 2)], np.s_[2:13, 4:16]
    pairs = [(rng.random(shape).astype(np.float32), np.ones((16, 16, 1), np.float32)) for shape in shapes]
    pairs[0][1][hole] = pairs[1][1][hole] = 0
    pairs[1][1][:, :2] = 0
    layer = pconv_unet.PartialConv(4, kernel, stride, use_bias=True)
    batch = [(picture[None], known[None]) for picture, known in pairs]
    layer(batch)
    layer.bias.assign(rng.random(4))
    painted, saw = layer(batch)
    wanted, known = partial_by_hand(pairs, np.asarray(layer.kernel), np.asarray(layer.bias), stride)
    assert not known.all() and known.any()
    np.testing.assert_allclose(painted[0], wanted, atol=1e-5)
    np.testing.assert_array_equal(saw[0], known)
    assert (np.asarray(painted[0])[~known[..., 0]] == 0).all()


def test_what_lies_in_the_hole_does_not_reach_a_partial_convolution_network():
    damaged, mask, whole = example((64, 64, 3))
    model, _ = network("pconv_unet", (64, 64, 3), start="none")
    hole = mask[..., None].astype(np.float32)
    np.testing.assert_array_equal(model.predict_on_batch([damaged, hole]), model.predict_on_batch([whole, hole]))


def shown_block_by_block(name, settings, weights, seen):
    """Each block of each channel shown by itself to the inner network, its four numbers put into the middle."""
    inner = importlib.import_module(f"pixmend.networks.{name}").build_block_network()
    inner.set_weights(weights)
    painted = seen.copy()
    for row in range(0, seen.shape[0], 8):
        for column in range(0, seen.shape[1], 8):
            for channel in range(seen.shape[2]):
                block = seen[row:row + 8, column:column + 8, channel]
                numbers = np.asarray(inner(block[None, ..., None], training=False))[0].reshape(2, 2)
                values = numbers if name == "cnn" else 1 / (1 + np.exp(-numbers))
                painted[row + 3:row + 5, column + 3:column + 5, channel] = values
    return painted


@pytest.mark.parametrize(("name", "shape"), [("mlp", (24, 16, 3)), ("cnn", (16, 24, 1)), ("mobilenet_v2", (8, 16, 1))])
def test_whole_pictures_in_one_call_are_what_block_by_block_gives(name, shape):
    middles = np.tile(np.pad(np.ones((2, 2), np.float32), 3), (shape[0] // 8, shape[1] // 8))[None, ..., None]
    seen = np.random.default_rng(1).random((2, *shape)).astype(np.float32) * (1 - middles)
    model, settings = network(name, shape)
    together = model([seen, np.repeat(middles, 2, 0)], training=False)
    for ours, one in zip(together, seen, strict=True):
        np.testing.assert_allclose(ours, shown_block_by_block(name, settings, model.get_weights(), one), atol=1e-5)


def test_the_perceptron_sees_the_sixty_known_values_alone():
    inner, block = mlp.build_block_network(), np.random.default_rng(1).random((1, 8, 8, 1)).astype(np.float32)
    other, beside = block.copy(), block.copy()
    other[:, 3:5, 3:5] = 0
    beside[:, 2, 3] = 0
    assert len(blocks.list_known_pixels()) == 60
    np.testing.assert_array_equal(inner(block), inner(other))
    assert not np.array_equal(inner(block), inner(beside))


def test_deepix_gives_known_pixels_as_they_went_in():
    damaged, mask, _ = example((64, 64, 1))
    model, _ = network("deepix_small", (64, 64, 1))
    painted = model.predict_on_batch([damaged, mask[..., None].astype(np.float32)])
    assert painted[~mask].tobytes() == damaged[~mask].tobytes()
    assert not np.array_equal(painted[mask], damaged[mask])


LEARNS = {"mlp": {}, "cnn": {"start": "harmonic"}, "pconv_unet": {"levels": 2, "width": 8}, "unet": {"levels": 2, "width": 8},
          "encoder_decoder": {"levels": 2, "width": 8}, "deepix_small": {"width": 4}}


@pytest.mark.parametrize("name", LEARNS)
def test_a_network_learns_a_tiny_set_and_is_the_same_after_saving_and_loading(name, tmp_path):
    """Slopes with a hole in every block: half of the first error must go, and saved weights must paint the same bits."""
    rng = np.random.default_rng(1)
    corners = rng.random((4, 2, 2, 1), np.float32)
    whole = np.stack([keras.ops.image.resize(corner, (16, 16), interpolation="bilinear") for corner in corners])
    mask = np.tile(np.pad(np.ones((2, 2), np.float32), 3), (4, 2, 2))
    inputs = [whole * (1 - mask[..., None]), mask[..., None]]
    model, settings = network(name, (16, 16, 1), learning_rate=3e-3, loss="l2", **LEARNS[name])
    trainer.compile_model(model, settings)
    losses = [model.train_on_batch(inputs, whole, sample_weight=mask, return_dict=True)["loss"] for _ in range(40)]
    assert np.mean(losses[-5:]) < losses[0] / 2
    checkpoints.save_weights(tmp_path / "best.npz", [np.asarray(v) for v in model.variables], {"step": 40})
    again, _ = network(name, (16, 16, 1), learning_rate=3e-3, loss="l2", **LEARNS[name])
    saved, _ = checkpoints.read_checkpoint(tmp_path / "best.npz", {"model": [tuple(v.shape) for v in again.variables]})
    for variable, value in zip(again.variables, saved["model"], strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(model.predict_on_batch(inputs), again.predict_on_batch(inputs))


@pytest.mark.parametrize("name", ["mlp", "mlp_large", "cnn", "mobilenet_v2"])
def test_sides_that_eight_does_not_divide_are_one_sentence(name):
    with pytest.raises(FlagError, match=rf"--model {name} .*8x8.*100x100.*--size"):
        network(name, (100, 100, 1))


def test_edsr_paints_a_small_hole_alike_in_the_square_around_it_and_in_the_whole_picture():
    """Two holes at different places of their pictures, each far from its square's edges, which a shallow network does not see."""
    seen = np.random.default_rng(1).random((2, 64, 64, 3)).astype(np.float32)
    mask = np.zeros((2, 64, 64, 1), np.float32)
    mask[0, 20:28, 24:28], mask[1, 34:38, 16:20] = 1, 1   # squares that begin at even pixels, as strides do
    both = [network("edsr", (64, 64, 3), levels=1, work_size=side)[0] for side in (64, 40)]
    weights = [np.random.default_rng(2).normal(0, 0.1, w.shape) for w in both[0].get_weights()]
    for model in both:
        model.set_weights(weights)
    whole, square = (np.asarray(model([seen, mask])) for model in both)
    np.testing.assert_allclose(square, whole, atol=1e-5)
    assert ((square != seen).any(-1) == (mask[..., 0] > 0)).all()


def test_edsr_paints_nothing_outside_its_square():
    seen, mask = np.full((1, 64, 64, 1), 0.5, np.float32), np.zeros((1, 64, 64, 1), np.float32)
    mask[:, 2:60, 30:34] = 1
    model, _ = network("edsr", (64, 64, 1), work_size=32)
    model.set_weights([np.full(w.shape, 0.1) for w in model.get_weights()])
    changed = np.asarray(model([seen, mask]))[0, ..., 0] != 0.5
    assert changed[15:47, 30:34].all() and changed.sum() == 32 * 4


@pytest.mark.parametrize("name", ["pix2pix", "unet", "encoder_decoder", "pconv_unet", "edsr"])
def test_networks_that_halve_take_even_sides_only_and_go_as_deep_as_those_allow(name):
    damaged, mask, _ = example((36, 36, 3), 1)
    model, _ = network(name, (36, 36, 3))
    assert model([damaged, mask[..., None].astype(np.float32)]).shape == (1, 36, 36, 3)
    with pytest.raises(FlagError, match=rf"--model {name} .*33x33.*--size"):
        network(name, (33, 33, 3))


@pytest.mark.parametrize("name", ["deepix_small", "residual_unet", "pretrained_unet"])
def test_networks_that_need_no_halving_take_any_side(name):
    damaged, mask, _ = example((51, 51, 3), 1)
    model, _ = network(name, (51, 51, 3), work_size=32)
    assert model([damaged, mask[..., None].astype(np.float32)]).shape == (1, 51, 51, 3)


def test_levels_and_width_shape_these_networks_too():
    for name in ("unet", "encoder_decoder", "pconv_unet"):
        few, many, wide = (size(network(name, (64, 64, 3), levels=levels, width=width)[0].trainable_variables)
                           for levels, width in ((2, 4), (4, 4), (2, 8)))
        assert few < many and few < wide


@pytest.mark.parametrize("encoder", ["EfficientNetV2B0", "ConvNeXtTiny"])
def test_every_encoder_gives_its_views_from_fine_to_coarse(encoder):
    model, _ = network("pretrained_unet", (64, 64, 1), encoder=encoder)
    sides = [view.shape[1] for view in model.get_layer("encoder").outputs]
    assert sides == sorted(set(sides), reverse=True) and sides[-1] == 2


def test_an_encoders_weights_come_from_a_file(tmp_path):
    path = tmp_path / "mine.weights.h5"
    keras.utils.set_random_seed(7)
    mine = keras.applications.MobileNetV3Small(include_top=False, weights=None, input_shape=(64, 64, 3))
    mine.save_weights(path)
    model, _ = network("pretrained_unet", (64, 64, 3), encoder_weights=str(path))
    for ours, theirs in zip(model.get_layer("encoder").get_weights(), mine.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"--encoder-weights .*mine\.weights\.h5.*--encoder-weights none"):
        network("pretrained_unet", (64, 64, 3), encoder_weights=str(path))


def test_a_run_with_a_pretrained_encoder_is_predicted_without_its_file(tmp_path):
    settings = Settings(home=str(tmp_path), run="mine", model="pretrained_unet", encoder_weights="gone.weights.h5")
    settings.run_folder.mkdir(parents=True)
    run_settings.save_run_settings(settings.run_folder, settings)
    assert run_settings.load_run_settings(settings).encoder_weights == "none"


def test_weights_that_cannot_be_fetched_are_one_sentence(home, tmp_path):
    away = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path / "keras")}
    result = stage_process("train", home, "--size", "32", "--model", "pretrained_unet", "--encoder", "MobileNetV3Small", env=away)
    assert result.returncode == 1
    assert "--encoder-weights imagenet" in result.stderr and "--encoder-weights none" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_block_model_learns_and_predicts_through_the_ordinary_stages(home):
    """The demo's boxes are not the holes that it knows: it moves the middles of blocks alone."""
    flags = ("--size", "32", "--model", "mlp", "--start", "harmonic", "--steps", "3", "--evaluation-images", "4")
    assert "step 3" in done(stage("train", home, *flags))
    done(stage("predict", home, *flags))
    ready, mended = Prepared(home / "augment/demo"), PredictionFile(next(home.glob("checkpoints/demo/*/holdout.npz")))
    row = ready.split("holdout")[0]
    known, mask = ready.damaged(row) / np.float32(255), ready.hole(row) > 0
    changed = np.abs(mended.read_image(row.id, known, mask) - ready.seen(row, "harmonic") / 255).max(-1) > 1e-6
    assert changed.any() and not changed[~np.tile(np.pad(np.ones((2, 2), bool), 3), (4, 4)) | ~mask].any()
