"""Command-line entry point: runs a command and turns errors into messages and exit codes."""

import errno
import io
import os
import signal
import sys
from collections.abc import Sequence

from pixmend import progress
from pixmend.errors import FULL_DISK, Preempted, UserError
from pixmend.subprocesses import STOP_SIGNALS, WARNINGS, raise_stop

OS_ERRORS = {   # errors of the operating system that a user can mend
    **dict.fromkeys(FULL_DISK, "the disk is full. Free some space and run the same command again; nothing was lost."),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS),
                    "this file or folder may not be read or written. Change its permissions, or choose another --home."),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST),
                    "there is a file where a folder is needed. Move it away, or choose another --home."),
    errno.EISDIR: "there is a folder where a file is needed. Move it away and run the same command again.",
    errno.ENAMETOOLONG: "this name is too long for a file. Choose a shorter --run or --home.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. A user's mistake is one message; a warning by a signal has a code of its own."""
    for number in WARNINGS:
        signal.signal(number, raise_stop)
    accept_all_letters()
    try:
        from pixmend import cli  # imported here so that Ctrl-C during the imports is handled, too

        return cli.main(sys.argv[1:] if arguments is None else arguments) or 0
    except UserError as error:
        print_error(str(error))
        return error.exit_code
    except Preempted as stop:
        for number in STOP_SIGNALS:   # a scheduler may send several
            signal.signal(number, signal.SIG_IGN)
        if not progress.quiet:
            print(f"\nStopped: this machine is about to be taken away. {say_how_to_continue(stop)}", file=sys.stderr)
        return Preempted.exit_code
    except KeyboardInterrupt as stop:
        print(f"\nStopped. {say_how_to_continue(stop)}", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pixmend"):
            raise
        print_error(f"The package {error.name} is not installed for {sys.executable}. "
                    f"Run ./set_up.sh, then `source .venv/bin/activate`.")
        return 1
    except OSError as error:
        if error.errno not in OS_ERRORS:
            raise
        print_error((f"{error.filename}: " if error.filename else "") + OS_ERRORS[error.errno])
        return 1


def accept_all_letters() -> None:
    """Print the bytes of a file's name that are no UTF-8 as they are, and letters that another encoding lacks as escapes."""
    if sys.stdout is None:   # it was closed
        sys.stdout = open(os.devnull, "w", encoding="utf-8")   # noqa: SIM115 (to the end of the process)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="surrogateescape" if sys.stdout.encoding.lower() == "utf-8" else "backslashreplace")


def say_how_to_continue(stop: KeyboardInterrupt) -> str:
    """Return what the interrupted command has noted, or else that the same command continues."""
    return " ".join(getattr(stop, "__notes__", ["The same command (without --force) continues from here."]))


def print_error(message: str) -> None:
    print(f"\033[31m{message}\033[0m" if sys.stderr.isatty() else message, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
