"""Build a network from settings: precision, seed and weights; read and set all that training changes in it."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pixmend import backend, processor
from pixmend.config import Settings, flag
from pixmend.errors import UserError
from pixmend.networks import photos_fill
from pixmend.networks.registry import get_network
from pixmend.networks.residual import build_with_start
from pixmend.progress import print_message
from pixmend.training import checkpoints
from pixmend.training.adversarial import AdversarialModel

# Each is read by some networks only.
NETWORK_SETTINGS = {"width", "levels", "work_size", "mask_channel", "encoder", "encoder_weights", "freeze_encoder"}
ADVERSARIAL_SETTINGS = {"LAMBDA", "disc_lambda"}
MOMENTS = {"adam": {"beta_1", "beta_2"}, "sgd": {"beta_1"}}   # what optimizers read of these two


def build_network(settings: Settings) -> keras.Model:
    """Return the network of these settings; equal settings give equal weights."""
    keras.config.set_dtype_policy("mixed_bfloat16" if settings.precision == "bfloat16" else settings.precision)
    keras.utils.set_random_seed(settings.seed)
    return build_with_start(settings.input_shape, settings)


def build_trainable(settings: Settings) -> keras.Model:
    """Return what is trained: the network, alone or with its discriminator."""
    report_unused_flags(settings)
    network = build_network(settings)
    return AdversarialModel(network, settings) if settings.adversarial else network


def report_unused_flags(settings: Settings) -> None:
    reads = set(get_network(settings.model).reads) | ({"width"} if settings.adversarial else set())
    reads |= {"work_size"} if settings.window else set()
    for name in sorted(settings.given & NETWORK_SETTINGS - reads):
        print_message(f"train: {flag(name)} has no effect: --model {settings.model} does not use it.")
    for name in sorted(settings.given & ADVERSARIAL_SETTINGS if not settings.adversarial else ()):
        print_message(f"train: {flag(name)} has no effect: --model {settings.model} is trained without an adversarial loss "
                      f"(--adversarial).")
    for name in sorted(settings.given & {"beta_1", "beta_2"} - MOMENTS.get(settings.optimizer, set())):
        print_message(f"train: {flag(name)} has no effect: --optimizer {settings.optimizer} does not use it.")


def get_generator(model: keras.Model) -> keras.Model:
    """Return the network that predicts: of an adversarial model its generator."""
    return model.generator if isinstance(model, AdversarialModel) else model


def resolve_precision(settings: Settings) -> Settings:
    """Replace `auto` by bfloat16 where the device computes in it, else by float32."""
    if settings.precision != "auto":
        return settings
    if backend.is_on_cpu():   # XLA does not use a CPU's bfloat16 arithmetic
        has_bfloat16 = backend.is_tensorflow() and processor.supports("avx512_bf16")
    else:
        has_bfloat16 = backend.supports_bfloat16()
    return dataclasses.replace(settings, precision="bfloat16" if has_bfloat16 else "float32")


def load_weights(network: keras.Model, path: Path) -> dict[str, Any]:
    """Load the weights of a network from a checkpoint; return the checkpoint's metadata."""
    arrays, metadata = checkpoints.read_checkpoint(path, checkpoints.get_shapes({"model": network.variables}))
    for variable, value in zip(network.variables, arrays["model"], strict=True):
        variable.assign(value)
    return metadata


def load_first_weights(model: keras.Model, path: Path, settings: Settings) -> None:
    """Load another run's weights to begin with, or those that come with pixmend."""
    for variable, value in zip(get_generator(model).variables, read_first_weights(model, path, settings), strict=True):
        variable.assign(value)


def read_first_weights(model: keras.Model, path: Path, settings: Settings) -> list[np.ndarray]:
    """Return these weights; raise a UserError if they are of another network, or damaged."""
    shapes = checkpoints.get_shapes({"model": get_generator(model).variables})
    with contextlib.suppress(checkpoints.OtherShapes):
        if settings.init_from != photos_fill.NAME:
            return checkpoints.read_checkpoint(path, shapes)[0]["model"]
        arrays = photos_fill.read_weights()
        if checkpoints.get_shapes({"model": arrays}) == shapes:
            return arrays
    raise UserError(f"{flag('init_from')} {settings.init_from} needs a run of the same network (the same --model, --width and so "
                    f"on), and {path} does not fit.")


def get_variables(model: keras.Model) -> dict[str, list[keras.Variable]]:
    """Return all that training changes in a compiled model."""
    return {"model": model.variables, "optimizer": model.optimizer.variables, "metrics": model.metrics_variables}


def read_variables(model: keras.Model) -> checkpoints.Groups:
    """Return the values of these variables; they may share memory with them until the next step."""
    return {group: [np.asarray(variable) for variable in variables] for group, variables in get_variables(model).items()}


def assign_variables(model: keras.Model, values: checkpoints.Groups) -> None:
    for group, variables in get_variables(model).items():
        for variable, value in zip(variables, values[group], strict=True):
            variable.assign(value)
