"""The score of what earlier stages left, on a machine that lacks something."""

import json
import shutil
from unittest import mock

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student_t
from support.stages import SMALL, done, stage, stage_process

from pixmend import models
from pixmend.config import Settings
from pixmend.evaluation import leaderboard
from pixmend.evaluation.bootstrap import bootstrap_interval, compare_rmse
from pixmend.scoring import run_score
from pixmend.scoring.verdict import describe_change, describe_run, format_table

FILL = (*SMALL, "--model", "harmonic", "--run", "harmonic")


@pytest.fixture(scope="module")
def serialized_home(module_home):
    """A home with a fill's files, not scored yet; copy it before writing to it."""
    for name in ("train", "predict", "serialize"):
        done(stage(name, module_home, *FILL))
    return module_home


@pytest.fixture
def serialized(serialized_home, tmp_path):
    shutil.copytree(serialized_home, tmp_path / "home")
    return tmp_path / "home"


def row_of(home):
    row, = leaderboard.read_leaderboard(home / "submissions/demo/leaderboard.csv")
    return row


def test_where_git_is_not_installed_the_score_stands_without_a_commit(serialized, tmp_path):
    done(stage_process("score", serialized, *FILL, env={"PATH": str(tmp_path)}))
    row = row_of(serialized)
    assert row["commit"] == "" and float(row["holdout_rmse"]) > 0


def test_a_file_in_another_channel_order_or_scale_is_refused_with_the_flag_to_give(serialized):
    for flags, flag in ((("--channel-order", "rgb"), "--channel-order bgr"), (("--value-scale", "minmax"), "--value-scale unit")):
        result = stage("score", serialized, *FILL, *flags)
        assert result.returncode == 1 and flag in result.stderr and "harmonic.holdout.csv" in result.stderr
        assert "Traceback" not in result.stderr and not (serialized / "submissions/demo/leaderboard.csv").exists()


def test_stretched_values_are_compared_with_baselines_in_the_same_scale(serialized):
    done(stage("score", serialized, *FILL))
    done(stage("serialize", serialized, *FILL, "--value-scale", "minmax"))
    done(stage("score", serialized, *FILL, "--value-scale", "minmax"))
    score = json.loads((serialized / "checkpoints/demo/harmonic/score.json").read_text())
    assert score["sums"] == pytest.approx(score["fills"]["harmonic"], rel=1e-3)   # which is rounded in the file
    assert float(row_of(serialized)["to_harmonic"]) == 1


def test_kaggles_scores_stay_with_the_file_that_was_sent_and_go_with_it(serialized):
    board, file = serialized / "submissions/demo/leaderboard.csv", serialized / "submissions/demo/harmonic.csv"
    (serialized / "competition/demo/solution.csv").unlink()
    sent = f"2024-01-02 {leaderboard.make_file_tag(file)}"
    leaderboard.update_run(board, "harmonic", sent=sent, public="0.1", private="0.2", kaggle="complete")
    done(stage("score", serialized, *FILL))
    assert (row_of(serialized)["public"], row_of(serialized)["kaggle"]) == ("0.1", "complete")
    leaderboard.update_run(board, "harmonic", sent="2024-01-02 abcdefabcdef")
    done(stage("score", serialized, *FILL))
    row = row_of(serialized)
    assert (row["public"], row["private"], row["kaggle"]) == ("", "", "") and row["sent"] and row["holdout_rmse"]


def test_file_that_is_written_again_while_it_is_scored_has_no_score(serialized, monkeypatch):
    path, score_baselines = serialized / "submissions/demo/harmonic.holdout.csv", run_score.score_baselines

    def write_meanwhile(*arguments):
        path.write_bytes(path.read_bytes() + b"\n")
        return score_baselines(*arguments)

    monkeypatch.setattr(run_score, "score_baselines", write_meanwhile)
    result = stage("score", serialized, *FILL)
    assert result.returncode == 1 and "harmonic.holdout.csv" in result.stderr
    assert not list(serialized.rglob("score.json")) and not (serialized / "submissions/demo/leaderboard.csv").exists()


