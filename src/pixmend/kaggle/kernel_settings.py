"""Which settings a session at Kaggle is given, and whether it may continue the training of the session before."""

import re
from typing import Any

from pixmend import competitions, models
from pixmend.config import AUTO, SETTINGS, WEIGHT_SETTINGS, Settings, flag, usual_learning_rate
from pixmend.errors import FlagError
from pixmend.training.run import BUDGET

SENT_GROUPS = ("common", "download", "augment", "network", "training", "diffusion", "prediction", "submission")
NOT_SENT = {"competition", "run", "home", "force", "quiet"}


def check_settings(settings: Settings) -> None:
    """Refuse what a session at Kaggle cannot do."""
    if not models.is_trainable(settings.model):
        raise FlagError(f"--model {settings.model} is not trained, so it needs no GPU at Kaggle. Run it on this machine: "
                        f"./run_pipeline.sh --model {settings.model}")
    if settings.init_from:
        raise FlagError("--init-from does not work with kernels: a session at Kaggle has no other run's weights.")
    if settings.unknown_masks:
        raise FlagError("--unknown-masks does not work with kernels: a session at Kaggle has no masks of another run, and a run "
                        "that finds masks has nothing to submit.")
    if settings.folds > 1:
        raise FlagError("--folds does not work with kernels: a session continues one training. Leave it out, or train the folds "
                        "on this machine.")
    if settings.photos:
        raise FlagError("--photos does not work with kernels: a session at Kaggle does not have this folder.")
    if settings.wheels and not re.fullmatch(r"[\w-]+/[\w-]+", settings.wheels):
        raise FlagError(f"--wheels must be the owner/name of a dataset at Kaggle; got {settings.wheels}.")


def select_flags(settings: Settings) -> dict[str, Any]:
    """Return the settings that were typed and that the stages of a session read; its code has the same defaults."""
    names = [name for name in settings.given - NOT_SENT if SETTINGS[name].group in SENT_GROUPS]
    return {name: getattr(settings, name) for name in sorted(names)}


def format_flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [flag(name) if value else flag(name).replace("--", "--no-", 1)]
    return [flag(name), str(value)]


def select_stored(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that training stores as they were typed, not as a value that it measured (`auto`)."""
    measured = {name for name, value in flags.items() if value == AUTO or (SETTINGS[name].auto and value == 0)}
    return {name: value for name, value in _select_training(flags).items() if name not in measured}


def find_changes(settings: Settings, earlier: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return for each setting of training that differs from an earlier session's flags: its value then, and now."""
    defaults = ({name: spec.default for name, spec in SETTINGS.items()} | competitions.get_default_settings(settings)
                | models.default_settings(settings.model) | usual_learning_rate(settings))
    then, now = defaults | earlier, defaults | select_flags(settings)
    return {name: (then[name], now[name]) for name in _select_training(now) if then[name] != now[name]}


def forbid_changes(settings: Settings, changes: dict[str, tuple[Any, Any]]) -> str:
    """Return those changes as text under which a training cannot be continued; an empty text where it can."""
    may_grow = BUDGET if settings.schedule == "constant" else set()
    return ", ".join(f"{flag(name)} {then} (now {now})" for name, (then, now) in sorted(changes.items()) if name not in may_grow)


def _select_training(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if name in WEIGHT_SETTINGS}
