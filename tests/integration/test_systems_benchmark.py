"""The benchmark of the five projects' tables: its page from made-up results, and a few rows at toy size."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from support.stages import ROOT

from benchmarks import systems
from benchmarks._data import write_competition
from benchmarks.systems import page, plan, run
from benchmarks.systems.detail import sum_differences
from benchmarks.systems.tables import PLACES, PROJECTS, TABLES
from pixmend.flags import parse_flags

IMAGES = 40


def make_run(error, seed=1):
    """Return a stored run whose errors are about `error` times those of the best fill, which are 1."""
    rng = np.random.default_rng(seed)
    squares = error**2 * (1 + 0.01 * rng.random(IMAGES))
    return {"squares": squares.tolist(), "numbers": [100] * IMAGES, "baseline": "smooth", "baseline_squares": [1.0] * IMAGES,
            "scores": {"l1": 0.25}, "minutes": 3.0, "best_step": 1000, "parameters": 1234, "bytes": 5e6, "command": "--model x",
            "hardware": "2 cores", "commit": "abc", "curve": {"step": [0, 5], "holdout_rmse": [0.2, 0.1], "loss": [None, 0.5]}}


def find_lines(written, begin):
    return [line for line in written.splitlines() if line.startswith(begin)]


def test_a_claim_is_judged_by_the_interval_of_the_difference():
    errors = {"100": 0.9, "400": 0.8, "1000": 0.8, "1200": 0.7}
    results = {f"lambda/{name}/{seed}": make_run(error, seed) for name, error in errors.items() for seed in (1, 2)}
    written = page.format_table("lambda", TABLES["lambda"], results)
    claims = find_lines(written, "- LAMBDA 1000 is better than")
    verdicts = [re.search(r"\*\*(.+)\*\*", claim)[1] for claim in claims]
    assert verdicts == ["holds", "no difference can be seen", "the opposite holds"]


def test_rows_are_compared_over_the_seeds_that_both_have_in_whatever_order_these_were_measured():
    by_seed = {1: 0.5, 2: 1.0, 3: 2.0}
    results = {f"lambda/1000/{seed}": make_run(by_seed[seed]) for seed in (3, 1, 2)}
    results |= {f"lambda/100/{seed}": make_run(1.1 * by_seed[seed]) for seed in (2, 3)}
    results |= {"lambda/400/1": make_run(0.51)}
    claims = find_lines(page.format_table("lambda", TABLES["lambda"], results), "- LAMBDA 1000 is better than")
    differences = [re.search(r"minus this one is (\S+)", claim) for claim in claims]
    assert float(differences[0][1]) == pytest.approx(0.015, abs=1e-3)   # the mean of 0.01 and 0.02
    assert float(differences[1][1]) == pytest.approx(0.001, abs=1e-4) and differences[2] is None


def read_interval(written, begin):
    low, high = re.search(r"\(([\d.]+) to ([\d.]+)\)", find_lines(written, begin)[0]).groups()
    return float(low), float(high)


def test_an_interval_is_over_the_photos_of_a_place_though_one_run_alone_has_stored_them():
    hard = {"squares": IMAGES // 4 * [0.2, 0.2, 1.0, 1.0]}
    runs = {"optimizers/sgd/1": make_run(0.9) | hard, "losses/l1/1": make_run(0.9)}
    of_images = read_interval(page.format_table("optimizers", TABLES["optimizers"], runs), "| SGD")
    runs["losses/l1/1"] |= {"sources": IMAGES // 4 * [0, 1, 2, 3]}
    of_photos = read_interval(page.format_table("optimizers", TABLES["optimizers"], runs), "| SGD")
    assert of_photos[1] - of_photos[0] > 2 * (of_images[1] - of_images[0])


def test_masks_have_an_interval_of_the_intersection_over_union():
    rng = np.random.default_rng(1)
    overlaps = [[int(part), 100] for part in rng.integers(60, 100, IMAGES)]
    found = {name: value for name, value in make_run(1.0).items() if name not in ("squares", "numbers", "scores")}
    results = {"three-networks/locate/1": found | {"overlaps": overlaps, "overlap": np.mean(overlaps, 0)[0] / 100}}
    low, high = read_interval(page.format_table("three-networks", TABLES["three-networks"], results), "| the first network")
    assert low < np.mean(overlaps, 0)[0] / 100 < high < low + 0.1


def test_of_a_flag_that_comes_twice_the_last_value_counts():
    assert plan.merge_flags("--model unet --steps 9 --fresh-masks", "", "--steps 5 --init-from=") == (
        "--model unet --steps 5 --fresh-masks --init-from=")


def test_a_row_that_shows_another_one_again_is_measured_and_counted_with_it():
    results = {"lambda/1000/1": make_run(0.9) | {"minutes": 77.7}}
    assert "77.7" in find_lines(page.format_table("levels", TABLES["levels"], results), "| 8 levels ")[0]
    assert "1 of " in page.format_page(results)


def test_a_row_that_is_not_measured_is_named_and_one_that_is_beaten_says_by_what():
    results = {"lambda/1000/1": make_run(1.1), "lambda/1200/1": make_run(0.95), "lambda/ours/1": make_run(0.9)}
    written = page.format_table("lambda", TABLES["lambda"], results)
    assert all("not measured yet" in find_lines(written, f"| LAMBDA {value} ")[0] for value in (100, 200, 400, 800))
    worst, better, ours = (find_lines(written, f"| {title}")[0] for title in ("LAMBDA 1000", "LAMBDA 1200", "window_unet"))
    assert "the best fill, window_unet" in worst and "the best fill" not in better and "window_unet" in better
    assert "the best fill" not in ours and "the best fill, smooth" in written


def test_no_row_of_any_table_is_missing_on_the_page():
    written = page.format_page({})
    for table in TABLES.values():
        assert all(f"| {row.title} |" in written for row in table.rows.values())
    assert set(PROJECTS) == {table.project for table in TABLES.values()}


@pytest.mark.parametrize("name", TABLES)
def test_rows_have_flags_that_exist_and_name_rows_of_their_table(name):
    table = TABLES[name]
    names = {"run": lambda other: f"run-{other}", "minutes": lambda other: "1.5"}
    for row in table.rows.values():
        assert set(plan.list_needed_rows(row)) <= set(table.rows)
        flags = plan.fill_placeholders(f"{PLACES[table.place].flags} {table.flags} {row.flags} {row.predict}", names)
        parse_flags(flags.replace("{photos}", "photos").split(), environment={})
        assert not row.same_run or row.same_run in run.ROWS
    assert all({claim.better, claim.worse} <= set(table.rows) for claim in table.claims)


def test_photos_are_taken_from_all_classes_in_turn_and_none_twice():
    names = [f"Dataset/Training_Data/{label}/Unmasked_Train/{number:02}.jpeg" for label in ("A", "B") for number in range(6)]
    others = [name.replace("Unmasked", "Masked") for name in names]
    first, more = run.select_photos(names + others, 0, 5), run.select_photos(names + others, 5, 100)
    assert sorted(first + more) == sorted(names)
    assert [path.split("/")[2] for path in first] == ["A", "B", "A", "B", "A"]


def test_detail_counts_differences_of_pixels_that_are_both_missing():
    image, mask = np.zeros((3, 4, 1), np.float32), np.zeros((3, 4), bool)
    image[1, 1], mask[1, 1], mask[1, 2] = 0.5, True, True
    assert sum_differences(image, mask) == pytest.approx(0.5)   # of the four neighbours one is missing, too
    mask[:] = True
    assert sum_differences(image, mask) == pytest.approx(2.0)


def test_a_trial_with_few_steps_needs_a_folder_of_its_own(monkeypatch, tmp_path):
    command = ["systems", "--data", "data", "--home", "home", "--steps", "5"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):
        systems.parse_options()
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path)])
    assert systems.parse_options().out == tmp_path


def test_the_folder_of_further_photos_may_have_spaces(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "extract_photos", lambda *_, **__: None)
    bench = run.Bench(tmp_path, tmp_path / "my home", tmp_path)
    flags = bench.add_photos("--model mlp --extra-pictures {photos}", "missing")
    assert shlex.split(flags)[-1] == str(tmp_path / "my home/photos/more")


def test_a_run_joins_stored_ones_of_the_same_images_only(tmp_path):
    bench = run.Bench(tmp_path, tmp_path, tmp_path)
    bench.store("lambda/100/1", make_run(0.9))
    bench.store("sets/mlp/1", make_run(0.9) | {"numbers": [99]})   # of another competition
    with pytest.raises(SystemExit):
        bench.store("levels/4/1", make_run(0.9) | {"numbers": [99] * IMAGES})
    assert sorted(json.loads((tmp_path / "SYSTEMS.json").read_text())) == ["lambda/100/1", "sets/mlp/1"]


@pytest.mark.slow
def test_rows_are_measured_at_toy_size_and_those_that_are_stored_are_not_measured_again(tmp_path):
    write_competition(tmp_path / "made", 160, 4, side=256)
    files, archive = tmp_path / "made/competition/photo_reconstruction/files", tmp_path / "photo-reconstruction"
    shutil.make_archive(str(archive), "zip", files)
    rows = ["three-networks/sharp", "mode/training", "levels/8", "sets/mlp-large", "architectures/encoder_decoder"]
    command = [sys.executable, "-m", "benchmarks", "systems", "--data", tmp_path, "--home", tmp_path / "home", "--out", tmp_path,
               "--steps", "2", "--seeds", "1", "--rows", *rows]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    results = json.loads((tmp_path / "SYSTEMS.json").read_text())
    made = ["three-networks/locate", "three-networks/found", "three-networks/sharp", "mode/training", "lambda/1000",
            "sets/mlp-large", "architectures/encoder_decoder"]
    assert sorted(results) == sorted(f"{name}/1" for name in made)
    assert 0 < results["three-networks/sharp/1"]["detail"] < 5 and 0 <= results["three-networks/locate/1"]["overlap"] <= 1
    assert 0 < results["architectures/encoder_decoder/1"]["seconds"] < 60
    command_line = results["mode/training/1"]["command"]
    assert "--lambda 1000" in command_line and "--predict-mode training" in command_line
    for of_row in (result for result in results.values() if "squares" in result):
        assert len(of_row["squares"]) == len(of_row["numbers"]) == len(of_row["baseline_squares"]) > 1
    assert str(tmp_path) not in (tmp_path / "SYSTEMS.json").read_text()
    results["mode/training/1"] |= {"minutes": 77.7}
    (tmp_path / "SYSTEMS.json").write_text(json.dumps(results))
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert "77.7" in (tmp_path / "SYSTEMS.md").read_text()
    assert (tmp_path / "SYSTEMS-sets.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "home/photos/more").glob("*/*.jpeg"))
