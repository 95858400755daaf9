"""The front door: `python -m pixmend STAGE [flags]` runs a stage and turns a user's mistake into a sentence."""

import errno
import os
import signal
import sys

from pixmend.errors import UserError

INTERRUPTED = 128 + signal.SIGINT


def sentence(error):
    """An operating system's refusal, as its user should read it."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}the disk is full; free some space and run the same command again, nothing was lost."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where}may not be written or read here; mend its rights or choose another --home."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{where}a file stands where a folder is wanted; move it away or choose another --home."
    if error.errno == errno.ENAMETOOLONG:
        return f"{where}this name is too long for a file here; give a --run with a short one, or a shorter --home."
    return None


def front_door(arguments=None):
    """Run a stage; what a person can mend is one sentence, and SIGTERM is as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from pixmend import cli  # here, so that a Ctrl-C while libraries are read is answered like any other

        return cli.main(sys.argv[1:] if arguments is None else arguments) or 0
    except UserError as error:
        print(_red(str(error)), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if (text := sentence(error)) is None:
            raise
        print(_red(text), file=sys.stderr)
        return 1


def _red(text):
    return f"\033[31m{text}\033[0m" if sys.stderr.isatty() else text


if __name__ == "__main__":
    sys.exit(front_door())
