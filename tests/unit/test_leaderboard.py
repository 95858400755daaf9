"""leaderboard.csv: a row a run, columns kept whoever wrote them, and whole whatever happens at the same time."""

import multiprocessing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmend.errors import UserError
from pixmend.evaluation import leaderboard


def test_a_stage_adds_its_columns_to_what_others_wrote(tmp_path):
    path = tmp_path / "new" / "leaderboard.csv"
    leaderboard.update_run(path, "a", holdout_rmse=0.15, steps=100)
    leaderboard.update_run(path, "b", holdout_rmse=0.14)
    leaderboard.update_run(path, "a", public="0.16", holdout_rmse=0.13)
    assert path.read_text() == "run,holdout_rmse,steps,public\na,0.13,100,0.16\nb,0.14,,\n"
    assert leaderboard.read_leaderboard(path)[1] == {"run": "b", "holdout_rmse": "0.14", "steps": "", "public": ""}


def test_no_file_is_an_empty_table(tmp_path):
    assert leaderboard.read_leaderboard(tmp_path / "leaderboard.csv") == []
    (tmp_path / "leaderboard.csv").touch()
    leaderboard.update_run(tmp_path / "leaderboard.csv", "a", public=1)
    assert leaderboard.read_leaderboard(tmp_path / "leaderboard.csv") == [{"run": "a", "public": "1"}]


def test_columns_that_a_person_added_stay(tmp_path):
    path = tmp_path / "leaderboard.csv"
    path.write_text("\ufeffnote,run\nmy best,a\n")
    leaderboard.update_run(path, "a", public=0.2)
    assert leaderboard.read_leaderboard(path) == [{"note": "my best", "run": "a", "public": "0.2"}]


@pytest.mark.parametrize("data", [b"id,value\n1,2\n", b"run,public\na,1,2\n", b"\xff\xfe\x00", b'run,x\n"a'])
def test_another_file_in_its_place_is_named_and_kept(tmp_path, data):
    path = tmp_path / "leaderboard.csv"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"leaderboard\.csv is not a table with a column `run`"):
        leaderboard.update_run(path, "a", public=1)
    assert path.read_bytes() == data


words = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=20)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(words.filter(str.strip), words, min_size=1, max_size=5))
def test_any_text_comes_back(tmp_path_factory, notes):
    path = tmp_path_factory.mktemp("board") / "leaderboard.csv"
    for run, note in notes.items():
        leaderboard.update_run(path, run, note=note)
    assert {row["run"]: row["note"] for row in leaderboard.read_leaderboard(path)} == notes


def put_some(path, name):
    for number in range(20):
        leaderboard.update_run(path, f"{name}{number}", **{f"column_{name}": number})


def test_many_at_once_lose_nothing(tmp_path):
    path = tmp_path / "leaderboard.csv"
    writers = [multiprocessing.get_context("fork").Process(target=put_some, args=(path, name)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(leaderboard.read_leaderboard(path)) == 80
