"""Find out whether something that was sent to Kaggle has arrived, when Kaggle's answer was lost.

Kaggle can finish a request after the client is gone. So before anything is sent, the time until which it may still appear is
written to disk; a later process polls Kaggle until then before it may send the same thing again. Times are those of time.time().
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from pixmend import files
from pixmend.errors import UserError
from pixmend.kaggle.client import KaggleError, iterate_delays
from pixmend.progress import print_message

SETTLING_SECONDS = 300  # so long after the last contact a request may still have an effect at Kaggle
POLL_DELAYS: tuple[float, ...] = (2, 5, 10, 20, 30)  # seconds, the last one repeated
SECOND_POLL = 2.0  # seconds after the first poll for something whose answer was just lost

Found = TypeVar("Found")


@dataclass(frozen=True)
class Attempt:
    """What is written to disk before something is sent: when its fate is settled, and the ref of an earlier one like it."""

    settled_at: float
    earlier: str | None = None


def read_attempt(path: Path) -> Attempt | None:
    """Return the attempt that a file describes, or None without a file; of a damaged one the time of the file counts."""
    try:
        content = files.read_json(path)
        return None if content is None else Attempt(float(content["settled_at"]), content["earlier"])
    except (UserError, KeyError, TypeError, ValueError):
        return Attempt(path.stat().st_mtime + SETTLING_SECONDS)


def write_attempt(path: Path, earlier: str | None, timeout: float = 0) -> None:
    """Write that something is sent now, or that its fate is not known yet."""
    files.write_json(path, asdict(Attempt(get_settling_time(timeout), earlier)))


def get_settling_time(timeout: float = 0) -> float:
    """Return when a request that is sent now, and may wait `timeout` seconds for its answer, has certainly arrived or failed."""
    return time.time() + timeout + SETTLING_SECONDS


def poll_until_settled(find: Callable[[], Found | None], settled_at: float, timeout: float = 0) -> Found | None:
    """Call `find` until it returns something or `settled_at` has passed; then it is certain that nothing arrived.

    What was sent before now is settled as soon as what is sent now: a later time is of a clock that was wrong.
    """
    settled_at = min(settled_at, get_settling_time(timeout))
    seconds = settled_at - time.time()
    if seconds > 0:
        clock = time.strftime("%H:%M", time.localtime(settled_at))
        print_message("An earlier attempt to send this may still arrive at Kaggle. Unless it is found there, nothing is sent "
                      f"before {clock}.")
    for delay in iterate_delays(POLL_DELAYS, time.monotonic() + seconds):
        time.sleep(delay)
        if (found := find()) is not None:
            return found
    return None


def find_after_failure(find: Callable[[], Found | None], failure: KaggleError, what: str, advice: str) -> Found | None:
    """Look for `what` was just sent without a confirmation; None where it certainly did not arrive, an error if it still may."""
    print_message("Kaggle did not confirm it. Looking for it there.")
    found = None
    with contextlib.suppress(KaggleError):
        found = find()
        if found is None and not failure.nothing_sent:
            time.sleep(SECOND_POLL)
            found = find()
    if found is None and not failure.nothing_sent:
        raise UserError(f"{failure} It is not known yet whether Kaggle received {what}. {advice}")
    return found
