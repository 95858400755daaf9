"""What a run is: its settings with every default applied, those of them that decide its weights, and its name."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pixmend.config import AUTO, PATHS, SETTINGS, TRAIN_GROUPS, Settings, TrainingSettings, flag
from pixmend.setting_values import format_auto

# What decides the weights of a run: a run is not continued with other values of these.
WITHOUT_EFFECT_ON_WEIGHTS = {"from_folder", "materialize", "save_minutes", "broken_images", "snapshots", "steps_per_call", "log"}
WEIGHT_SETTINGS = [name for name, spec in SETTINGS.items() if name not in WITHOUT_EFFECT_ON_WEIGHTS and
                   (spec.group in ("download", "augment", "diffusion", *TRAIN_GROUPS) or name == "seed")]
BUDGET = {"steps", "minutes", "early_stopping"}   # the weight settings that say when a training ends
ADDED_LATER = ("extra_pictures", "freeze_encoder", "early_stopping")   # the weight settings that runs of earlier versions lack
ADVERSARIAL_MODEL = "pix2pix"   # the network whose loss LAMBDA weighs
NOT_IN_A_NAME = {"model", "damage"}
USUAL_LEARNING_RATES = {"sgd": 1e-2, "rmsprop": 1e-3, "adagrad": 1e-2}   # as in Keras and PyTorch


def weight_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that decide the weights of a run."""
    return {name: getattr(settings, name) for name in WEIGHT_SETTINGS}


def weight_identity(settings: Settings) -> dict[str, Any]:
    """Return the same to compare with what earlier versions stored: without later settings that do what those versions did."""
    return {name: value for name, value in weight_settings(settings).items()
            if name not in ADDED_LATER or value != SETTINGS[name].earlier}


def apply_defaults(settings: Settings, defaults: Mapping[str, Any]) -> Settings:
    """Return the settings with other defaults: those of a competition, a model or an optimizer. Given flags stay."""
    if settings.stored:
        return settings
    return dataclasses.replace(settings, **{name: value for name, value in defaults.items() if name not in settings.given})


def usual_learning_rate(settings: TrainingSettings) -> dict[str, float]:
    """Return the learning rate of an optimizer other than Adam, whose learning rate is the model's."""
    return {"learning_rate": USUAL_LEARNING_RATES[settings.optimizer]} if settings.optimizer in USUAL_LEARNING_RATES else {}


def complete_settings(settings: Settings, competition_defaults: Mapping[str, Any],
                      model_defaults: Callable[[str], Mapping[str, Any]] = lambda model: {}) -> Settings:
    """Return the settings with the competition's defaults, and with the run's name if it has none."""
    if "LAMBDA" in settings.given | {name for name, _ in settings.swept}:
        competition_defaults = {**competition_defaults, "model": ADVERSARIAL_MODEL}
    of_model = model_defaults(apply_defaults(settings, competition_defaults).model)
    defaults = {**competition_defaults, **{name: of_model[name] for name in of_model if SETTINGS[name].group not in TRAIN_GROUPS}}
    settings = apply_defaults(settings, defaults)
    settings = dataclasses.replace(settings, damage="") if settings.damage == settings.competition else settings
    run = settings.run or make_run_name(settings, defaults, model_defaults(settings.model))
    return dataclasses.replace(settings, run=run)


def make_run_name(settings: Settings, defaults: Mapping[str, Any], model_defaults: Mapping[str, Any]) -> str:
    """Return the model and every setting that differs from the defaults, or that was given against the model's default."""
    usual = {name: spec.default for name, spec in SETTINGS.items()} | dict(defaults)
    overridden = {name: value for name, value in {**model_defaults, **usual_learning_rate(settings)}.items()
                  if name in settings.given}
    changed = [name for name, value in weight_settings(settings).items()
               if name not in NOT_IN_A_NAME and (value != usual[name] or value != overridden.get(name, value))]
    return "-".join([settings.model, *(name_part(name, getattr(settings, name)) for name in changed)])


def name_part(name: str, value: Any) -> str:
    """Return a setting and its value as a part of a run's name."""
    word = flag(name).removeprefix("--")
    if isinstance(value, bool):
        return word if value else f"no-{word}"
    if isinstance(value, str):
        return "-".join([word, *re.findall(r"[\w.+=]+", Path(value).name if name in PATHS else value)])
    if format_auto(name, value) == AUTO:
        return f"{word}-{AUTO}"
    return f"{word}{value}" if isinstance(value, int) else f"{word}{value:g}"
