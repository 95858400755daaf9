"""The score of what earlier stages left, on a machine that lacks something."""

import shutil

import pytest
from support.stages import SMALL, done, stage, stage_process

from pixmend.evaluation import leaderboard

FILL = (*SMALL, "--model", "harmonic", "--run", "harmonic")


@pytest.fixture(scope="module")
def serialized_home(prepared_home, tmp_path_factory):
    """A home with a fill's files, not scored yet; copy it before writing to it."""
    home = tmp_path_factory.mktemp("serialized") / "home"
    shutil.copytree(prepared_home, home)
    for name in ("train", "predict", "serialize"):
        done(stage(name, home, *FILL))
    return home


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
    for flags, told in ((("--channel-order", "rgb"), "--channel-order bgr"), (("--value-scale", "minmax"), "--value-scale unit")):
        result = stage("score", serialized, *FILL, *flags)
        assert result.returncode == 1 and f"give {told}" in result.stderr and "harmonic.holdout.csv" in result.stderr
        assert "Traceback" not in result.stderr and not (serialized / "submissions/demo/leaderboard.csv").exists()


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


def test_a_run_above_the_harmonic_fill_is_told_so_with_what_to_change(serialized):
    above, mean = "This run is above the harmonic fill", (*SMALL, "--model", "mean", "--run", "mean")
    for name in ("train", "predict", "serialize"):
        done(stage(name, serialized, *mean))
    told = done(stage("score", serialized, *mean))
    assert above in told and all(flag in told for flag in ("--steps", "--lambda", "--start harmonic"))
    assert above not in done(stage("score", serialized, *FILL))
