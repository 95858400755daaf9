"""Runs on machines that are taken away: a warning ends a run with a code of its own, and the requeued run loses nothing."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.crashes import newest_state, outcome
from support.stages import SMALL, done, stage, start_stage

from pixmend.errors import Preempted

CNN = (*SMALL, "--model", "cnn", "--precision", "float32", "--run", "a")
WINDOWS = ("--model", "window_mlp", "--size", "32", "--work-size", "16", "--width", "8", "--masks-per-image", "64",
           "--batch-size", "4", "--evaluate-every", "2", "--evaluation-images", "4", "--precision",
           "float32", "--steps", "2", "--run", "w")
RUN = Path("checkpoints/demo/a")


def count_evaluations(run):
    return len((run / "history.csv").read_text().splitlines()) if (run / "history.csv").exists() else 0


def preempted(home, *flags, number=signal.SIGUSR1):
    """Train in this process, which gets a signal after the next evaluation; return how the training ended."""
    before = count_evaluations(home / RUN)

    def send():
        while count_evaluations(home / RUN) <= before:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    result = stage("train", home, *flags)
    thread.join()
    return result


def read_minutes(run):
    with np.load(max(run.glob("state-*.npz")), allow_pickle=False) as archive:
        return json.loads(archive["facts"].tobytes())["minutes"]


@pytest.mark.long
def test_a_run_that_is_preempted_three_times_ends_with_the_bits_of_an_undisturbed_one(home, tmp_path):
    undisturbed, flags = shutil.copytree(home, tmp_path / "undisturbed"), (*CNN, "--steps", "400", "--ema-decay", "0.9")
    done(stage("train", undisturbed, *flags))
    steps = []
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1):
        result = preempted(home, *flags, number=number)
        assert result.returncode == Preempted.exit_code == 85 and "Traceback" not in result.stderr
        steps.append(newest_state(home / RUN)[1])
    assert steps == sorted(set(steps)) and steps[-1] < 400
    done(stage("train", home, *flags))
    assert newest_state(home / RUN) == newest_state(undisturbed / RUN)
    assert outcome(home) == outcome(undisturbed)


def test_minutes_count_over_all_starts_of_a_run(home):
    assert preempted(home, *CNN, "--minutes", "100").returncode == 85
    first, step = read_minutes(home / RUN), newest_state(home / RUN)[1]
    assert preempted(home, *CNN, "--minutes", "100").returncode == 85
    both, later = read_minutes(home / RUN), newest_state(home / RUN)[1]
    assert both > first > 0 and later > step
    budget = f"{(first + both) / 2:.9f}"   # more than the first start took, less than both
    refused = stage("train", home, *CNN, "--minutes", budget)
    assert refused.returncode == 1 and "--minutes" in refused.stderr and newest_state(home / RUN)[1] == later


def list_processes(parent):
    """Return a process and all its descendants, which a scheduler signals together."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *(descendant for child in children for descendant in list_processes(int(child)))]


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_warning_while_windows_are_cut_ends_with_the_same_code_and_the_next_start_goes_on(home, number):
    process = start_stage("train", home, *WINDOWS)
    while not list(home.glob("augment/demo/windows/.*.part")) and process.poll() is None:
        time.sleep(0.01)
    for each in list_processes(process.pid):
        os.kill(each, number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 85 and "continues from here" in message and "Traceback" not in message
    assert not (home / "checkpoints/demo/w/history.csv").exists()
    done(stage("train", home, *WINDOWS))
    assert newest_state(home / "checkpoints/demo/w")[1] == 2
