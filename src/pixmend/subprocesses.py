"""A command run as a child process: its output is caught, and its whole group ended once it shows no sign of life."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from dataclasses import dataclass

# A killed parent must not leave an upload behind that arrives later: on Linux the child dies with it.
DIES_WITH_US = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None)
if hasattr(libc, "prctl"):
    libc.prctl(1, signal.SIGKILL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class FinishedProcess:
    """How a child ended; `code` is None where it was stopped for its silence."""

    code: int | None
    out: str
    err: str


def run_command(command, *, patience, heard=None, environment=None):
    """Run to the end, or until nothing is heard for `patience` seconds; `heard` is given each piece of output."""
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", DIES_WITH_US, *command], start_new_session=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, **(environment or {})})
    with process.stdout, process.stderr, _terminable():
        try:
            out, err, silent = _listen(process, patience, heard)
            code = None if silent else process.wait(patience)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
    return FinishedProcess(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def _listen(process, patience, heard):
    caught = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for pipe in caught:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(patience)
            if not ready:
                return *caught.values(), True
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                caught[key.fileobj] += data
                if not data:
                    selector.unregister(key.fileobj)
                elif heard:
                    heard(data.decode("utf-8", "replace"))
    return *caught.values(), False


@contextlib.contextmanager
def _terminable():
    """A machine that is taken away asks first: end the child as with Ctrl-C."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(process):
    """End the whole group where its first process has not ended by itself."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