@pytest.mark.parametrize("earlier", ["photos", "photos 0123456789abcdef"], ids=["no hash", "another hash"])
def test_what_other_weights_of_photos_made_is_made_again(serialized, earlier):
    flags = (*SMALL, "--model", "photos", "--run", "photos")
    for name in ("train", "predict", "serialize", "score"):
        done(stage(name, serialized, *flags))
    predicted, scored = serialized / "checkpoints/demo/photos/predict.json", serialized / "augment/demo/fills.json"
    now = models.identify_fill("photos")
    assert now in predicted.read_text() and now in scored.read_text()
    fills = json.loads(scored.read_text())
    sums = dict(fills["sums"])
    fills["sums"]["photos"] = [0.0] * len(sums["photos"])
    scored.write_text(json.dumps(fills).replace(now, earlier))
    predicted.write_text(predicted.read_text().replace(now, earlier))
    assert "other weights" in done(stage("report", serialized, *flags))
    before = (serialized / "checkpoints/demo/photos/test.npz").stat().st_mtime_ns
    for name in ("predict", "serialize", "score"):
        done(stage(name, serialized, *flags))
    assert (serialized / "checkpoints/demo/photos/test.npz").stat().st_mtime_ns > before
    assert json.loads(scored.read_text())["sums"] == sums


def test_score_without_improvement_names_the_best_baseline(serialized):
    mean = (*SMALL, "--model", "mean", "--run", "mean")
    for name in ("train", "predict", "serialize"):
        done(stage(name, serialized, *mean))
    printed = done(stage("score", serialized, "--run", "mean"))
    lines = [line.strip() for line in printed.splitlines()]
    rmse = {name: float(next(line for line in lines if line.startswith(f"{name} (")).split(")")[1].split()[0])
            for name in ("harmonic", "ring", "smooth", "telea", "navier_stokes")}
    best = printed.partition("Best baseline: ")[2].split(",")[0]
    assert rmse[best] == min(rmse.values()) and "better" not in printed
    assert "tile_smooth" not in printed and "biharmonic" not in printed


def find_ends(values, photos):
    """Return the ends of the expanded percentile interval."""
    tail = norm.cdf(-np.sqrt(photos / (photos - 1)) * student_t.ppf(0.975, photos - 1))
    return np.quantile(values, [tail, 1 - tail])


def test_change_of_rmse_agrees_with_a_direct_bootstrap():
    rng = np.random.default_rng(3)
    others = rng.uniform(1, 2, 40)
    sums = others * rng.uniform(0.85, 0.95, 40)
    change = compare_rmse(sums, others)
    drawn = [np.sqrt(sums[i].sum() / others[i].sum()) - 1 for i in rng.integers(0, 40, (4000, 40))]
    assert change.value == pytest.approx(np.sqrt(sums.sum() / others.sum()) - 1)
    assert (change.low, change.high) == pytest.approx(find_ends(drawn, 40), abs=0.002)
    assert change.is_clear and change.high < 0
    assert not compare_rmse(others * rng.permutation([0.8, 1.2] * 20), others).is_clear


def test_images_of_one_photo_are_drawn_together():
    rng = np.random.default_rng(3)
    others = rng.uniform(1, 2, 40)
    sums, counts = others * rng.uniform(0.85, 1.1, 40), rng.integers(10, 20, 40)
    sources = [f"photo {number}" for number in range(8)] * 5
    of_photo = [np.arange(number, 40, 8) for number in range(8)]
    picks = [np.concatenate([of_photo[photo] for photo in photos]) for photos in rng.integers(0, 8, (4000, 8))]
    rmse, changes = zip(*[(np.sqrt(sums[i].sum() / counts[i].sum()), np.sqrt(sums[i].sum() / others[i].sum()) - 1)
                          for i in picks], strict=True)
    change = compare_rmse(sums, others, sources)
    assert bootstrap_interval(sums, counts, sources) == pytest.approx(find_ends(rmse, 8), abs=0.003)
    assert (change.low, change.high) == pytest.approx(find_ends(changes, 8), abs=0.003)
    assert not compare_rmse(sums, others, ["photo"] * 40).is_clear


