"""Run the stages for tests: in this process, or as a real process where the process is the point."""

import contextlib
import gc
import io
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from pixmend import progress
from pixmend.__main__ import main
from pixmend.subprocesses import STOP_SIGNALS

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--model", "pix2pix_published", "--start", "harmonic", "--predict-mode", "inference", "--size", "32", "--width", "4",
         "--batch-size", "2", "--evaluate-every", "4", "--evaluation-images", "4")
JAX = {"KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(__file__).parent / "no_tensorflow")}   # without TensorFlow


@dataclass(frozen=True)
class Result:
    """How a stage ended, with the names that subprocess.CompletedProcess has."""

    returncode: int
    stdout: str
    stderr: str


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would change a run."""
    return {k: v for k, v in os.environ.items() if k != "LAMBDA" and not k.startswith("KAGGLE")}


def command(name: str, home: Path, *flags: object) -> list[str]:
    return [sys.executable, "-m", "pixmend", name, "--home", str(home), *map(str, flags)]


def stage(name: str, home: Path, *flags: object, environment: dict[str, str] | None = None) -> Result:
    """Run `pixmend NAME` in this process, with all of this environment or with what is left of this process's own."""
    out, err = io.StringIO(), io.StringIO()
    with _restored_process(environment), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([name, "--home", str(home), *map(str, flags)])
    return Result(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _restored_process(environment: dict[str, str] | None):
    """Give back signal handlers, environment, folder and Keras's global state as they were."""
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        with mock.patch.dict(os.environ, environment or clean_environment(), clear=True), contextlib.chdir(ROOT):
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        progress.quiet = False
        if keras := sys.modules.get("keras"):
            keras.utils.clear_session()
            keras.config.set_dtype_policy("float32")
            gc.collect()
            gc.freeze()   # later collections do not search what is loaded now: that took half a second of each stage


def stage_process(name: str, home: Path, *flags: object, env: dict[str, str] | None = None, text: bool = True,
                  **options) -> subprocess.CompletedProcess:
    """Run `python -m pixmend NAME` as a process and wait for its end."""
    return subprocess.run(command(name, home, *flags), cwd=ROOT, capture_output=True, text=text,
                          env=clean_environment() | (env or {}), **options)


def start_stage(name: str, home: Path, *flags: object, env: dict[str, str] | None = None) -> subprocess.Popen:
    return subprocess.Popen(command(name, home, *flags), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=clean_environment() | (env or {}))


def done(result) -> str:
    """Return the output of a stage that must have ended well."""
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
