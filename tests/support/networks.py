"""Small networks and example batches for tests."""

import sys
from types import ModuleType

import keras
import numpy as np

from pixmend import models
from pixmend.config import Settings
from pixmend.data.damage import count_boxes
from pixmend.networks.registry import NETWORKS, NetworkSpec, Output
from pixmend.networks.residual import build_with_start
from pixmend.run_identity import apply_defaults
from pixmend.training import trainer
from pixmend.training.adversarial import AdversarialModel


def example_batch(shape, images=2):
    """Return damaged images with two black boxes, their masks (batch x height x width) and the original images."""
    rng = np.random.default_rng(1)
    originals = rng.random((images, *shape)).astype(np.float32)
    masks = np.stack([count_boxes([(5, 9, 19, 19), (20, 25, 19, 19)], shape) > 0] * images)
    return np.where(masks[..., None], 0, originals).astype(np.float32), masks, originals


def as_inputs(damaged, masks):
    """Return what a network takes."""
    return [damaged, masks[..., None].astype(np.float32)]


def build_small(name, shape, **changes):
    """Return a narrow network, with its discriminator if it is adversarial, and its settings."""
    chosen = {"width": 4, "encoder": "MobileNetV3Small", "encoder_weights": "none"} | changes
    settings = Settings(size=shape[0], model=name, **{"precision": "float32"} | chosen, given=frozenset(chosen))
    settings = apply_defaults(settings, models.default_settings(name))
    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[settings.precision])
    keras.utils.set_random_seed(1)
    model = build_with_start(shape, settings)
    return (AdversarialModel(model, settings) if settings.adversarial else model), settings


def register_layer(monkeypatch, name, layer):
    """Register a network for this test: a layer of the test's own, and a convolution."""
    def build(input_shape, settings):
        image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
        return keras.Model([image, mask], keras.layers.Conv2D(3, 1)(layer(image)))

    module = ModuleType(f"network_{name}")
    module.build = build
    monkeypatch.setitem(sys.modules, module.__name__, module)
    spec = NetworkSpec(build=f"{module.__name__}:build", summary="A network of a test.", output=Output.LINEAR)
    monkeypatch.setitem(NETWORKS, name, spec)


def compile_small(name, shape=(64, 64, 3), **changes):
    """Return a narrow network, compiled for training."""
    model, settings = build_small(name, shape, **changes)
    trainer.compile_model(model, settings)
    return model


def count_parameters(variables):
    """Return the number of values, without those of random number generators."""
    return sum(int(np.prod(v.shape)) for v in variables if "seed" not in v.path)
