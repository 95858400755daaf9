"""The benchmarks' own arithmetic: what a submission scores picture by picture, and the lines of the table."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import root_mean_squared_error
from support.stages import ROOT

from benchmarks import border, contests, growth, rmse, speed
from pixmend.config import Settings
from pixmend.data.image_record import ImageRecord
from pixmend.submissions.pixel_bytes import PixelBytes
from pixmend.submissions.pixel_csv import PixelCsv


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
             "hardware": "2 cores", "minutes": [0, 0]}
    half = floor | {"squares": [1.0, 2.0, 0.5], "rmse": 0.34, "minutes": [15.2, 29.5]}
    (low, high), (least, most) = rmse.intervals(half, floor)
    assert least == pytest.approx(0.5) and most == pytest.approx(0.5)
    assert low < 0.34 < high
    written = rmse.table({"harmonic": floor, "mlp-20": half})
    assert "| 0.34000 (" in written and "| 0.5000 (0.500 to 0.500) | 15.2 (29.5) |" in written


def test_the_looks_at_the_holdout_are_told_of_the_runs_that_are_judged(tmp_path):
    run = tmp_path / "checkpoints" / "photo_reconstruction" / "judged"
    run.mkdir(parents=True)
    (run / "history.csv").write_text("step,minutes,holdout_rmse,loss\n0,0,0.2,\n500,1,0.1,3\n1000,2,0.25,2\n")
    looks = rmse.looks(tmp_path, rmse.ROWS["judged"])
    assert looks == {"looks": [0.2, 0.25]} and rmse.looks(tmp_path, rmse.ROWS["harmonic"]) == {}
    row = {"squares": [4.0], "numbers": [10], "rmse": 0.6, "command": "", "commit": "", "hardware": "", "minutes": [0, 0]}
    written = rmse.table({"harmonic": row, "judged": row | looks, "mlp-20": row | looks})
    assert [line for line in written.splitlines() if "1.2500" in line] == [
        "| Pix2Pix (width 16), 1,000 steps from the smooth fill, LAMBDA 1000 | 0.20000 | 0.25000 | 1.2500 |"]


def test_the_best_factor_at_each_distance_is_the_one_that_least_squares_finds():
    rng, parts = np.random.default_rng(1), []
    for distance in (1, 2, 3):
        added = rng.normal(size=40)
        parts.append((distance, 0.3 * distance * added + rng.normal(size=40), added))
    sums = border.Sums(*np.zeros((4, border.FARTHEST)))
    for distance, missing, added in parts:
        for total, values in zip(vars(sums).values(), (missing**2, added**2, missing * added, added**0), strict=True):
            total[distance] = values.sum()
    told = sums.figures()
    left = []
    for distance, missing, added in parts:
        (factor,), *_ = np.linalg.lstsq(added[:, None], missing, rcond=None)
        assert told["factors"][str(distance)] == pytest.approx(factor)
        left.append(missing - factor * added)
    assert told["corrected"] == pytest.approx(root_mean_squared_error(np.concatenate(left), np.zeros(120)))
    missing, added = (np.concatenate([part[of] for part in parts]) for of in (1, 2))
    assert told["run"] == pytest.approx(root_mean_squared_error(missing, added))


def files_of_both_forms(folder, values):
    """The same values of pictures as a table and as bytes; ids with numbers and underscores in them."""
    masks = [np.pad(np.ones((1, len(of_picture)), bool), 2) for of_picture in values]
    images = [ImageRecord(f"0000{number}-cat_1_2", "", "", "test", "", None, drawn=mask) for number, mask in enumerate(masks)]
    settings = Settings(size=32, channels=1)
    for name, form in (("table.csv", PixelCsv()), ("bytes.bin", PixelBytes())):
        (folder / name).write_bytes(b"".join(form.encode(images, [np.array(of_picture)[:, None] for of_picture in values], settings)))
    return folder / "table.csv", folder / "bytes.bin"


def test_both_forms_of_a_submission_are_compared_picture_by_picture(tmp_path):
    truth, ours = [[0.2, 0.4, 0.8], [1.0]], [[0.2, 0.6, 0.4], [0.0]]
    for folder in ("truth", "ours"):
        (tmp_path / folder).mkdir()
    pairs = zip(files_of_both_forms(tmp_path / "truth", truth), files_of_both_forms(tmp_path / "ours", ours), strict=True)
    for solution, written in pairs:
        squares, numbers = contests.by_picture(written, solution)
        np.testing.assert_allclose(squares, [0.2, 1.0], atol=1e-6)
        assert numbers.tolist() == [3, 1]


def test_a_contests_table_tells_its_own_score_and_the_ratio_to_its_floor():
    floor = {"squares": [4.0, 9.0], "numbers": [1000, 1000], "holdout": [6.5, 1000], "command": "--model biharmonic",
             "commit": "abc", "hardware": "2 cores", "minutes": [0, 0],
             "fills": {"biharmonic": 6.5, "telea": 13.0, "tile_smooth": 6.5}}
    half = floor | {"squares": [2.0, 4.5], "command": "--model lattice_mlp", "minutes": [12.0, 4.5]}
    written = contests.table("missing_pixels", {"missing_pixels/biharmonic": floor, "missing_pixels/lattice_mlp": half})
    mse = 255**2 * 6.5 / 2000 / 16   # of 64 pixels 4 are missing
    assert f"| {mse:.3f} (" in written
    assert "| 0.5000 (0.500 to 0.500) | 12.0 (4.5) | `--model lattice_mlp` | 2 cores | abc |" in written
    assert f"| fill: telea | {255**2 * 13 / 1000 / 16:.3f} | |" in written and "tile_smooth" not in written


def test_a_benchmark_that_does_not_exist_is_a_sentence():
    asked = subprocess.run([sys.executable, "-m", "benchmarks", "speeed"], cwd=ROOT, capture_output=True, text=True)
    assert asked.returncode == 1
    assert asked.stderr.startswith("Name a benchmark, one of: ") and "rmse" in asked.stderr


@pytest.fixture
def figure():
    return {"seconds": {"ours": [1.0, 2.0, 1.0], "bare": [2.0, 2.0, 3.0]}, "facts": {"MB": 1200.0}, "commit": "abc",
            "date": "2026-01-01", "hardware": "2 cores"}


@pytest.fixture
def one_row(monkeypatch):
    row = speed.Row("work", None, {"bare": "the bare loop"}, {"bare": 1.5}, at_most={"MB": 1000})
    monkeypatch.setattr(speed, "ROWS", {"row": row})


def test_the_ratio_is_that_of_each_turn_and_what_was_wanted_is_told(figure, one_row):
    assert speed.ratios(figure, "bare") == (1.0, 2.0, 3.0)
    written = speed.table({"row": figure})
    assert "| `row` | work | the bare loop | 1 s | 2 s | **2** (1 to 3; 3) | 1.5 | yes | 2 cores, abc, 2026-01-01 |" in written
    assert "| `row` | MB | 1.2e+03 | 1000 or less | **no** |" in written
    assert "PyTorch's rows are missing" in written


def test_only_a_ratio_that_fell_by_more_than_its_spread_is_a_regression(figure, one_row, capsys):
    steady = figure | {"seconds": {"ours": [1.0, 1.0, 1.0], "bare": [2.0, 2.1, 2.2]}}
    slower = figure | {"seconds": {"ours": [1.2, 1.2, 1.2], "bare": [2.0, 2.1, 2.2]}}
    assert speed.compare({"row": steady}, {"row": steady}) == 0
    assert speed.compare({"row": steady}, {"row": slower}) == 1
    assert "FELL  row against bare: 2.1 (2 to 2.2) in abc, 1.75" in capsys.readouterr().out
    assert speed.compare({"row": figure}, {"row": slower}) == 0   # its turns were 1 to 3: no telling
    assert speed.compare({}, {"row": slower}) == 0


def test_each_further_picture_costs_what_the_set_took_beyond_the_first_hundred():
    figures = {100: {"score": [2.0, 50.0], "step": [0.1, 70.0]}, 1100: {"score": [4.0, 60.0], "step": [0.2, 80.0]}}
    written = growth.table(figures)
    assert "| 2 ms, 60 MB |" in written and "| 200 ms, 80 MB |" in written


def benchmark(*arguments):
    ended = subprocess.run([sys.executable, "-m", "benchmarks", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.long
def test_the_rows_without_a_network_run_at_toy_sizes_and_are_saved(tmp_path):
    rows = ["start", "fill", "augment", "serialize", "score"]
    benchmark("speed", "--quick", "--home", tmp_path / "data", "--out", tmp_path, "--rows", *rows)
    figures = json.loads((tmp_path / "SPEED.json").read_text())
    assert list(figures) == rows
    assert all(f"| `{row}` | {speed.ROWS[row].what} |" in (tmp_path / "SPEED.md").read_text() for row in rows)
    assert figures["fill"]["facts"]["RMSE"] < 1e-4


@pytest.mark.slow
def test_every_other_row_runs_at_toy_sizes(tmp_path):
    rows = ["step-1", "curve", "loop", "scaling", "feed", "predict"]
    benchmark("speed", "--quick", "--home", tmp_path / "data", "--out", tmp_path, "--rows", *rows)
    assert list(json.loads((tmp_path / "SPEED.json").read_text())) == rows


@pytest.mark.slow
def test_growth_runs_over_small_sets(tmp_path):
    benchmark("growth", "--sizes", 120, "--simulated", 1000, "--out", tmp_path)
    figures = json.loads((tmp_path / "GROWTH.json").read_text())
    assert set(figures["120"]) == set(growth.WORKS) and set(figures["1000"]) == {"step", "predict"}
