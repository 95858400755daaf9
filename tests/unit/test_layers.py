"""Layers of our own against Keras's."""

import keras
import numpy as np
import pytest
from keras import layers, optimizers

from pixmend import backend
from pixmend.config import Settings
from pixmend.networks.layers.blocks import build_hole_mask, join_blocks, pad_to_blocks, split_blocks
from pixmend.networks.layers.normalization import BatchNormalization
from pixmend.networks.layers.strided import DownsampleConv, UpsampleConv, uses_matrix_product
from pixmend.training.optimizer import build_optimizer


def train_layers(build_layers, optimizer, shape):
    """Return a small network's weights after a few steps, and its predictions."""
    keras.utils.set_random_seed(1)
    images, targets = np.random.default_rng(3).uniform(0, 1, (2, 5, *shape)).astype(np.float32)
    x = image = keras.Input(shape[1:])
    for layer in build_layers():
        x = layer(x)
    model = keras.Model(image, x)
    model.compile(optimizer=optimizer, loss="mean_squared_error", jit_compile=False)
    for batch, target in zip(images, targets, strict=True):
        model.train_on_batch(batch, target)
    return [*map(np.asarray, model.variables), model.predict_on_batch(images[0])]


def assert_equal_arrays(ours, expected):
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


@pytest.mark.parametrize("shape", [(2, 6, 6, 3), (1, 1, 1, 3)], ids=["images", "one pixel"])
@pytest.mark.parametrize("changes", [{}, {"weight_decay": 0.1, "clip_norm": 0.01}], ids=["plain", "decay and clip"])
def test_batch_norm_and_adam_train_as_keras_does(shape, changes):
    def build_with(normalization):
        return lambda: (layers.Conv2D(4, 1, use_bias=False), normalization(), layers.Conv2D(3, 1))

    settings = Settings(learning_rate=0.01, beta_1=0.5, **changes)
    adam = optimizers.Adam(0.01, beta_1=0.5, beta_2=settings.beta_2, epsilon=1e-8, weight_decay=settings.weight_decay or None,
                           global_clipnorm=settings.clip_norm or None)
    assert_equal_arrays(train_layers(build_with(BatchNormalization), build_optimizer(settings), shape),
                        train_layers(build_with(layers.BatchNormalization), adam, shape))


@pytest.mark.parametrize("shape", [(2, 4, 2, 3), (1, 2, 2, 3)], ids=["images", "one pixel between"])
def test_strided_convolutions_train_as_keras_does(shape):
    def build_ours():
        return DownsampleConv(16, use_bias=False), UpsampleConv(3, use_bias=False)

    def build_keras():
        return layers.Conv2D(16, 4, 2, "same", use_bias=False), layers.Conv2DTranspose(3, 4, 2, "same", use_bias=False)

    assert uses_matrix_product((shape[1] // 2, shape[2] // 2, 16)) == backend.is_tensorflow()
    assert_equal_arrays(*(train_layers(build, build_optimizer(Settings(learning_rate=0.01)), shape)
                          for build in (build_ours, build_keras)))


def test_blocks_are_cut_and_joined_without_loss():
    images = np.random.default_rng(1).random((2, 16, 24, 3)).astype(np.float32)
    blocks = split_blocks(keras.ops.convert_to_tensor(images), 2, 3)
    np.testing.assert_array_equal(np.asarray(blocks)[1, 1, 2, 0], images[1, 8:16, 16:24, 0])
    np.testing.assert_array_equal(join_blocks(blocks, (16, 24, 3)), images)


def test_block_holes_are_the_middle_of_every_block():
    holes = np.ones((1, 2, 1, 1, 2, 2), np.float32)
    np.testing.assert_array_equal(join_blocks(pad_to_blocks(holes), (16, 8, 1))[0], build_hole_mask(16, 8))
    assert build_hole_mask(16, 8)[3:5, 3:5].all() and build_hole_mask(16, 8).sum() == 8
