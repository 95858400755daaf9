"""The loggers by their names in --log, and the packages that they need."""

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

from pixmend.config import Settings
from pixmend.errors import UserError
from pixmend.setting_values import split_log_names
from pixmend.training.loggers.logger import LoggedRun, Logger
from pixmend.training.loggers.mlflow_log import MlflowLog
from pixmend.training.loggers.tensorboard_log import TensorBoardLog
from pixmend.training.loggers.trackio_log import TrackioLog
from pixmend.training.loggers.wandb_log import WandbLog

INSTALL = "./set_up.sh loggers (without a checkout: pip install 'pixmend[loggers]')"


class Library(NamedTuple):
    make: Callable[[LoggedRun], Logger]
    package: str


LIBRARIES = {
    "tensorboard": Library(TensorBoardLog, "tensorboard"),
    "wandb": Library(WandbLog, "wandb"),
    "mlflow": Library(MlflowLog, "mlflow"),
    "trackio": Library(TrackioLog, "trackio"),
}


def check_packages(settings: Settings) -> None:
    """Raise an error if a package is missing that --log needs; only process 0 logs."""
    for name in split_log_names(settings.log) if settings.process == 0 else ():
        library = LIBRARIES[name]
        if importlib.util.find_spec(library.package) is None:
            raise UserError(f"--log {name} needs the package {library.package}: {INSTALL}.")
