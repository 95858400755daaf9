"""The one place where Keras is started: which backend, and without the backend's chatter on a user's screen."""

import contextlib
import importlib
import os
import sys
import tempfile

from src.errors import UserError


def start():
    """Import Keras on the backend of KERAS_BACKEND (TensorFlow without it); call it before importing a network."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # With more, oneDNN splits its sums by whichever thread an operation happens to run on: a loaded machine then ends
    # with other bits than an idle one, and a resumed run with other bits than an undisturbed one.
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    name = os.environ.get("KERAS_BACKEND", "tensorflow")
    try:
        with _held_back_stderr():
            importlib.import_module("keras").distribution.list_devices()
    except ModuleNotFoundError as error:
        raise UserError(f"The backend {name} is not installed ({error}); `pip install {name}` in .venv, or choose "
                        f"another one with KERAS_BACKEND.") from None


@contextlib.contextmanager
def _held_back_stderr():
    """What C++ libraries write to the process's stderr is shown only where something fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
