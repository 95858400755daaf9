"""The packages that only sharing needs: named where one is missing, and kept from printing and from reporting their use."""

import contextlib
import importlib.util
import os
from collections.abc import Iterator

from pixmend.errors import UserError

FOR_EXPORT = ("onnx", "onnxruntime", "tf2onnx")
QUIET = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "KAGGLEHUB_VERBOSITY": "error", "TQDM_DISABLE": "1"}


def check_packages_of_export() -> None:
    for name in FOR_EXPORT:
        if importlib.util.find_spec(name) is None:
            raise make_error(name)


@contextlib.contextmanager
def import_quietly() -> Iterator[None]:
    """Import such packages inside: what they print and report is turned off before, and a missing one is a message."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        yield
    except ModuleNotFoundError as error:
        raise make_error(error.name) from None


def make_error(package: str | None) -> UserError:
    return UserError(f"This needs the package {package}: ./set_up.sh sharing (without a checkout: pip install "
                     f"'pixmend[sharing]').")
