"""Every stage with worker processes is ended by SIGKILL a hundred times while they work; then it ends as if undisturbed."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.crashes import outcome
from support.stages import ROOT, clean_environment, command, done, stage

KILLS = 100
PHOTOS = 240
SECONDS = 5   # after the parent's death, in which its workers must end
COMPETITION = ("--competition", "landscapes", "--size", "64")
NETWORK = ("--run", "a", "--model", "window_mlp", "--width", "8", "--work-size", "16", "--steps", "2", "--batch-size", "2",
           "--masks-per-image", "8", "--evaluate-every", "2", "--evaluation-images", "4")
FILL = ("--run", "filled", "--model", "smooth")
STAGES = {"download": ("--photos", "{photos}"), "augment": (), "train": NETWORK, "predict": FILL, "score": ("--run", "filled")}
BEFORE = {"download": [], "augment": ["download"], "train": ["download", "augment"], "predict": ["download", "augment"],
          "score": ["download", "augment", "predict", "serialize"]}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends workers on Linux only")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of photos that differ."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(5)
    for number in range(PHOTOS):
        image = cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (160, 160), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:04}.jpg"), image)
    return folder


def list_flags(name, photos):
    return [*COMPETITION, *(flag.format(photos=photos) for flag in STAGES.get(name, FILL))]


def prepare(home, name, photos):
    for earlier in BEFORE[name]:
        done(stage(earlier, home, *list_flags(earlier, photos)))


@pytest.mark.parametrize("name", STAGES)
def test_killed_while_its_workers_work(name, photos, tmp_path, counts):
    counts.update(kills=0, ends=0, refused=0, orphans=0)
    home, base, flags, rng = tmp_path / "home", tmp_path / "base", list_flags(name, photos), random.Random(1)
    base.mkdir()
    prepare(base, name, photos)
    shutil.copytree(base, tmp_path / "undisturbed")
    done(stage(name, tmp_path / "undisturbed", *flags))
    shutil.copytree(base, home)
    refusals = []
    while counts["kills"] < KILLS and counts["ends"] < KILLS:
        process = start(name, home, flags, tmp_path / "errors")
        if wait_for_workers(process):
            time.sleep(rng.uniform(0, 0.3))
        if process.poll() is None:
            process.kill()
            counts["kills"] += 1
        else:
            counts["ends"] += 1
            shutil.rmtree(home)
            shutil.copytree(base, home)
        if process.wait() not in (0, -signal.SIGKILL):
            counts["refused"] += 1
            refusals.append((tmp_path / "errors").read_text())
        counts["orphans"] += count_orphans(process.pid)
    assert (counts["refused"], counts["orphans"]) == (0, 0) and counts["kills"] == KILLS, refusals
    done(stage(name, home, *flags))
    assert outcome(home) == outcome(tmp_path / "undisturbed")


def start(name, home, flags, errors):
    with errors.open("w") as file:
        return subprocess.Popen(command(name, home, *flags), cwd=ROOT, env=clean_environment(), start_new_session=True,
                                stdout=subprocess.DEVNULL, stderr=file)


def wait_for_workers(process):
    """Wait until a process has children; return False if it has ended without."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        with contextlib.suppress(OSError):
            if children.read_text():
                return True
        time.sleep(0.01)
    return False


def count_orphans(session):
    """Return how many processes of a session outlive its leader for long; they are ended then."""
    end = time.monotonic() + SECONDS
    while (found := list_session(session)) and time.monotonic() < end:
        time.sleep(0.02)
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return len(found)


def list_session(session):
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, its_session, *_ = path.read_text().rpartition(")")[2].split()
            if int(its_session) == session and state != "Z":
                found.append(int(path.parent.name))
    return found
