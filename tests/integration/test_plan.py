"""The plan of a run on several devices: measured steps, a table that follows from them, and no file of the run."""

import json
from pathlib import Path

import keras
import pytest
from support.networks import register_layer
from support.stages import SMALL, done, stage

from pixmend.flags import parse_flags
from pixmend.training.plan import MEASURED_EFFICIENCY, Estimate, format_plan, list_device_numbers

FLAGS = (*SMALL, "--model", "cnn", "--precision", "float32", "--batch-size", "8", "--run", "a")


def test_a_plan_has_a_row_for_each_number_of_devices_and_writes_no_run(home):
    printed = done(stage("plan", home, *FLAGS, "--steps", "600", "--devices", "8"))
    rows = [line.split() for line in printed.splitlines() if line.strip()[:1].isdigit()]
    assert [(int(row[0]), int(row[1])) for row in rows] == [(1, 8), (2, 4), (4, 2), (8, 1)]
    for row in rows:
        milliseconds, images_a_second, minutes = map(float, row[2:5])
        assert images_a_second == pytest.approx(8000 / milliseconds, rel=0.1)
        assert minutes == pytest.approx(milliseconds / 100, abs=0.06)
    assert not (home / "checkpoints/demo/a").exists()


def test_only_numbers_of_devices_that_divide_the_batch_are_planned():
    assert list_device_numbers(parse_flags(["--batch-size", "12", "--devices", "100"], environment={})) == [1, 2, 4]
    assert list_device_numbers(parse_flags(["--batch-size", "64", "--devices", "5"], environment={})) == [1, 2, 4]


def test_what_takes_longest_limits_a_step():
    assert Estimate(1, 8, compute=2, all_reduce=0, load=1, memory=0).seconds == 2
    assert [Estimate(2, 4, *seconds, memory=0).limit for seconds in ((2, 1, 1), (1, 2, 1), (1, 1, 3))] == [
        "computing", "network", "input"]


def test_a_run_that_only_minutes_limit_has_no_minutes():
    settings = parse_flags(["--batch-size", "4", "--steps", str(10**8)], environment={})
    assert "minutes" not in format_plan(settings, [Estimate(1, 4, 1.0, 0.0, 0.5, 10**9)]).splitlines()[0]


def test_what_a_plan_says_was_measured_is_what_the_benchmark_recorded():
    recorded = json.loads((Path(__file__).parents[2] / "benchmarks/results/SPEED.json").read_text())["scaling"]["facts"]
    settings = parse_flags(["--batch-size", "4"], environment={})
    printed = format_plan(settings, [Estimate(1, 4, 1.0, 0.0, 0.5, 10**9)])
    assert round(recorded["efficiency, a batch for each process"], 2) == MEASURED_EFFICIENCY
    assert f"{MEASURED_EFFICIENCY:.0%}" in printed and "--rows scaling" in printed


@pytest.fixture
def small_device(monkeypatch):
    """A network that needs more memory than there is from three images on, as an accelerator would say it."""
    class Needy(keras.layers.Layer):
        def call(self, x):
            if x.shape[0] and x.shape[0] > 2:
                raise MemoryError("RESOURCE_EXHAUSTED")
            return x

    register_layer(monkeypatch, "needy", Needy())


def test_a_share_that_does_not_fit_leaves_the_other_rows(home, small_device):
    printed = done(stage("plan", home, *FLAGS, "--model", "needy", "--steps", "600", "--devices", "8"))
    rows = [line.split() for line in printed.splitlines() if line.strip()[:1].isdigit()]
    assert [row[:2] for row in rows] == [["1", "8"], ["2", "4"], ["4", "2"], ["8", "1"]]
    assert [row[2] == "-" for row in rows] == [True, True, False, False]
    result = stage("plan", home, *FLAGS, "--model", "needy", "--devices", "1")
    assert result.returncode == 1 and "--batch-size" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(("flags", "code", "reason"), [
    (["--model", "mean"], 1, "is not trained"), (["--batch-size", "auto"], 2, "--batch-size")])
def test_what_cannot_be_planned_is_said(home, flags, code, reason):
    result = stage("plan", home, *SMALL, "--run", "b", *flags)
    assert result.returncode == code and reason in result.stderr and "Traceback" not in result.stderr
