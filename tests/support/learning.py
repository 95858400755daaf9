"""A compiled small network and one batch for tests of training."""

import dataclasses

import numpy as np

from pixmend import models
from pixmend.config import Settings, with_defaults
from pixmend.training import setup, trainer


def network(name, **changes):
    settings = dataclasses.replace(Settings(size=64, model=name, width=8, precision="float32"), **changes)
    settings = with_defaults(settings, models.default_settings(name) | changes)
    model = setup.build_trainable(settings)
    trainer.compile_model(model, settings)
    return model


def one_batch():
    rng = np.random.default_rng(1)
    mask = np.zeros((2, 64, 64, 1), np.float32)
    mask[:, 20:40, 10:30] = 1
    return [rng.random((2, 64, 64, 3)).astype(np.float32), mask], rng.random((2, 64, 64, 3)).astype(np.float32)