@pytest.mark.parametrize("photos", [5, 12])
def test_two_equal_methods_are_seldom_called_different_on_few_photos(photos):
    """In 5% of the trials, if intervals were exact; with the plain percentiles of draws it were 16% for five photos."""
    rng, trials, called = np.random.default_rng(4), 400, 0
    for _ in range(trials):
        difficulty = rng.lognormal(0, 0.8, photos)
        called += compare_rmse(*(difficulty * rng.lognormal(0, 0.08, photos) for _ in range(2))).is_clear
    assert called / trials < 0.1


def test_a_change_that_is_shown_as_nothing_is_not_called_one():
    others = np.random.default_rng(3).uniform(1, 2, 40)
    change = compare_rmse(others * 0.99999, others)
    assert change.high < 0 and not change.is_clear


def test_one_photo_is_too_few_to_call_a_run_better():
    change = compare_rmse([1.0], [2.0])
    assert change.value < 0 and not change.is_clear and "One photo" in describe_change(change, "it")


def test_one_photo_has_no_interval():
    assert bootstrap_interval([1.0], [4]) is None and bootstrap_interval([1.0, 2.0], [4, 4], ["photo", "photo"]) is None
    scores = {"ids": ["a", "b"], "classes": ["x", "x"], "sources": ["photo", "photo"], "sums": [1.0, 2.0], "numbers": [4, 4],
              "scores": {}}
    fills, settings = {"sums": {"harmonic": [2.0, 2.0]}, "scores": {"harmonic": {}}}, Settings(home="nowhere", run="a")
    figures = run_score.summarize(scores, fills["sums"])
    assert figures["holdout_rmse"] > 0 and (figures["low"], figures["high"]) == ("", "")
    table = format_table(settings, scores, fills, figures)
    assert "0.6124 to 0.6124" not in table and "0.61237  0.866 times" in table and "one photo" in table


def test_metrics_stand_in_one_order_in_all_lines_of_the_table():
    """Those of the baselines come from a file, whose names are sorted."""
    scores = {"ids": ["a", "b"], "classes": ["x", "x"], "sources": ["a", "b"], "sums": [1.0, 2.0], "numbers": [4, 4],
              "scores": {"l1": 0.1, "cosine": 0.9}}
    fills = {"sums": {"harmonic": [2.0, 2.0]}, "scores": {"harmonic": {"cosine": 0.8, "l1": 0.2}}}
    settings = Settings(home="nowhere", run="a")
    lines = format_table(settings, scores, fills, run_score.summarize(scores, fills["sums"])).splitlines()[1:3]
    assert [line.split("harmonic  ")[-1] for line in lines] == ["l1 0.1  cosine 0.9", "l1 0.2  cosine 0.8"]


@pytest.mark.parametrize(("photos", "is_said"), [(4, True), (5, False)])
def test_a_score_on_few_photos_says_that_its_intervals_are_too_narrow(photos, is_said):
    scores = {"sums": [1.0] * photos, "numbers": [100] * photos, "sources": [f"photo {number}" for number in range(photos)]}
    sentences = describe_run(Settings(home="nowhere", run="a"), scores, {"harmonic": [2.0] * photos})
    assert any("too narrow" in sentence for sentence in sentences) == is_said


def test_run_that_kept_its_first_weights_has_learned_nothing():
    settings = Settings(model="window_mlp", start="harmonic", home="nowhere", run="a")
    scores = {"sums": [1.0, 2.0], "numbers": [100, 100], "sources": ["a", "b"]}
    with mock.patch("pixmend.scoring.verdict.find_kept_step", return_value=0):
        sentences = describe_run(settings, scores, {"harmonic": [1.0, 2.0], "smooth": [0.9, 1.8]})
    assert "not learned anything" in sentences[1] and "--start smooth" in sentences[1]


