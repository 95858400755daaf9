"""The benchmarks' own arithmetic: what a submission scores picture by picture, and the lines of the table."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from sklearn.metrics import root_mean_squared_error

from benchmarks import rmse


@pytest.fixture
def tables():
    rng = np.random.default_rng(1)
    ids = [f"{name}_box{box}_{row}_3_0" for name in ("a_1.jpg", "b (2).jpg", "c.png") for box in (1, 2) for row in range(10)]
    solution = pd.DataFrame({"id": ids, "value": rng.random(len(ids))})
    return solution, solution.assign(value=rng.random(len(ids))).sample(frac=1, random_state=1)


def test_squares_of_all_pictures_are_the_graders_rmse(tables):
    solution, ours = tables
    squares, numbers = rmse.by_picture(ours, solution)
    both = solution.merge(ours, on="id")
    assert numbers.tolist() == [20, 20, 20]
    assert np.sqrt(squares.sum() / numbers.sum()) == pytest.approx(root_mean_squared_error(both["value_x"], both["value_y"]))


def test_a_submission_that_lacks_ids_is_not_measured(tables):
    solution, ours = tables
    with pytest.raises(SystemExit, match="1 ids of the solution"):
        rmse.by_picture(ours.iloc[1:], solution)


def test_a_run_that_halves_every_error_has_a_ratio_of_a_half_whatever_the_draw():
    floor = {"squares": [4.0, 8.0, 2.0], "numbers": [10, 10, 10], "rmse": 0.68, "command": "--model harmonic", "commit": "abc",
             "minutes": [0, 0]}
    half = floor | {"squares": [1.0, 2.0, 0.5], "rmse": 0.34, "minutes": [15.2, 29.5]}
    (low, high), (least, most) = rmse.intervals(half, floor)
    assert least == pytest.approx(0.5) and most == pytest.approx(0.5)
    assert low < 0.34 < high
    written = rmse.table({"harmonic": floor, "mlp-20": half})
    assert "| 0.34000 (" in written and "| 0.5000 (0.500 to 0.500) | 15.2 (29.5) |" in written


def test_a_benchmark_that_does_not_exist_is_a_sentence():
    asked = subprocess.run([sys.executable, "-m", "benchmarks", "speeed"], cwd=ROOT, capture_output=True, text=True)
    assert asked.returncode == 1
    assert asked.stderr.startswith("Name a benchmark, one of: ") and "rmse" in asked.stderr
