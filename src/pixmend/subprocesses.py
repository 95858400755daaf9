"""Child processes, whose output is collected and which end when they are silent for too long; and handlers of signals."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

StopHandler = Callable[[int, Any], Any] | signal.Handlers

# On Linux a child ends with its parent, whose number it gets: a killed parent must not leave an upload that arrives later.
END_WITH_PARENT = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None)
if hasattr(libc, "prctl"):
    libc.prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class FinishedProcess:
    """How a child ended; `code` is None if it was ended because it was silent."""

    code: int | None
    out: str
    err: str


def run_command(command: Sequence[str], *, timeout: float, on_output: Callable[[str], None] | None = None,
                environment: Mapping[str, str] | None = None) -> FinishedProcess:
    """Run a command to its end, or until it prints nothing for `timeout` seconds; `on_output` receives each piece of output."""
    starter = [sys.executable, "-I", "-S", "-c", END_WITH_PARENT, str(os.getpid())]
    process = subprocess.Popen([*starter, *command], start_new_session=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, **(environment or {})})
    assert process.stdout and process.stderr
    code: int | None = None
    # A machine sends SIGTERM before it is taken away; as an exit, it ends the child, too.
    exit_on_sigterm = replace_signal_handlers(lambda *_: sys.exit(128 + signal.SIGTERM), signal.SIGTERM)
    with process.stdout, process.stderr, exit_on_sigterm:
        try:
            out, err, silent = collect_output(process.stdout, process.stderr, timeout, on_output)
            code = None if silent else process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return FinishedProcess(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def collect_output(stdout: IO[bytes], stderr: IO[bytes], timeout: float,
                   on_output: Callable[[str], None] | None) -> tuple[bytearray, bytearray, bool]:
    """Return both outputs, and whether the process was silent for too long."""
    collected: dict[Any, bytearray] = {stdout: bytearray(), stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for pipe in collected:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(timeout)
            if not ready:
                return collected[stdout], collected[stderr], True
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                collected[key.fileobj] += data
                if not data:
                    selector.unregister(key.fileobj)
                elif on_output:
                    on_output(data.decode("utf-8", "replace"))
    return collected[stdout], collected[stderr], False


@contextlib.contextmanager
def replace_signal_handlers(handler: StopHandler, *numbers: signal.Signals) -> Iterator[None]:
    """Handle these signals so within the block; without numbers Ctrl-C and SIGTERM."""
    before = {number: signal.signal(number, handler) for number in numbers or (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
