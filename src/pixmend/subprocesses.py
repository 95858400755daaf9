"""Child processes, whose output is collected and which end when they are silent for too long; and handlers of signals."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pixmend.errors import Preempted

WARNINGS = (signal.SIGUSR1, signal.SIGTERM)   # what schedulers send some time before they take a machine away
STOP_SIGNALS = (signal.SIGINT, *WARNINGS)

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


def end_with_parent(command: Sequence[str]) -> list[str]:
    """Return a command that runs this one, which on Linux ends when this process does."""
    return [sys.executable, "-I", "-S", "-c", END_WITH_PARENT, str(os.getpid()), *command]


def run_command(command: Sequence[str], *, timeout: float, on_output: Callable[[str], None] | None = None,
                environment: Mapping[str, str] | None = None, only_stdout: bool = False) -> FinishedProcess:
    """Run a command to its end, or until it prints nothing for `timeout` seconds; `on_output` receives each piece of output.

    With `only_stdout`, it does not receive what the command prints on stderr.
    """
    process = subprocess.Popen(end_with_parent(command), start_new_session=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, **(environment or {})})
    assert process.stdout and process.stderr
    collected: dict[Any, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    code: int | None = None
    end_on_warnings = replace_signal_handlers(raise_stop, *WARNINGS)   # the child, too, in programs without such handlers
    with process.stdout, process.stderr, end_on_warnings:
        try:
            if collect_output(collected, timeout, on_output, [process.stdout] if only_stdout else list(collected)):
                code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return FinishedProcess(code, *(output.decode("utf-8", "replace") for output in collected.values()))


def collect_output(collected: dict[Any, bytearray], timeout: float, on_output: Callable[[str], None] | None,
                   followed: Sequence[Any]) -> bool:
    """Add to each pipe's output until both are closed; return False if they were silent for too long."""
    with selectors.DefaultSelector() as selector:
        for pipe in collected:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(timeout)
            if not ready:
                return False
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                collected[key.fileobj] += data
                if not data:
                    selector.unregister(key.fileobj)
                elif on_output and key.fileobj in followed:
                    on_output(data.decode("utf-8", "replace"))
    return True


@contextlib.contextmanager
def replace_signal_handlers(handler: Callable[[int, Any], Any] | signal.Handlers, *numbers: signal.Signals) -> Iterator[None]:
    """Handle these signals so within the block; without numbers Ctrl-C and the warnings that a machine is taken away."""
    before = {number: signal.signal(number, handler) for number in numbers or STOP_SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextlib.contextmanager
def delay_stop_signals() -> Iterator[None]:
    """Answer Ctrl-C and warnings only after the block."""
    received: list[int] = []
    with replace_signal_handlers(lambda number, _: received.append(number)):
        yield
    if received:
        raise_stop(received[0])


def raise_stop(number: int, _: Any = None) -> NoReturn:
    """End what is being done: with Preempted after a warning, with KeyboardInterrupt after Ctrl-C."""
    raise Preempted if number in WARNINGS else KeyboardInterrupt