@pytest.mark.parametrize(("steps", "changes", "helps"), [
    ((500, 600, 650, 700), {}, ()),
    ((900,), {}, ("--extra-pictures",)),
    ((500, 700, 800, 900), {}, ("--extra-pictures", "--early-stopping")),
    ((500, 700, 800, 900), {"adversarial": True}, ("--extra-pictures",)),
    ((700, 800, 900), {"init_from": "first"}, ("--extra-pictures",)),   # the first line is of the other run's weights
])
def test_advice_on_a_run_whose_best_weights_came_early(tmp_path, steps, changes, helps):
    settings = Settings(model="window_mlp", start="smooth", home=str(tmp_path), run="a", **changes)
    settings.run_folder.mkdir(parents=True)
    later = "".join(f"{step},2,0.2\n" for step in steps)
    first = 0.05 if settings.init_from else 0.3
    (settings.run_folder / "history.csv").write_text(f"step,minutes,holdout_rmse\n0,0,{first}\n400,1,0.1\n{later}")
    scores = {"sums": [1.0, 2.0], "numbers": [100, 100], "sources": ["a", "b"]}
    with mock.patch("pixmend.scoring.verdict.find_kept_step", return_value=400):
        text = " ".join(describe_run(settings, scores, {"harmonic": [2.0, 4.0], "smooth": [1.5, 2.8]}))
    assert f"400 of {steps[-1]}" in text
    assert tuple(flag for flag in ("--extra-pictures", "--early-stopping") if flag in text) == helps


def test_a_run_is_compared_with_the_pretrained_fill_unless_it_began_there():
    scores = {"sums": [1.0, 2.0], "numbers": [100, 100], "sources": ["a", "b"]}
    fills = {"smooth": [1.1, 2.2], "photos": [0.5, 1.0]}
    for settings, is_compared in ((Settings(start="smooth", home="nowhere", run="a"), True),
                                  (Settings(start="smooth", init_from="photos", home="nowhere", run="a"), False)):
        text = " ".join(describe_run(settings, scores, fills))
        assert "Best baseline: smooth" in text and "photos" in text and ("pretrained" in text) == is_compared


def test_score_table_calls_the_pretrained_fill_no_baseline(serialized):
    printed = done(stage("score", serialized, *FILL))
    assert "photos (pretrained)" in printed and "smooth (baseline)" in printed


def test_the_pretrained_fill_is_left_out_where_it_learned_from_the_holdout(tmp_path):
    """Landscapes are made of photographs inside packages, and so was the network."""
    for name in ("download", "augment", "train", "predict", "serialize"):
        done(stage(name, tmp_path, "--competition", "landscapes", *FILL))
    printed = done(stage("score", tmp_path, "--competition", "landscapes", *FILL))
    assert "photos (" not in printed and "smooth (baseline)" in printed


def test_a_score_says_where_photos_learned_from_the_holdout(tmp_path):
    flags = ("--competition", "landscapes", "--size", "32")
    for name in ("download", "augment"):
        done(stage(name, tmp_path, *flags))
    for run in ("photos", "harmonic"):
        for name in ("train", "predict"):
            done(stage(name, tmp_path, *flags, "--model", run, "--run", run))
    mixed = done(stage("ensemble", tmp_path, *flags, "--members", "photos,harmonic", "--run", "mixed"))
    assert "the weight of photos is too high" in mixed and "Submit photos alone" not in mixed
    for run, is_learned in (("photos", True), ("harmonic", False), ("mixed", True)):
        done(stage("serialize", tmp_path, *flags, "--run", run))
        printed = done(stage("score", tmp_path, *flags, "--run", run))
        score = json.loads((tmp_path / f"checkpoints/landscapes/{run}/score.json").read_text())
        assert score["learned_holdout"] == is_learned == ("photos has learned" in printed)
