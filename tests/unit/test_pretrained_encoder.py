"""EfficientNet-Lite0: its weights are read right, and a file that names other things than arrays is refused."""

import os
import pickle

import cv2
import numpy as np
import pytest
from support.networks import build_small

from pixmend.data import photos
from pixmend.errors import UserError
from pixmend.networks import efficientnet_lite
from pixmend.networks.torch_file import read_torch_file

SIDE = 224   # pixels across of the images that it was trained on
CATS, CUPS = {281, 282, 285}, {504, 967, 968}   # classes of ImageNet: tabby, tiger and Egyptian cat; mug, espresso, cup


@pytest.fixture(scope="module")
def weights():
    return read_torch_file(efficientnet_lite.find_file())


def classify(network, weights, name):
    """Return the likeliest class of a photo, by the last layers that the encoder leaves out."""
    photo = next(photo for photo in photos.list_demo_photos() if photo.name == name)
    image = cv2.resize(photos.cut_middle_square(photo.decode()), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    x = np.asarray(network(image[None].astype(np.float32), training=False)) @ weights["_conv_head.weight"][:, :, 0, 0].T
    mean, variance, scale, shift = (weights[f"_bn1.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    features = np.clip((x - mean) / np.sqrt(variance + 1e-3) * scale + shift, 0, 6).mean((1, 2))
    return int(np.argmax(features @ weights["_fc.weight"].T + weights["_fc.bias"]))


def test_it_knows_what_photos_show(weights):
    network = efficientnet_lite.build_efficientnet_lite((SIDE, SIDE, 3), "imagenet")
    assert classify(network, weights, "chelsea") in CATS
    assert classify(network, weights, "coffee") in CUPS


def test_a_file_that_names_a_function_is_refused_and_the_function_is_not_called(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "called"),)

    path = tmp_path / "harmful.pth"
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in (1, 2, 3, {"weight": Harmful()}, [])))
    with pytest.raises(UserError, match=r"harmful\.pth.*mkdir"):
        read_torch_file(path)
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("kept", [0, 100, 100_000, 18_000_000])
def test_a_file_that_ends_too_early_is_refused(tmp_path, kept):
    path = tmp_path / "half.pth"
    path.write_bytes(efficientnet_lite.find_file().read_bytes()[:kept])
    with pytest.raises(UserError, match=r"half\.pth"):
        read_torch_file(path)


def test_weights_of_another_network_are_refused(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "STEM", 16)
    with pytest.raises(UserError, match="another network"):
        efficientnet_lite.build_efficientnet_lite((64, 64, 3), "imagenet")


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no_such_package")
    with pytest.raises(UserError, match=r"no_such_package.*\./set_up\.sh pretrained"):
        build_small("pretrained_unet", (64, 64, 3), encoder="EfficientNetLite0", encoder_weights="imagenet")


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_frozen_encoder_has_nothing_to_train(is_frozen):
    model, _ = build_small("pretrained_unet", (64, 64, 3), encoder="EfficientNetLite0", encoder_weights="none",
                           freeze_encoder=is_frozen)
    encoder = model.get_layer("encoder")
    assert [output.shape[1] for output in encoder.outputs] == [32, 16, 8, 4, 2]
    assert bool(encoder.trainable_variables) is not is_frozen
