"""Small networks and example batches for tests."""

import keras
import numpy as np

from pixmend import models
from pixmend.config import Settings, with_defaults
from pixmend.data.damage import box_counts
from pixmend.networks.residual import build_with_start
from pixmend.training.adversarial import AdversarialModel


def example(shape, pictures=2):
    rng = np.random.default_rng(1)
    whole = rng.random((pictures, *shape)).astype(np.float32)
    mask = np.stack([box_counts([(5, 9, 19, 19), (20, 25, 19, 19)], shape) > 0] * pictures)
    return np.where(mask[..., None], 0, whole).astype(np.float32), mask, whole


def network(name, shape, **changes):
    chosen = {"width": 4, "encoder": "MobileNetV3Small", "encoder_weights": "none"} | changes
    settings = Settings(size=shape[0], model=name, precision="float32", given=frozenset(chosen), **chosen)
    settings = with_defaults(settings, models.default_settings(name))
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(1)
    model = build_with_start(shape, settings)
    return (AdversarialModel(model, settings) if settings.adversarial else model), settings


def size(variables):
    return sum(int(np.prod(v.shape)) for v in variables if "seed" not in v.path)
