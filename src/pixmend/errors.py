"""Errors that a user can mend: shown as one message, without a traceback."""

import contextlib
import difflib
import errno
from collections.abc import Iterable, Iterator, Mapping

# The next step after a damaged file of the competition.
DOWNLOAD_AGAIN = "download it again with `pixmend download --force` and the same --competition, --size and --photos"
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)   # of the operating system


class UserError(Exception):
    """A mistake or a broken file; the message names the file, the reason and the next step."""

    exit_code = 1


class FlagError(UserError):
    """A flag that does not exist, or a value that it may not have."""

    exit_code = 2


class Diverged(UserError):
    """A training whose loss or holdout RMSE exploded because of its settings; other settings may do better."""


class Preempted(KeyboardInterrupt):
    """A warning, SIGUSR1 or SIGTERM, that this machine is about to be taken away; the same command continues elsewhere."""

    exit_code = 85   # which HTCondor gives to jobs that are to be continued, and no command uses otherwise


def suggest(word: str, known: Iterable[object]) -> str:
    """Return the question whether the nearest known word was meant, for the middle of a message; empty if none is near."""
    near = difflib.get_close_matches(word, map(str, known), 1)
    return f" Did you mean {near[0]}?" if near else ""


@contextlib.contextmanager
def replace_in_messages(replacements: Mapping[str, str]) -> Iterator[None]:
    """Replace texts in the messages of errors that are raised inside."""
    try:
        yield
    except UserError as error:
        message = str(error)
        for text, replacement in replacements.items():
            message = message.replace(text, replacement)
        raise UserError(message) from None
