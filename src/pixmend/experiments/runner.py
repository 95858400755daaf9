"""Train the run of one trial or of one row of a study, and say how it ended, so that the others go on after a failure."""

import gc
import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from pixmend.errors import Diverged, FlagError, UserError

DONE, DIVERGED, FAILED, REFUSED = "done", "diverged", "failed", "cannot be made"


class Outcome(NamedTuple):
    """How a run ended: its state, the reason of a failure, and what the function returned."""

    state: str
    reason: str = ""
    result: Any = None


def run_guarded(function: Callable[[], Any], passing: tuple[type[BaseException], ...] = ()) -> Outcome:
    """Call a function that trains a run; a failure becomes an outcome, except for errors of the disk and those in `passing`."""
    try:
        return Outcome(DONE, result=function())
    except Diverged as error:
        return Outcome(DIVERGED, str(error))
    except FlagError as error:   # a value that does not suit the images of this competition
        return Outcome(REFUSED, str(error))
    except (OSError, *passing):   # type: ignore[misc]
        raise
    except UserError as error:
        return Outcome(FAILED, str(error))
    except Exception as error:   # out of memory, for example: the next run may succeed
        lines = str(error).strip().splitlines()
        return Outcome(FAILED, f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}")
    finally:
        free_network()


def free_network() -> None:
    """Free the memory of the last network."""
    if keras := sys.modules.get("keras"):
        keras.utils.clear_session()
        gc.collect()


def silence_retracing() -> None:
    """Hide TensorFlow's warning about a second network in one process."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
