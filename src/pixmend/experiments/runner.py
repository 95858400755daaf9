"""What sweeps and studies share: refused flags, the settings of a run, and trainings whose failure does not stop the others."""

import dataclasses
import gc
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pixmend import competitions, models
from pixmend.config import SETTINGS, Settings, flag
from pixmend.errors import Diverged, FlagError, UserError
from pixmend.subprocesses import delay_stop_signals

DONE, DIVERGED, FAILED, REFUSED = "done", "diverged", "failed", "cannot be made"


class Outcome(NamedTuple):
    state: str
    reason: str = ""     # of a failure
    result: Any = None   # what the function returned


def refuse_flags(settings: Settings, kind: str, reasons: Mapping[str, str]) -> None:
    """Raise an error if one of these settings is given, with the reason why a study or a sweep cannot have it."""
    for name, why in reasons.items():
        if name in settings.given and getattr(settings, name) != SETTINGS[name].default:
            raise FlagError(f"{flag(name)} is not for a {kind}: {why}.")


def make_run_settings(base: Settings, values: Mapping[str, Any]) -> Settings:
    """Return the settings of a run with these values, named as its own command would name it.

    Another model has defaults of its own, so those of the base's model are undone.
    """
    of_model = () if base.stored else models.default_settings(base.model, base.competition)
    usual = {name: SETTINGS[name].default for name in of_model if name not in base.given}
    given = dataclasses.replace(base, **usual | dict(values), given=base.given | set(values), run="")
    return models.complete_settings(given, competitions.get_default_settings(base))


def run_guarded(function: Callable[[], Any], passing: tuple[type[BaseException], ...] = ()) -> Outcome:
    """Call a function that trains a run; a failure becomes an outcome, except for errors of the disk and those in `passing`."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)   # it warns of a second network in one process
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
        reason = str(error).strip().partition("\n")[0] or "no reason given"
        return Outcome(FAILED, f"{type(error).__name__}: {reason}")
    finally:
        if keras := sys.modules.get("keras"):   # free the memory of the network
            with delay_stop_signals():   # an exception of a handler is lost within the collection
                keras.utils.clear_session()
                gc.collect()
