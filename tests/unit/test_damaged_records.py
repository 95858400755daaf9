"""Damaged files of the project's own: each is one message that names the file, and never a traceback or a wrong value."""

import json

import numpy as np
import pytest

from pixmend import files
from pixmend.data.archive_manifest import read_archive_manifest
from pixmend.errors import UserError
from pixmend.kaggle import kernel_main
from pixmend.scoring.run_score import read_score
from pixmend.submissions.predictions import read_metadata, read_values, write_predictions
from pixmend.training import checkpoints
from pixmend.training.history import History

SHAPES = {"model": [(2, 3)]}
SCORE = {"ids": ["a"], "classes": [""], "sources": ["x"], "sums": [1.0], "numbers": [3], "scores": {}, "fills": {"mean": [2.0]}}


def write_checkpoint(path, metadata, weights):
    np.savez(path, **{"facts": np.frombuffer(json.dumps(metadata).encode(), np.uint8), "model/00000": weights})


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "[" * 100_000, '{"sha256": 1}', '"text"', "\x00"])
def test_damaged_manifest_names_its_file(tmp_path, text):
    (tmp_path / "archive.json").write_text(text)
    with pytest.raises(UserError, match=r"archive\.json"):
        read_archive_manifest(tmp_path)


@pytest.mark.parametrize("change", [
    {"ids": ["a", "b"]}, {"sums": [None]}, {"sums": [float("nan")]}, {"numbers": [1.5]}, {"ids": None},
    {"fills": {"mean": ["2"]}}, {"scores": []}, {"numbers": [True]}, {"sources": "x"}, {"sources": [1]}, {"sources": []}])
def test_damaged_score_is_refused(tmp_path, change):
    (tmp_path / "score.json").write_text(json.dumps(SCORE))
    assert read_score(tmp_path) == SCORE
    (tmp_path / "score.json").write_text(json.dumps(SCORE | change))
    with pytest.raises(UserError, match=r"score\.json"):
        read_score(tmp_path)


def test_in_an_older_score_each_image_is_of_a_photo_of_its_own(tmp_path):
    (tmp_path / "score.json").write_text(json.dumps({name: value for name, value in SCORE.items() if name != "sources"}))
    assert read_score(tmp_path)["sources"] == SCORE["ids"]


def test_missing_file_is_not_a_damaged_one(tmp_path):
    assert read_score(tmp_path) is None and files.read_object(tmp_path / "none.json", {"a": int}) is None


@pytest.mark.parametrize("metadata", [{}, [], {"step": "5"}, {"step": 10**12}, {"step": -1e300}, {"step": None}, {"step": 1.5}])
def test_checkpoint_with_an_impossible_step_is_refused(tmp_path, metadata):
    path = tmp_path / "best.npz"
    write_checkpoint(path, metadata, np.zeros((2, 3), np.float32))
    with pytest.raises(UserError, match=r"best\.npz"):
        checkpoints.read_checkpoint(path, SHAPES)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    path = tmp_path / "best.npz"
    write_checkpoint(path, {"step": 5}, np.full((2, 3), value, np.float32))
    with pytest.raises(UserError, match=r"best\.npz.*finite"):
        checkpoints.read_checkpoint(path, SHAPES)


@pytest.mark.parametrize("text", ["step,minutes\nx,1\n", "a,b\n1,2\n", "step,minutes\n1\n", "step,minutes\n-1,0\n",
                                  'step,minutes\n"1,2\n'])
def test_damaged_history_names_its_file(tmp_path, text):
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(UserError, match=r"history\.csv"):
        History(tmp_path / "history.csv")


@pytest.mark.parametrize("text", ["", "step,minutes\n", "step,minutes\n6,1\n"])
def test_history_without_the_lines_before_a_state_is_refused(tmp_path, text):
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(UserError, match=r"history\.csv"):
        History(tmp_path / "history.csv").drop_after(4)
    History(tmp_path / "history.csv", writes=False).drop_after(4)   # another process writes it


@pytest.mark.parametrize("change", [{"best": "text"}, {"best": []}, {"best": float("nan")}, {"minutes": []}, {"minutes": -1}])
def test_state_with_impossible_progress_is_refused(tmp_path, change):
    progress, weights = {"step": 4, "best": 0.5, "minutes": 1.0}, {"model": [np.zeros((2, 3), np.float32)]}
    checkpoints.save_state(tmp_path, 4, weights, progress)
    assert checkpoints.load_newest_state(tmp_path, SHAPES)[1] == progress
    checkpoints.save_state(tmp_path, 5, weights, progress | change)
    with pytest.raises(UserError, match=r"state-000000005"):
        checkpoints.load_newest_state(tmp_path, SHAPES)


@pytest.mark.parametrize("starts", [[0, 5, 4], [1, 2, 4], [0, 4], [0, 2, 9]])
def test_predictions_whose_starts_are_impossible_are_refused(tmp_path, starts):
    path, mask = tmp_path / "test.npz", np.array([[True, True], [False, False]])
    images = [np.full((2, 2, 3), value, np.float32) for value in (0.25, 0.5)]
    write_predictions(path, images, [("a", mask), ("b", mask)], {"set": {"size": 2}})
    assert [values.tolist() for values in read_values(path)] == [[[0.25] * 3] * 2, [[0.5] * 3] * 2]
    assert read_metadata(path) == {"set": {"size": 2}}
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays | {"starts": np.array(starts)})
    with pytest.raises(UserError, match=r"test\.npz"):
        list(read_values(path))


@pytest.mark.parametrize("values", [np.full((4, 3), np.nan), np.full((4, 3), 1.5), np.zeros((3, 3)), np.zeros((0,)),
                                    np.asfortranarray(np.zeros((4, 3)))])
def test_predicted_values_that_are_impossible_are_refused(tmp_path, values):
    path, mask = tmp_path / "test.npz", np.array([[True, True], [False, False]])
    write_predictions(path, [np.zeros((2, 2, 3), np.float32)] * 2, [("a", mask), ("b", mask)], {"set": {"size": 2}})
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays | {"values": values})
    with pytest.raises(UserError, match=r"test\.npz"):
        list(read_values(path))


def test_session_at_kaggle_is_reported_whatever_its_leaderboard_holds(tmp_path):
    session = kernel_main.SessionRunner({"dataset": "demo", "run": "a", "tag": "t"}, tmp_path)
    for folder in (session.run_folder, session.submissions):
        folder.mkdir(parents=True)
    (session.run_folder / "state-000000004-abcdefabcdef.npz").write_bytes(b"state")
    (session.submissions / "leaderboard.csv").write_bytes(b"\xff\x00,")
    session.write_report(True, "")
    assert json.loads((tmp_path / kernel_main.REPORT).read_text())["step"] == 4
