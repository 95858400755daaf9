"""Studies as their user meets them: the rows they promise, runs made once whatever kills them, figures borne out by the files."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from types import SimpleNamespace

import cv2
import numpy as np
import pandas
import pytest
from support import chromium
from support.crashes import newest_state
from support.stages import ROOT, clean_environment

from pixmend import models
from pixmend.cli import main, read_settings
from pixmend.config import Settings
from pixmend.data import dataset
from pixmend.errors import FlagError, UserError
from pixmend.experiments import study, study_conclusion, study_plans, study_results, study_table
from pixmend.flags import parse_flags
from pixmend.reporting import experiment_charts
from pixmend.run_identity import complete_settings

TINY = ("--size", "32", "--width", "2", "--batch-size", "2", "--evaluate-every", "4", "--evaluation-images", "4",
        "--precision", "bfloat16")
OPTIMIZERS = ("optimizers", "--competition", "landscapes", *TINY, "--steps", "8", "--rows", "adam,sgd", "--seeds", "1,2",
              "--start", "harmonic", "--ema-decay", "0.9")
RUNS = {f"unet{seed}-size32-width2-start-harmonic-precision-bfloat16-steps8-batch-size2{optimizer}-ema-decay0.9"
        "-evaluate-every4-evaluation-images4"
        for optimizer in ("", "-optimizer-sgd") for seed in ("", "-seed2")}


def start(home, name, *flags):
    command = [sys.executable, "-m", "pixmend", "study", name, "--home", str(home), *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment())


def study_here(home, name, *flags):
    """The study in this process, which has Keras at hand already."""
    return main(["study", name, "--home", str(home), *map(str, flags)])


def read_study(home, name, place="demo"):
    return json.loads((home / "checkpoints" / place / f"{name}.study.json").read_text())


def row_of(home, name, title, place="demo"):
    return next(row for row in read_study(home, name, place)["rows"] if row["title"] == title)


def page_of(home, name, place="demo"):
    return (home / "checkpoints" / place / "studies" / f"{name}.md").read_text()


def cells(home, name, place="demo"):
    """The table in Markdown, by the names of its rows."""
    grid = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in page_of(home, name, place).splitlines() if line.startswith("|")]
    return pandas.DataFrame(grid[2:], columns=grid[0]).set_index("row")


def trained(home, place="demo"):
    """When the weights of each run, and its state, were written."""
    return {path: path.stat().st_mtime_ns for path in (home / "checkpoints" / place).glob("*/*.npz")}


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """A home with a study of two optimizers, killed after its first run and begun again; what was there, and what it said."""
    home = tmp_path_factory.mktemp("studied")
    process = start(home, *OPTIMIZERS)
    met = any("run 2 of 4" in line for line in process.stdout)
    process.kill()
    _, err = process.communicate()
    assert met, err
    before = {path: stamp for path, stamp in trained(home, "landscapes").items() if path.parent.name == min(RUNS, key=len)}
    process = start(home, *OPTIMIZERS)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0 and "Traceback" not in err, out + err
    return home, before, out


def test_a_killed_study_goes_on_and_makes_no_finished_run_again(studied):
    home, before, out = studied
    assert "run 1 of 4" not in out and all(f"run {number} of 4" in out for number in (2, 3, 4))
    assert before and before.items() <= trained(home, "landscapes").items()
    assert {path.parent.name for path in trained(home, "landscapes")} == RUNS
    board = pandas.read_csv(home / "submissions/landscapes/leaderboard.csv")
    assert set(board["run"]) == RUNS and board["holdout_rmse"].notna().all()


def test_done_it_makes_nothing_again_and_says_the_same(studied, capsys):
    home, _, out = studied
    stamps, page = trained(home, "landscapes"), page_of(home, "optimizers", "landscapes")
    study_here(home, *OPTIMIZERS)
    printed = capsys.readouterr().out
    assert "study: run" not in printed and printed.splitlines()[-2:] == out.splitlines()[-2:]
    assert trained(home, "landscapes") == stamps and page_of(home, "optimizers", "landscapes") == page


def test_runs_whose_folders_were_deleted_are_made_again(studied, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(studied[0], home)
    deleted = sorted(RUNS)[:3]
    for run in deleted:
        shutil.rmtree(home / "checkpoints" / "landscapes" / run)
    study_here(home, *OPTIMIZERS)
    assert {path.parent.name for path in trained(home, "landscapes")} == RUNS
    old, new = (read_study(each, "optimizers", "landscapes") for each in (studied[0], home))
    assert [row["rmse"] for row in new["rows"]] == [row["rmse"] for row in old["rows"]]


def test_a_run_of_a_study_is_the_run_that_its_own_command_makes_even_in_two_parts(studied, tmp_path):
    home, _, _ = studied
    for room in ("competition", "augment"):
        shutil.copytree(home / room, tmp_path / room)
    name = max(RUNS, key=len)
    flags = ("--home", str(tmp_path), "--competition", "landscapes", *TINY, "--start", "harmonic", "--ema-decay", "0.9",
             "--model", "unet", "--optimizer", "sgd", "--seed", "2")
    main(["train", *flags, "--steps", "4", "--run", name])
    main(["train", *flags, "--steps", "8"])
    assert newest_state(tmp_path / "checkpoints/landscapes" / name) == newest_state(home / "checkpoints/landscapes" / name)
    stored = tomllib.loads((tmp_path / "checkpoints/landscapes" / name / "run.toml").read_text())["training"]
    assert stored["learning_rate"] == 0.01 and stored["optimizer"] == "sgd"


def errors_on_disk(home, run):
    """Squared errors of each holdout picture, from the submission's rows, the contest's PNG files and nothing of src."""
    submission = pandas.read_csv(home / "submissions/landscapes" / f"{run}.holdout.csv")
    submission[["picture", "row", "column", "channel"]] = submission["pixel"].str.rsplit("_", n=3, expand=True)
    places = {name: submission[name].astype(int) for name in ("row", "column", "channel")}
    squares = []
    for _, rows in submission.groupby("picture", sort=False):
        path = home / "competition/landscapes/files/train/whole" / f"{rows['picture'].iloc[0]}.png"
        whole = cv2.imread(str(path))[..., ::-1] / 255
        at = [places[name].loc[rows.index] for name in ("row", "column", "channel")]
        squares.append([((rows["value"] - whole[at[0], at[1], at[2]]) ** 2).sum(), len(rows)])
    return np.array(squares)


def rmse_on_disk(home, runs):
    of_runs = [errors_on_disk(home, run) for run in runs]
    return np.mean([np.sqrt(each[:, 0].sum() / each[:, 1].sum()) for each in of_runs])


def test_table_and_sentence_are_what_the_files_of_the_runs_say(studied):
    home, _, out = studied
    shown, study = cells(home, "optimizers", "landscapes"), read_study(home, "optimizers", "landscapes")
    page = page_of(home, "optimizers", "landscapes")
    rmse = {"Adam": rmse_on_disk(home, [run for run in RUNS if "sgd" not in run]),
            "SGD": rmse_on_disk(home, [run for run in RUNS if "sgd" in run])}
    for title, value in rmse.items():
        assert float(shown.loc[title, "RMSE (95% interval)"].split()[0]) == pytest.approx(value, abs=2e-5)
        parts = [json.loads((home / "checkpoints/landscapes" / run / "score.json").read_text())["scores"]
                 for run in row_of(home, "optimizers", title, "landscapes")["runs"]]
        for score in ("l1", "l2", "poisson", "cosine"):
            assert float(shown.loc[title, score]) == pytest.approx(np.mean([part[score] for part in parts]), abs=1e-5)
        assert float(shown.loc[title, "training minutes"]) >= 0 and shown.loc[title, "steps"] == "8"
        assert 0 <= int(shown.loc[title, "best step"]) <= 8
    assert shown.loc["Adam", "learning rate"] == "0.001" and shown.loc["SGD", "learning rate"] == "0.01"
    best = min(rmse, key=rmse.get)
    assert study["best"] == best and f"{rmse[best]:.4f}" in study["conclusion"] and study["conclusion"] in out
    assert study["conclusion"] in page
    assert {*(f"{fill} (baseline)" for fill in ("harmonic", "mean", "smooth"))} <= set(shown.index)
    assert " --rows adam,sgd" in page and str(home) not in page


def test_the_picture_shows_curves_and_rows(studied):
    picture = cv2.imread(str(studied[0] / "checkpoints/landscapes/studies/optimizers.png"))
    height, width, _ = picture.shape
    places = [(row * height // 3, column * width // 2) for row in range(3) for column in range(2)]
    filled = [(picture[top:top + height // 3, left:left + width // 2] < 200).mean() > 0.005 for top, left in places]
    assert filled == [True] * 5 + [False]


def test_the_report_shows_the_study(studied, tmp_path):
    if chromium.BINARY is None:
        pytest.skip("Chromium is not installed here, so the page is not opened; .ci/run installs it.")
    home, _, out = studied
    shown = re.search(r"pixmend report --run (\S+)", out)[1]
    main(["report", "--home", str(home), "--competition", "landscapes", "--run", shown])
    with chromium.Browser(tmp_path) as page:
        for width in (360, 1200):
            page.set_view(width=width)
            page.open((home / "submissions/landscapes/report.html").as_uri())
            assert not page.get_events("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
            assert page.ask("document.documentElement.scrollWidth") <= width
        study = "[...document.querySelectorAll('#experiments {}')].map(each => each.textContent.trim())"
        assert page.ask(study.format("b")) == [read_study(home, "optimizers", "landscapes")["conclusion"]]
        assert page.ask(study.format("figcaption")) == [
            "Training loss", "Training loss, over time",
            "Holdout RMSE during training", "Holdout RMSE during training, over time", "Holdout RMSE"]
        assert page.ask(study.format("tbody th")) == list(cells(home, "optimizers", "landscapes").index)
        assert page.ask(study.format("tr.here th")) == [read_study(home, "optimizers", "landscapes")["best"]]


@pytest.mark.long
def test_a_row_that_diverges_says_so_and_the_others_are_made(home, capsys):
    flags = ("optimizers", *TINY, "--steps", "8", "--rows", "adam,sgd", "--seeds", "1", "--start", "harmonic",
             "--learning-rate", "0.9")
    study_here(home, *flags)
    adam, sgd = row_of(home, "optimizers", "Adam"), row_of(home, "optimizers", "SGD")
    assert adam["rmse"] is None and adam["state"].startswith("diverged: Training diverged") and str(home) not in adam["state"]
    assert sgd["rmse"] and not sgd["state"]
    conclusion = read_study(home, "optimizers")["conclusion"]
    assert conclusion.startswith("SGD is the only row") and conclusion.endswith("Adam is not compared: 1 of 1 runs diverged.")
    assert adam["state"] in cells(home, "optimizers").loc["Adam", "remarks"]
    board = (home / "submissions/demo/leaderboard.csv").read_text()
    assert all(run in board for run in adam["runs"])
    capsys.readouterr()
    study_here(home, *flags)
    assert "study: run" not in capsys.readouterr().out


@pytest.mark.long
def test_models_say_what_they_cost_and_which_cannot_take_the_pictures(home):
    study_here(home, "models", *TINY, "--steps", "4", "--seeds", "1", "--work-size", "16", "--encoder-weights", "none",
               "--rows", "harmonic,unet,mlp,pretrained_unet,stable_diffusion", "--diffusion-env", home / "none")
    shown = cells(home, "models")
    best = home / "checkpoints/demo" / row_of(home, "models", "unet")["runs"][0] / "best.npz"
    with np.load(best) as archive:
        numbers = sum(archive[name].size for name in archive.files if archive[name].dtype == np.float32)
    assert shown.loc["unet", "parameters"] == f"{numbers:,}"
    assert shown.loc["unet", "weights, MB"] == f"{best.stat().st_size / 1e6:.2f}"
    assert all(float(shown.loc[row, "seconds an image"]) > 0 for row in ("unet", "harmonic (baseline)"))
    assert shown.loc["unet", "steps"] == "4" and len(row_of(home, "models", "harmonic")["runs"]) == 1
    assert "2x2" in shown.loc["mlp", "remarks"] and "--diffusion-env" in shown.loc["stable_diffusion", "remarks"]
    assert "needs 32 pixels a side" in shown.loc["pretrained_unet", "remarks"]
    assert "best baseline" in read_study(home, "models")["conclusion"]


def test_study_of_fills_alone_ends_well_and_says_that_no_network_was_compared(home):
    assert study_here(home, "models", *TINY, "--rows", "mean,telea") in (None, 0)
    study = read_study(home, "models")
    assert study["best"] is None and "No network was compared" in study["conclusion"]
    assert len(row_of(home, "models", "telea")["runs"]) == 1 and row_of(home, "models", "telea")["rmse"] > 0


def test_figures_of_images_that_were_replaced_are_made_again(home):
    flags = (*TINY, "--rows", "mean,telea")
    study_here(home, "models", *flags)
    study = next((home / "checkpoints/demo").glob("models.study.json"))
    stored = json.loads(study.read_text())
    for run in stored["runs"]:   # as if they had been made with two images more
        score = home / f"checkpoints/demo/{run}/score.json"
        values = json.loads(score.read_text())
        lists = {name: values[name] + values[name][:2] for name in ("ids", "classes", "sources", "sums", "numbers")}
        score.write_text(json.dumps(values | lists))
    assert study_here(home, "models", *flags) in (None, 0)
    assert row_of(home, "models", "telea")["rmse"] > 0


@pytest.mark.parametrize(("learned", "compared"), [((True, False), ["b"]), ((True, True), ["a", "b"])])
def test_rows_that_have_learned_the_holdout_are_compared_only_with_such_rows(learned, compared):
    rows = [{"name": name, "whole": True, "fill": False, "absent": "", "learned": has_learned}
            for name, has_learned in zip("ab", learned, strict=True)]
    apart = study_results.set_learned_apart(rows)
    assert [row["name"] for row in apart if row["whole"]] == compared
    assert all(("learned from photographs of this holdout" in row["absent"]) != row["whole"] for row in apart)


@pytest.mark.parametrize("text", ["[]", "null", '{"form": 1}', '{"form": 1, "rows": "x"}'])
def test_a_damaged_file_of_results_is_named(tmp_path, text):
    (tmp_path / "losses.study.json").write_text(text)
    with pytest.raises(UserError, match=r"losses\.study\.json is damaged"):
        study_results.read_studies(tmp_path)
    (tmp_path / "losses.study.json").write_text('{"form": 0}')
    assert study_results.read_studies(tmp_path) == []


def test_a_run_on_other_extra_pictures_is_another_run_to_a_study():
    settings = Settings(run="a")
    made_from = [study.identify_run(settings, SimpleNamespace(cache_key={}, extra_pictures=extra))["made_from"]
                 for extra in ("", "one", "two")]
    assert len(set(made_from)) == 3


@pytest.mark.long
def test_printed_command_finds_the_run_though_another_competition_has_one_of_its_name(home, capsys):
    study_here(home, "losses", *TINY, "--steps", "2", "--rows", "l2", "--seeds", "1", "--competition", "demo")
    words = shlex.split(capsys.readouterr().out.rpartition("pixmend ")[2])
    run = row_of(home, "losses", "l2 (MSE)")["runs"][0]
    shutil.copytree(home / "checkpoints/demo" / run, home / "checkpoints/landscapes" / run)
    assert words[0] == "report" and main(words) in (None, 0)
    assert run in (home / "submissions/demo/report.html").read_text()


@pytest.mark.long
def test_augmentation_varies_the_prepared_set_and_leaves_it_as_it_was(home, capsys):
    index = (home / "augment/demo/index.csv").read_bytes()
    study_here(home, "augmentation", *TINY, "--steps", "2", "--seeds", "1", "--rows", "none", "--no-adversarial")
    assert (home / "augment/demo/index.csv").read_bytes() == index
    run = home / "checkpoints/demo" / row_of(home, "augmentation", "no transforms")["runs"][0]
    assert tomllib.loads((run / "run.toml").read_text())["augment"]["augment"] == "none"
    alone, *_, varied = map(int, re.findall(r"augment: (\d+) training rows", capsys.readouterr().out))
    assert varied == 5 * alone
    assert "no transforms" in cells(home, "augmentation").index


def rows(home, name, *flags):
    chosen = complete_settings(parse_flags(["--home", str(home), *TINY, *flags]), {})
    plan = study_plans.PLANS[name]
    return study_plans.select_rows(study_plans.apply_study_defaults(chosen, plan), plan, dataset.Dataset(home / "augment/demo"))


def test_every_study_has_the_rows_that_it_promises(prepared_home):
    of = {name: {row.name: row for row in rows(prepared_home, name)} for name in study_plans.PLANS}
    assert [*of["optimizers"]] == ["adam", "sgd", "rmsprop", "adagrad"]
    assert [*of["losses"]] == ["l2", "l1", "poisson", "kl", "cross_entropy"]
    assert [row.values["LAMBDA"] for row in of["lambda"].values()] == [100, 200, 400, 800, 1000, 1200, 20000]
    assert {name: (row.values["augment"], row.values["fresh_masks"]) for name, row in of["augmentation"].items()} == {
        "none": ("none", False), "5x": ("5x", False), "8x": ("8x", False), "fresh": ("none", True)}
    assert set(of["models"]) == {name for name in models.list_models() if name != "locate"}
    assert [*of["levels"]] == [str(number) for number in range(4, 11)]


@pytest.mark.parametrize(("size", "most"), [(32, 5), (256, 8), (1024, 10)])
def test_levels_that_a_picture_cannot_be_halved_to_are_left_out(prepared_home, size, most):
    found = rows(prepared_home, "levels", "--size", str(size), "--width", "1")
    assert [row.name for row in found if not row.left_out] == [str(number) for number in range(4, most + 1)]
    assert all(f"network as with {most} levels" in row.left_out for row in found[most - 3:])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rmsprop", "adagrad"])
def test_an_optimizer_goes_on_exactly_where_it_stopped_averages_and_all(home, name):
    flags = ("--home", str(home), *TINY, "--model", "unet", "--optimizer", name, "--ema-decay", "0.9")
    main(["train", *flags, "--steps", "6", "--run", "whole"])
    for steps in ("3", "6"):
        main(["train", *flags, "--steps", steps, "--run", "halves"])
    whole, halves = (newest_state(home / "checkpoints/demo" / run) for run in ("whole", "halves"))
    assert whole[0] == halves[0]
    looks = pandas.read_csv(home / "checkpoints/demo/whole/history.csv")["holdout_rmse"]
    assert looks.iloc[-1] != looks.iloc[0]


@pytest.mark.parametrize(("words", "message"), [
    ([], "Name the study.*optimizers"),
    (["optimisers"], "no study 'optimisers'.*optimizers"),
    (["--steps", "3"], "Name the study"),
    (["optimizers", "--optimizer", "sgd"], "--optimizer is what the study optimizers compares.*--rows"),
    (["lambda", "--lambda", "3"], "--lambda is what"),
    (["lambda", "--lambda", "3,4"], "--rows 3,4"),
    (["lambda", "--rows", "3,many"], "many"),
    (["lambda", "--model", "unet"], "--adversarial"),
    (["models", "--model", "unet"], "--model is what"),
    (["losses", "--steps", "3,4"], "`pixmend sweep` tries several"),
    (["losses", "--rows", "l3"], "no row 'l3'.*l2, l1"),
    (["losses", "--model", "mean"], "--model mean is not trained"),
    (["losses", "--seeds", "1,x"], "--seeds 1,x"),
    (["losses", "--seed", "2"], "--seeds"),
    (["losses", "--run", "mine"], "--run is not for a study"),
    (["losses", "--force"], "--force is not for a study"),
    (["losses", "--folds", "2"], "--folds is not for a study"),
    (["losses", "--snapshots", "2"], "--snapshots is not for a study"),
    (["losses", "--lamda", "2"], "--lambda"),
])
def test_what_a_study_cannot_do_is_said_before_anything_starts(home, words, message):
    before = sorted(home.rglob("*"))
    with pytest.raises(FlagError, match=message):
        main(["study", *words, "--home", str(home), *TINY])
    assert not [path for path in home.rglob("*") if path not in before and path.suffix]


@pytest.mark.parametrize(("name", "rows"), [("losses", "l3"), ("lambda", "many"), ("models", "unet,nosuch")])
def test_a_wrong_row_is_refused_before_anything_is_downloaded(tmp_path, name, rows):
    with pytest.raises(FlagError, match=rows.split(",")[-1]):
        main(["study", name, "--rows", rows, "--home", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--home", "losses", "losses", "--quiet"], ["losses", "--home", "losses", "--quiet"],
                                   ["--quiet", "losses", "--home=losses"], ["--home", "losses", "--quiet", "losses"]])
def test_the_name_of_a_study_may_stand_anywhere(words):
    settings = read_settings("study", words)
    assert (settings.about, settings.home, settings.quiet) == ("losses", "losses", True)


def squares(*means, pictures=40, spread=0.2):
    """Squared errors of a row of which each seed has one mean over pictures of ten values, a picture as hard in every row."""
    hard = 1 + spread * np.sin(np.arange(pictures))
    return np.array([10 * mean**2 * hard for mean in means])


NUMBERS = [10] * 40
DRAWS = study_conclusion.Draws(NUMBERS)
FILLS = {"mean": squares(0.5), "smooth": squares(0.2)}


def test_the_best_row_wins_by_its_paired_difference_though_its_pictures_differ_far_more():
    ours = {"slow": squares(0.20, 0.20, spread=0.9), "quick": squares(0.19, 0.19, spread=0.9)}
    low, high = DRAWS.compute_interval(ours["quick"])
    assert low < 0.19 < high and high > 0.20
    conclusion = study_conclusion.write_conclusion(ours, {"mean": squares(0.5)}, DRAWS)
    assert conclusion.startswith("The best row is quick, RMSE 0.19") and "The next, slow, is 0.0" in conclusion
    assert "It is better than the best baseline, mean" in conclusion


def test_rows_whose_order_changes_with_the_seed_cannot_be_told_apart():
    ours = {"one": squares(0.30, 0.26, 0.28), "other": squares(0.26, 0.31, 0.28), "far": squares(0.6, 0.61, 0.6)}
    conclusion = study_conclusion.write_conclusion(ours, FILLS, DRAWS)
    assert conclusion.startswith("one has the lowest RMSE, RMSE 0.28") and "no difference can be seen from other:" in conclusion
    assert "Clearly worse: far." in conclusion and "It is worse than the best baseline, smooth, by 0.08" in conclusion


def test_a_row_as_good_as_the_best_fill_is_said_to_be_neither():
    seeds = squares(0.19, 0.21)
    conclusion = study_conclusion.write_conclusion({"one": seeds}, FILLS, DRAWS)
    assert "No difference from the best baseline, smooth, can be seen" in conclusion


def test_a_conclusion_from_one_seed_says_that_it_may_be_chance():
    for seeds, is_said in ((1, True), (3, False)):
        rows = {"one": squares(*[0.28] * seeds), "other": squares(*[0.3] * seeds)}
        assert ("chance" in study_conclusion.write_conclusion(rows, FILLS, DRAWS)) == is_said


def test_rows_that_diverged_take_no_part_and_of_none_nothing_is_said():
    conclusion = study_conclusion.write_conclusion({"sgd": squares(0.1)}, FILLS, DRAWS, {"adam": "2 of 3 runs diverged"})
    assert conclusion.startswith("sgd is the only row, RMSE 0.1")
    assert conclusion.endswith("adam is not compared: 2 of 3 runs diverged.")
    conclusion = study_conclusion.write_conclusion({}, FILLS, DRAWS, {"adam": "2 of 3 runs diverged"})
    assert conclusion.startswith("No row was finished")
    conclusion = study_conclusion.write_conclusion({"one": squares(0.1)[:, :1]}, {}, study_conclusion.Draws(NUMBERS[:1]))
    assert conclusion == "One photo is too few for a conclusion."


def test_a_holdout_of_one_photo_has_no_intervals(tmp_path):
    row = study_results.UNKNOWN | {"fill": False, "whole": True, "absent": "", "learned": False, "state": "", "runs": []}
    lines = [row | {"name": name, "title": name, "squares": squares} for name, squares in
             (("one", [[1.0, 2.0], [1.1, 2.2]]), ("two", [[2.0, 3.0], [2.2, 3.3]]))]
    fill = row | {"name": "harmonic", "title": "harmonic", "fill": True, "squares": [[3.0, 3.0]]}
    study_results.compare_lines([*lines, fill], {"numbers": [4, 4], "sources": ["p", "p"], "fills": {"harmonic": [3.0, 3.0]}})
    assert [each["rmse"] is None for each in lines] == [False, False]
    assert {each[name] for each in [*lines, fill] for name in ("low", "high", "behind")} == {None}
    study = {"rows": [*lines, fill], "curves": False, "over": ""}
    assert study_table.format_text(study | {"place": "demo"}).splitlines()[1].split()[1] == "–"
    assert experiment_charts.render_study(Settings(home=str(tmp_path)), study)


def test_a_difference_is_that_of_a_plain_bootstrap_over_pictures():
    rng = np.random.default_rng(3)
    one, other = (rng.gamma(2, scale, (1, 60)) for scale in (1.0, 1.3))
    numbers = np.full(60, 10)
    value, low, high = study_conclusion.Draws(numbers).compute_difference(one, other)
    picks = [rng.integers(0, 60, 60) for _ in range(4000)]
    plain = [np.sqrt(other[0, pick].sum() / 600) - np.sqrt(one[0, pick].sum() / 600) for pick in picks]
    assert value == pytest.approx(np.sqrt(other.sum() / 600) - np.sqrt(one.sum() / 600))
    assert (low, high) == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.15 * (high - low))


def test_images_of_one_photo_tell_no_more_than_one_image_of_it():
    one, other = squares(0.30, spread=0.9), squares(0.29, spread=0.9)
    of_photos = DRAWS.compute_difference(other, one)
    numbers, sources = 5 * NUMBERS, [f"photo {number}" for number in 5 * list(range(len(NUMBERS)))]
    of_images, more = study_conclusion.Draws(numbers, sources), (np.tile(other, 5), np.tile(one, 5))
    assert of_images.compute_difference(*more) == pytest.approx(of_photos)
    assert study_conclusion.Draws(numbers).compute_difference(*more)[1] > of_photos[1]
    conclusion = study_conclusion.write_conclusion({"one": one}, {}, study_conclusion.Draws(NUMBERS, ["photo"] * len(NUMBERS)))
    assert conclusion == "One photo is too few for a conclusion."


@pytest.mark.parametrize("noise_of_images", [0.02, 0.5])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_equal_rows_are_seldom_called_different(seeds, noise_of_images):
    rng, draws, pairs = np.random.default_rng(0), DRAWS, 250
    different = 0
    for _ in range(pairs):
        hard = rng.gamma(2, 1, len(NUMBERS))
        one, other = (hard * np.exp(rng.normal(0, noise_of_images, len(NUMBERS)) + rng.normal(0, 0.05, (seeds, 1)))
                      for _ in range(2))
        _, low, high = draws.compute_difference(one, other)
        different += low > 0 or high < 0
    assert different <= 0.09 * pairs   # 5% is meant: 23 of 250 would be chance once in 500 such tests


@pytest.mark.slow
@pytest.mark.parametrize("contest", ["demo", "depixelation", "missing_pixels", "landscapes"])
def test_every_model_is_a_row_that_is_whole_or_says_why_not(tmp_path, contest):
    # In bfloat16, oneDNN's gradients of unused weights of mobilenet_v2 were not always finite on a processor without AMX.
    study_here(tmp_path, "models", "--competition", contest, *TINY, "--precision", "float32", "--steps", "2", "--seeds", "1",
               "--encoder-weights", "none")
    for row in read_study(tmp_path, "models", contest)["rows"]:
        assert row["rmse"] or row["state"].startswith(("left out: ", "cannot be made: ")), row
