"""Every file that the stages keep, damaged in every way that its type allows: a message that names it, or the right result."""

import contextlib
import hashlib
import random
import shutil
import signal
import traceback

import pytest
from support.damaged_files import list_damage
from support.stages import SMALL, done, stage

RUN = ("--run", "a", "--steps", "4")
ALL = ("train", "predict", "serialize", "score", "report")
CASES_PER_FILE = 40   # drawn from those of a file
SECONDS = 120
# Which stages read a file, with flags that make them read it.
AGAIN, LONGER = ("--force",), ("--steps", "6")
READERS = {
    "competition/demo/archive.json": [("download", ()), ("augment", ())],
    "competition/demo/*.zip": [("download", ()), ("augment", AGAIN)],
    "competition/demo/files/sample_submission.csv": [("serialize", AGAIN), ("augment", AGAIN)],
    "competition/demo/solution.csv": [("score", AGAIN)],
    "augment/demo/index.json": [("augment", ()), ("predict", AGAIN)],
    "augment/demo/listed.json": [("augment", AGAIN)],
    "augment/demo/pictures.json": [("augment", ()), ("predict", AGAIN)],
    "augment/demo/index.csv": [("predict", AGAIN)],
    "augment/demo/*.npy": [("predict", AGAIN), ("score", AGAIN)],
    "checkpoints/demo/a/run.toml": [("train", ()), ("predict", ()), ("score", ())],
    "checkpoints/demo/a/state-*.npz": [("train", LONGER)],
    "checkpoints/demo/a/history.csv": [("train", LONGER), ("report", ())],
    "checkpoints/demo/a/best.npz": [("predict", AGAIN)],
    "checkpoints/demo/a/*.npz": [("serialize", AGAIN), ("score", AGAIN), ("report", ())],
    "checkpoints/demo/a/*.json": [("predict", ()), ("serialize", ()), ("score", ()), ("report", ())],
    "submissions/demo/*.csv": [("score", AGAIN), ("submit", ()), ("report", ())],
}
DECIDES = ("run.toml", "history.csv", "solution.csv")   # whose values may lead to another result


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    home = tmp_path_factory.mktemp("base")
    for name in ("download", "augment"):
        done(stage(name, home, *SMALL))
    for name in ALL:
        done(stage(name, home, *SMALL, *RUN))
    return home


@contextlib.contextmanager
def time_limit():
    def stop(*_):
        raise TimeoutError
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("pattern", READERS)
def test_damaged_file(pattern, base, tmp_path, counts):
    counts.update(files=0, refused=0, passed=0, tracebacks=0, hangs=0, unnamed=0, wrong=0)
    found = []
    for path in sorted(path.relative_to(base) for path in base.glob(pattern)):
        cases = list(list_damage(base / path))
        for what, data in random.Random(1).sample(cases, min(CASES_PER_FILE, len(cases))):
            counts["files"] += 1
            kind, text = run_case(base, tmp_path / "home", path, data, READERS[pattern])
            counts[kind] += 1
            if kind not in ("refused", "passed"):
                found.append(f"{path} {what}: {kind} {text[-600:]}")
    assert counts["files"] and not found, "\n\n".join(found)


def run_case(base, home, path, data, readers):
    """Run the readers of a damaged file; return how it ended and what was printed."""
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(base, home)
    (home / path).unlink()
    (home / path).mkdir() if data is None else (home / path).write_bytes(data)
    name = path
    if path.name.startswith("state-") and data is not None:   # as if it had been written so
        name = path.with_name(f"state-000000004-{hashlib.sha256(data).hexdigest()[:12]}.npz")
        (home / path).rename(home / name)
    for reader, flags in readers:
        try:
            with time_limit():
                ended = stage(reader, home, *SMALL, *([] if reader in ("download", "augment") else RUN), *flags)
        except TimeoutError:
            return "hangs", reader
        except Exception as error:
            return "tracebacks", f"{reader}: " + "".join(traceback.format_exception(error))
        if ended.returncode:
            named = str(name.name) in ended.stderr or str(name.parent) in ended.stderr
            return ("refused" if named and ended.stderr.count("\n") < 4 else "unnamed"), reader + ": " + ended.stderr
    same = (home / "submissions/demo/a.csv").read_bytes() == (base / "submissions/demo/a.csv").read_bytes()
    return ("passed" if same or path.name in DECIDES or path.match("submissions/*/a.csv") else "wrong"), ""
