"""A network from its settings: precision, seed, model; and the settings a run was made with."""

import dataclasses
from pathlib import Path

import keras
import numpy as np

from pixmend import backend, files, models
from pixmend.config import KNOBS, as_stored, flag, of_the_run
from pixmend.errors import UserError
from pixmend.networks.residual import build_with_start
from pixmend.progress import say
from pixmend.training import checkpoints
from pixmend.training.adversarial import AdversarialModel

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
# What shapes networks, of which each asks for some; and what only a judged one has a use for.
OF_NETWORKS, OF_JUDGED = {"width", "levels", "mask_channel", "encoder", "encoder_weights"}, {"LAMBDA", "disc_lambda"}


class Watched:
    """Settings that keep the names of those which were asked for."""

    def __init__(self, settings):
        self.settings, self.asked = settings, set()

    def __getattr__(self, name):
        self.asked.add(name)
        return getattr(self.settings, name)


def build_network(settings):
    """The network that paints, of these settings; the same settings give the same weights."""
    keras.config.set_dtype_policy(POLICIES[settings.precision])
    keras.utils.set_random_seed(settings.seed)
    return build_with_start(settings.seen_shape, settings)


def build_trainable(settings):
    """What is trained: the painter, alone or beside the network that judges it."""
    watched = Watched(settings)
    model = AdversarialModel(build_network(watched), watched) if settings.adversarial else build_network(watched)
    tell_what_changes_nothing(settings, watched.asked)
    return model


def tell_what_changes_nothing(settings, asked):
    """Flags that were given for a network that never asks for them."""
    for name in sorted(settings.given & OF_NETWORKS - asked):
        say(f"train: {flag(name)} changes nothing, for --model {settings.model} never asks for it.")
    for name in sorted(settings.given & OF_JUDGED if not settings.adversarial else ()):
        say(f"train: {flag(name)} changes nothing, for --model {settings.model} is not judged; --adversarial has it judged.")


def get_generator(model):
    return model.generator if isinstance(model, AdversarialModel) else model


def resolve_precision(settings):
    """`auto` becomes bfloat16 where the device computes in it, float32 elsewhere."""
    if settings.precision != "auto":
        return settings
    if any(not device.startswith("cpu") for device in keras.distribution.list_devices()):
        fast = backend.computes_in_bfloat16()
    else:
        fast = keras.backend.backend() == "tensorflow" and _cpu_has_bfloat16()   # XLA does not use it on a CPU
    return dataclasses.replace(settings, precision="bfloat16" if fast else "float32")


def _cpu_has_bfloat16():
    try:
        return "avx512_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def load_first_weights(model, path, settings):
    """Another run's weights as the first ones of a painter, whose network must be the same."""
    variables = get_generator(model).variables
    try:
        weights, _ = checkpoints.read_checkpoint(path, {"model": [tuple(v.shape) for v in variables]})
    except UserError:
        raise UserError(f"--init-from {settings.init_from} wants a run of the same network, of the same --model, --width and so on, and "
                        f"{path} does not fit.") from None
    for variable, value in zip(variables, weights["model"], strict=True):
        variable.assign(value)


def copy_variables(model):
    """All that training changes in a compiled model, as it is now."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in _changing(model)]


def assign_variables(model, values):
    for variable, value in zip(_changing(model), values, strict=True):
        variable.assign(value)


def _changing(model):
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def save_settings(folder, settings):
    files.write_json(folder / "settings.json", of_the_run(settings) | {"competition": settings.competition})


def load_settings(settings):
    """The settings that made a run's weights, with this call's own for the rest."""
    path = settings.trained_folder / "settings.json"
    stored = files.read_json(path)
    if stored is None:
        raise UserError(f"{path} is missing; run `python -m pixmend train` with the same flags first.")
    foreign = [name for name, value in stored.items() if name not in KNOBS or type(value) is not type(KNOBS[name].default)]
    if foreign or not models.is_model(stored.get("model", "")):
        raise UserError(f"{path} holds settings that this version does not know ({', '.join(foreign) or 'model'}); "
                        f"train anew with --force or use another --run.")
    return dataclasses.replace(settings, **as_stored(stored) | {"encoder_weights": "none"})  # the run's own take their place
