"""The benchmarks' own arithmetic: errors of a submission image by image, and the lines of the tables."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from sklearn.metrics import root_mean_squared_error
from support.stages import ROOT

from benchmarks import _data, _measure, border, contests, growth, pictures, pretrain, rmse, speed, tables
from benchmarks._measure import RESULTS, add_result, check_same_images, read_results, write_results
from pixmend.config import Settings
from pixmend.data import photos
from pixmend.data.image_record import ImageRecord
from pixmend.networks import photos_fill
from pixmend.submissions.pixel_bytes import PixelBytes
from pixmend.submissions.pixel_csv import PixelCsv


@pytest.fixture
def solution_and_submission():
    rng = np.random.default_rng(1)
    ids = [f"{name}_box{box}_{row}_3_0" for name in ("a_1.jpg", "b (2).jpg", "c.png") for box in (1, 2) for row in range(10)]
    solution = pd.DataFrame({"id": ids, "value": rng.random(len(ids))})
    return solution, solution.assign(value=rng.random(len(ids))).sample(frac=1, random_state=1)


def test_squares_of_all_images_give_the_rmse_of_the_competition(solution_and_submission):
    solution, submission = solution_and_submission
    squares, numbers = rmse.compute_squares(submission, solution)
    joined = solution.merge(submission, on="id")
    assert numbers.tolist() == [20, 20, 20]
    expected = root_mean_squared_error(joined["value_x"], joined["value_y"])
    assert np.sqrt(squares.sum() / numbers.sum()) == pytest.approx(expected)


def test_a_submission_without_some_ids_is_not_measured(solution_and_submission):
    solution, submission = solution_and_submission
    with pytest.raises(SystemExit, match="1 ids of the solution"):
        rmse.compute_squares(submission.iloc[1:], solution)


@pytest.mark.parametrize(("stored", "is_joined"), [([20, 20, 20], True), ([20, 20], False), ([20, 20, 19], False)])
def test_a_row_joins_stored_ones_of_the_same_images_only(tmp_path, solution_and_submission, stored, is_joined):
    numbers = rmse.count_values(solution_and_submission[0])
    with nullcontext() if is_joined else pytest.raises(SystemExit):
        check_same_images(numbers, [{"rmse": 0.6, "numbers": stored}, {"rmse": 0.6}], tmp_path / "RMSE.json")


def test_a_row_is_added_to_those_that_another_process_has_stored(tmp_path):
    path = tmp_path / "results.json"
    for name in ("first", "second"):
        results = add_result(path, name, {"value": name})
    assert results == read_results(path) == {"first": {"value": "first"}, "second": {"value": "second"}}


def test_stored_results_survive_a_disk_that_is_full(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, {"first": {"value": 1}})
    program = ("import resource, signal, sys; from pathlib import Path; from benchmarks._measure import add_result\n"
               "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
               "add_result(Path(sys.argv[1]), 'second', {'value': 'x' * 5000})")
    ended = subprocess.run([sys.executable, "-c", program, path], cwd=ROOT, capture_output=True, text=True)
    assert "OSError" in ended.stderr and read_results(path) == {"first": {"value": 1}}


def test_a_run_that_halves_every_error_has_a_ratio_of_a_half_in_every_bootstrap_sample():
    baseline = {"squares": [4.0, 8.0, 2.0], "numbers": [10, 10, 10], "rmse": 0.68, "command": "--model harmonic", "commit": "abc",
             "hardware": "2 cores", "minutes": [0, 0]}
    half = baseline | {"squares": [1.0, 2.0, 0.5], "rmse": 0.34, "minutes": [15.2, 29.5]}
    (low, high), (ratio_low, ratio_high) = rmse.compute_intervals(half, baseline)
    assert ratio_low == pytest.approx(0.5) and ratio_high == pytest.approx(0.5)
    assert low < 0.34 < high
    written = rmse.format_table({"harmonic": baseline, "mlp-20": half})
    assert "| 0.34000 (" in written and "| 0.5000 (0.500 to 0.500) | 15.2 (29.5) |" in written


def test_the_first_and_last_evaluations_of_adversarial_runs_have_a_table(tmp_path):
    run = tmp_path / "checkpoints" / "photo_reconstruction" / "judged"
    run.mkdir(parents=True)
    (run / "history.csv").write_text("step,minutes,holdout_rmse,loss\n0,0,0.2,\n500,1,0.1,3\n1000,2,0.25,2\n")
    evaluations = rmse.read_evaluations(tmp_path, rmse.ROWS["judged"])
    assert evaluations == {"evaluations": [0.2, 0.25]}
    assert rmse.read_evaluations(tmp_path, rmse.ROWS["harmonic"]) == {}
    row = {"squares": [4.0], "numbers": [10], "rmse": 0.6, "command": "", "commit": "", "hardware": "", "minutes": [0, 0]}
    written = rmse.format_table({"harmonic": row, "judged": row | evaluations, "mlp-20": row | evaluations})
    assert [line for line in written.splitlines() if "1.2500" in line] == [
        "| Pix2Pix (width 16), 1,000 steps from the smooth fill, LAMBDA 1000 | 0.20000 | 0.25000 | 1.2500 |"]


def test_the_best_factor_at_each_distance_is_the_one_that_least_squares_finds():
    rng, parts = np.random.default_rng(1), []
    for distance in (1, 2, 3):
        residual = rng.normal(size=40)
        parts.append((distance, 0.3 * distance * residual + rng.normal(size=40), residual))
    sums = border.DistanceSums()
    for distance, error, residual in parts:
        sums.add(np.full(40, distance), np.ones(40), error[:, None], residual[:, None])
    summary = sums.summarize()
    remaining = []
    for distance, error, residual in parts:
        (factor,), *_ = np.linalg.lstsq(residual[:, None], error, rcond=None)
        assert summary["factors"][str(distance)] == pytest.approx(factor)
        remaining.append(error - factor * residual)
    assert summary["corrected"] == pytest.approx(root_mean_squared_error(np.concatenate(remaining), np.zeros(120)))
    errors, residuals = (np.concatenate([part[column] for part in parts]) for column in (1, 2))
    assert summary["run"] == pytest.approx(root_mean_squared_error(errors, residuals))


def write_in_both_formats(folder, values):
    """Write the same values of images as a table and as bytes; their ids contain numbers and underscores."""
    masks = [np.pad(np.ones((1, len(of_image)), bool), 2) for of_image in values]
    images = [ImageRecord(f"0000{number}-cat_1_2", "", "", "test", "", None, drawn=mask) for number, mask in enumerate(masks)]
    settings = Settings(size=32, channels=1)
    columns = [np.array(of_image)[:, None] for of_image in values]
    for name, submission_format in (("table.csv", PixelCsv()), ("bytes.bin", PixelBytes())):
        (folder / name).write_bytes(b"".join(submission_format.encode(images, columns, settings)))
    return folder / "table.csv", folder / "bytes.bin"


def test_both_formats_of_a_submission_are_compared_image_by_image(tmp_path):
    true_values, values = [[0.2, 0.4, 0.8], [1.0]], [[0.2, 0.6, 0.4], [0.0]]
    for folder in ("solution", "submission"):
        (tmp_path / folder).mkdir()
    solutions = write_in_both_formats(tmp_path / "solution", true_values)
    submissions = write_in_both_formats(tmp_path / "submission", values)
    for submission, solution in zip(submissions, solutions, strict=True):
        squares, numbers = contests.compute_squares(submission, solution)
        np.testing.assert_allclose(squares, [0.2, 1.0], atol=1e-6)
        assert numbers.tolist() == [3, 1]


def test_a_competitions_table_has_its_own_score_and_the_ratio_to_its_baseline():
    baseline = {"squares": [4.0, 9.0], "numbers": [1000, 1000], "holdout": [6.5, 1000], "command": "--model biharmonic",
             "commit": "abc", "hardware": "2 cores", "minutes": [0, 0],
             "fills": {"biharmonic": 6.5, "telea": 13.0, "tile_smooth": 6.5}}
    half = baseline | {"squares": [2.0, 4.5], "command": "--model lattice_mlp", "minutes": [12.0, 4.5]}
    results = {"missing_pixels/biharmonic": baseline, "missing_pixels/lattice_mlp": half}
    written = contests.format_table("missing_pixels", results)
    mse = 255**2 * 6.5 / 2000 / 16   # of 64 pixels 4 are missing
    assert f"| {mse:.3f} (" in written
    assert "| 0.5000 (0.500 to 0.500) | 12.0 (4.5) | `--model lattice_mlp` | 2 cores | abc |" in written
    assert f"| fill: telea | {255**2 * 13 / 1000 / 16:.3f} | |" in written and "tile_smooth" not in written


def test_an_unknown_benchmark_is_an_error_that_lists_all():
    result = subprocess.run([sys.executable, "-m", "benchmarks", "speeed"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("Name a benchmark, one of: ") and "rmse" in result.stderr


@pytest.mark.parametrize("name", tables.FORMATTERS)
def test_every_stored_table_is_what_its_stored_results_give(name):
    assert (RESULTS / f"{name}.md").read_text() == tables.format_stored_table(name)


@pytest.fixture
def result():
    return {"seconds": {"ours": [1.0, 2.0, 1.0], "bare": [2.0, 2.0, 3.0]}, "facts": {"MB": 1200.0}, "commit": "abc",
            "date": "2026-01-01", "hardware": "2 cores"}


@pytest.fixture
def one_row(monkeypatch):
    row = speed.Row("work", None, {"bare": "the bare loop"}, {"bare": 1.5}, at_most={"MB": 1000})
    monkeypatch.setattr(speed, "ROWS", {"row": row})


def test_the_ratio_is_that_of_each_turn_and_is_compared_with_its_target(result, one_row):
    assert speed.compute_ratios(result, "bare") == (1.0, 2.0, 3.0)
    written = speed.format_table({"row": result})
    assert "| `row` | work | the bare loop | 1 s | 2 s | **2** (1 to 3; 3) | 1.5 | yes | 2 cores, abc, 2026-01-01 |" in written
    assert "| `row` | MB | 1.2e+03 | 1000 or less | **no** |" in written
    assert "PyTorch's rows are missing" in written


def test_only_a_ratio_that_fell_by_more_than_its_spread_is_a_regression(result, one_row, capsys):
    steady = result | {"seconds": {"ours": [1.0, 1.0, 1.0], "bare": [2.0, 2.1, 2.2]}}
    slower = result | {"seconds": {"ours": [1.2, 1.2, 1.2], "bare": [2.0, 2.1, 2.2]}}
    assert speed.compare_results({"row": steady}, {"row": steady}) == 0
    assert speed.compare_results({"row": steady}, {"row": slower}) == 1
    assert "FELL  row against bare: 2.1 (2 to 2.2) in abc, 1.75" in capsys.readouterr().out
    assert speed.compare_results({"row": result}, {"row": slower}) == 0   # the ratios of its turns are 1 to 3
    assert speed.compare_results({}, {"row": slower}) == 0


def test_the_cost_of_an_image_is_what_the_dataset_costs_beyond_its_first_hundred_images():
    results = {"measured": {"hardware": "2 cores", "commit": "abc"},
               "100": {"score": [2.0, 50.0], "step": [0.1, 70.0]}, "1100": {"score": [4.0, 60.0], "step": [0.2, 80.0]}}
    written = growth.format_table(results)
    assert "| 2 ms, 60 MB |" in written and "| 200 ms, 80 MB |" in written


def run_benchmark(*arguments):
    result = subprocess.run([sys.executable, "-m", "benchmarks", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.long
def test_the_rows_without_a_network_run_at_toy_sizes_and_are_saved(tmp_path):
    rows = ["start", "fill", "augment", "serialize", "score"]
    run_benchmark("speed", "--quick", "--home", tmp_path / "data", "--out", tmp_path, "--rows", *rows)
    results = json.loads((tmp_path / "SPEED.json").read_text())
    assert list(results) == rows
    assert all(f"| `{row}` | {speed.ROWS[row].description} |" in (tmp_path / "SPEED.md").read_text() for row in rows)
    assert results["fill"]["facts"]["RMSE"] < 1e-4


@pytest.mark.slow
def test_every_other_row_runs_at_toy_sizes(tmp_path):
    rows = ["step-1", "curve", "loop", "scaling", "feed", "predict"]
    run_benchmark("speed", "--quick", "--home", tmp_path / "data", "--out", tmp_path, "--rows", *rows)
    assert list(json.loads((tmp_path / "SPEED.json").read_text())) == rows


@pytest.mark.slow
def test_growth_runs_over_small_sets(tmp_path):
    run_benchmark("growth", "--sizes", 120, "--simulated", 1000, "--out", tmp_path)
    results = json.loads((tmp_path / "GROWTH.json").read_text())
    assert set(results["120"]) == set(growth.STAGES) and set(results["1000"]) == {"step", "predict"}


@pytest.mark.slow
def test_the_network_of_photos_is_trained_anew_at_toy_size(tmp_path):
    run_benchmark("pretrain", "--home", tmp_path, "--minutes", 0.05, "--crops", 1, "--out", tmp_path / "new.safetensors")
    with safe_open(tmp_path / "new.safetensors", framework="numpy") as file:
        assert json.loads(file.metadata()["settings"]) == photos_fill.read_settings()
        arrays = [file.get_tensor(str(number)) for number in range(len(file.keys()))]
    shipped = photos_fill.read_weights()
    assert [(array.shape, array.dtype) for array in arrays] == [(array.shape, array.dtype) for array in shipped]
    assert any((new != old).any() for new, old in zip(arrays, shipped, strict=True))
    used = {photos.get_source(path.name.split(" ", 2)[2]) for path in next(tmp_path.glob("crops-*")).iterdir()}
    assert used == photos.list_learned_sources()


def test_data_of_other_sizes_and_parts_of_data_are_made_again(tmp_path):
    files = tmp_path / "competition/photo_reconstruction/files/Dataset/Testing_Data"

    def count_test_images(count):
        _data.prepare_competition(tmp_path, 12, count, side=32, different=12)
        return len(list(files.glob("*.jpeg")))

    assert [count_test_images(8), count_test_images(11)] == [8, 11]
    kept = tmp_path / "augment"
    kept.touch()
    assert count_test_images(11) == 11 and kept.exists()
    (tmp_path / _data.MANIFEST).unlink()   # as after an interrupted call
    next(files.glob("*.jpeg")).unlink()
    assert count_test_images(11) == 11 and not kept.exists()


def test_a_folder_with_spaces_is_one_flag_of_a_stage(monkeypatch):
    commands = []
    monkeypatch.setattr(_measure.subprocess, "run", lambda command, **_: commands.append(command))
    home = Path("my home")
    flags = pictures.make_row("half", Namespace(home=home, steps=9)).train
    _measure.run_stage(home, (), "augment", flags)
    assert commands[0][-2:] == ["--extra-pictures", str(pictures.extra_folder(home, "half"))]
    assert pictures.hide_folder(flags).endswith("--run half --extra-pictures FOLDER")


def test_squares_of_fewer_photographs_are_not_taken_for_those_of_more(tmp_path):
    paths = [photo.path for photo in photos.list_demo_photos()[:2]]
    folders = [pretrain.write_crops(tmp_path, 1, some) for some in (paths[:1], paths, paths)]
    assert [len(list(folder.iterdir())) for folder in folders] == [4, 8, 8] and folders[1] == folders[2]


def test_an_exported_lambda_does_not_change_a_row(monkeypatch):
    environments = []
    monkeypatch.setattr(_measure.subprocess, "run", lambda _, **known: environments.append(known.get("env", os.environ)))
    monkeypatch.setenv("LAMBDA", "7")
    _measure.run_stage(Path("home"), (), "train", "--model pix2pix")
    assert "LAMBDA" not in environments[0] and environments[0]["PATH"] == os.environ["PATH"]
