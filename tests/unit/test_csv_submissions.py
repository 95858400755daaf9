"""CSV submissions: written, checked and scored, compared with the csv module, pandas and scikit-learn."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import root_mean_squared_error
from support.tiny_competition import HEADER, read_rows, write_rows

from pixmend.errors import UserError
from pixmend.submissions import csv_format, csv_reader, csv_scoring

IDS = [f"{name}_box1_{r}_{c}_0" for name in ("a (1).png", 'b,"c" é.png') for r in range(9, 12) for c in range(98, 101)]
NAMES = st.text(st.characters(min_codepoint=32, exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=12)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(csv_reader, "BLOCK", 100)


def table(path, rows, header=HEADER):
    write_rows(path, [header, *rows])
    return path


def refusal(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return str(caught.value)


# Writing

@settings(max_examples=150, deadline=None)
@given(NAMES, st.integers(1, 2), st.tuples(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 4), st.integers(1, 4)),
       st.sampled_from([1, 3]), st.randoms(use_true_random=False))
def test_box_rows_equal_the_csv_module(name, number, box, channels, random):
    row, column, height, width = box
    values = np.array([random.random() for _ in range(height * width * channels)], np.float32)
    places = [(r, c, k) for r in range(row, row + height) for c in range(column, column + width) for k in range(channels)]
    ids = [f"{name}_box{number}_{r}_{c}_{k}" for r, c, k in places]
    pieces, text = csv_format.list_box_pieces(number, box, channels), io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(zip(ids, (f"{float(v):.6f}" for v in values), strict=True))
    assert csv_format.encode_rows(name, pieces, values.reshape(height, width, channels)) == text.getvalue().encode()
    assert [i.as_py().decode() for i in csv_format.list_ids(name, pieces).column(0)] == ids


def test_values_are_rounded_as_printf_does():
    exact_halves = np.arange(1, 128, 2) / 128 / 10**4
    values = np.concatenate([[0, 1, 0.5, 1e-7, 0.9999999, 5e-7], np.arange(256) / 255, exact_halves]).astype(np.float32)
    assert csv_format.format_values(values).astype(str).tolist() == [f"{float(v):.6f}" for v in values]


# Checking against a sample

@pytest.fixture
def sample(tmp_path):
    return table(tmp_path / "sample.csv", [(i, 0) for i in IDS])


def test_a_right_submission_passes_the_check(tmp_path, sample, small_blocks):
    path = table(tmp_path / "mine.csv", [(i, f"{n / 20:.6f}") for n, i in enumerate(IDS)])
    csv_reader.check_against_sample(path, sample)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    csv_reader.check_against_sample(path, sample)


@pytest.mark.parametrize("change, reason", [
    (lambda rows: rows[:-1], "ends after 17 rows, where"),
    (lambda rows: [*rows, ("more_box1_0_0_0", 0.5)], "line 20: 'more_box1_0_0_0' comes after the last row"),
    (lambda rows: [rows[1], rows[0], *rows[2:]], "line 2: the id is 'a (1).png_box1_9_99_0', in"),
    (lambda rows: [*rows[:5], ("other", 0.5), *rows[6:]], "line 7: the id is 'other', in"),
    (lambda rows: [*rows[:5], *rows[4:]], "line 7: the id is 'a (1).png_box1_10_99_0', in"),
    (lambda rows: [*rows[:9], (rows[9][0], "nan"), *rows[10:]], "line 11: value is 'nan', not a number in 0..1"),
    (lambda rows: [*rows[:9], (rows[9][0], "inf"), *rows[10:]], "line 11: value is 'inf', not a number in 0..1"),
    (lambda rows: [*rows[:9], (rows[9][0], ""), *rows[10:]], "line 11: value is '', not a number in 0..1"),
    (lambda rows: [*rows[:9], (rows[9][0], "grey"), *rows[10:]], "line 11: value is 'grey', not a number in 0..1"),
    (lambda rows: [*rows[:9], (rows[9][0], "1.000001"), *rows[10:]], "line 11: value is '1.000001', not a number in 0..1"),
    (lambda rows: [*rows[:9], (rows[9][0], "-0.1"), *rows[10:]], "line 11: value is '-0.1', not a number in 0..1"),
    (lambda rows: [*rows[:9], (*rows[9], 1), *rows[10:]], "line 11: 3 fields where 2 are wanted"),
    (lambda rows: [*rows[:9], rows[9][:1], *rows[10:]], "line 11: 1 fields where 2 are wanted"),
    (lambda rows: [], "ends after 0 rows, where"),
])
@pytest.mark.parametrize("block", [100, 1 << 22])
def test_the_check_names_the_line_and_the_reason(tmp_path, sample, monkeypatch, change, reason, block):
    monkeypatch.setattr(csv_reader, "BLOCK", block)
    path = table(tmp_path / "mine.csv", change([(i, 0.5) for i in IDS]))
    text = refusal(csv_reader.check_against_sample, path, sample)
    assert str(path) in text and reason in text and "serialize" in text


def test_the_check_refuses_wrong_headers_and_unreadable_files(tmp_path, sample):
    rows = [(i, 0.5) for i in IDS]
    other_header = table(tmp_path / "a.csv", rows, ["id", "value"])
    assert "header is id,value, in" in refusal(csv_reader.check_against_sample, other_header, sample)
    assert "no header of 2 columns" in refusal(csv_reader.check_against_sample, table(tmp_path / "a.csv", rows, ["id"]), sample)
    equal_names = table(tmp_path / "a.csv", rows, ["a", "a"])
    assert "no header of 2 columns" in refusal(csv_reader.check_against_sample, equal_names, sample)
    assert "is missing" in refusal(csv_reader.check_against_sample, tmp_path / "none.csv", sample)
    assert "is a folder" in refusal(csv_reader.check_against_sample, tmp_path, sample)
    (tmp_path / "a.csv").write_bytes(b"")
    assert "no header" in refusal(csv_reader.check_against_sample, tmp_path / "a.csv", sample)
    (tmp_path / "a.csv").write_bytes(sample.read_bytes().replace(b"a (1)", b"a \xff1)"))
    assert "not UTF-8" in refusal(csv_reader.check_against_sample, tmp_path / "a.csv", sample)
    (tmp_path / "a.csv").write_bytes(b"PK\x03\x04" + bytes(range(256)) * 9)
    refusal(csv_reader.check_against_sample, tmp_path / "a.csv", sample)


# Scoring

@pytest.fixture
def solution(tmp_path):
    rng = np.random.default_rng(5)
    rows = [(i, f"{rng.random():.6f}", ("Public", "Private")[n % 3 > 0]) for n, i in enumerate(IDS)]
    return table(tmp_path / "solution.csv", rows, [*HEADER, "Usage"])


def by_pandas(submission, solution):
    both = pd.read_csv(submission).merge(pd.read_csv(solution), on=HEADER[0])
    parts = {"public": both[both.Usage == "Public"], "private": both[both.Usage == "Private"], "total": both}
    return {name: root_mean_squared_error(part.value_y, part.value_x) for name, part in parts.items()}


@pytest.mark.parametrize("order", ["same", "other"])
def test_score_equals_scikit_learn(tmp_path, solution, small_blocks, order):
    rng = np.random.default_rng(6)
    ids = IDS if order == "same" else [IDS[k] for k in rng.permutation(len(IDS))]
    mine = table(tmp_path / "mine.csv", [(i, rng.random()) for i in ids])
    assert csv_scoring.score_csv(mine, solution) == pytest.approx(by_pandas(mine, solution), rel=1e-12)


def test_the_truth_scores_0_and_no_rows_score_none(tmp_path, solution):
    mine = table(tmp_path / "mine.csv", [row[:2] for row in read_rows(solution)[1:]])
    assert csv_scoring.score_csv(mine, solution) == {"public": 0, "private": 0, "total": 0}
    solution.write_bytes(solution.read_bytes().replace(b"Private", b"Public"))
    assert csv_scoring.score_csv(mine, solution) == {"public": 0, "private": None, "total": 0}


@pytest.mark.parametrize("change, reason", [
    (lambda rows: [], "mine.csv has a header and no rows; write it again"),
    (lambda rows: rows[:-1], "solution.csv, line 19: the id 'b,\"c\" é.png_box1_11_100_0' is not in"),
    (lambda rows: [*rows, ("more", 0.5)], "mine.csv, line 20: the id 'more' is not in"),
    (lambda rows: [*rows, rows[3]], "mine.csv, line 20: the id 'a (1).png_box1_10_98_0' occurs a second time"),
    (lambda rows: [*rows[:-1], rows[0]], "mine.csv, line 19: the id 'a (1).png_box1_9_98_0' occurs a second time"),
    (lambda rows: [*rows[:5], (rows[5][0], "nan"), *rows[6:]], "mine.csv, line 7: value is 'nan', not a finite number"),
    (lambda rows: [*rows[:5], (rows[5][0], "-inf"), *rows[6:]], "mine.csv, line 7: value is '-inf', not a finite number"),
    (lambda rows: [*rows[:5], (rows[5][0], ""), *rows[6:]], "mine.csv, line 7: value is '', not a finite number"),
])
def test_scoring_names_the_line_and_the_reason(tmp_path, solution, change, reason):
    mine = table(tmp_path / "mine.csv", change([(i, 0.5) for i in IDS]))
    assert reason in refusal(csv_scoring.score_csv, mine, solution)


def test_faults_of_the_solution_are_errors_with_their_line(tmp_path, solution):
    mine = table(tmp_path / "mine.csv", [(i, 0.5) for i in IDS])
    rows = read_rows(solution)
    for name, changed, reason in (
        ("usage", [*rows[:4], [*rows[4][:2], "Ignored"], *rows[5:]], "line 5: Usage is 'Ignored', not Public or Private"),
        ("value", [*rows[:4], [rows[4][0], "x", "Public"], *rows[5:]], "line 5: value is 'x', not a finite number"),
        ("twice", [*rows, rows[4]], "line 20: the id 'a (1).png_box1_10_98_0' occurs a second time"),
        ("column", [row[:2] for row in rows], "no header of 3 columns"),
        ("empty", rows[:1], "empty.csv has a header and no rows; correct that file"),
        ("name", [[*HEADER, "Split"], *rows[1:]], "the solution's must be the submission's and then Usage"),
    ):
        write_rows(tmp_path / f"{name}.csv", changed)
        assert reason in refusal(csv_scoring.score_csv, mine, tmp_path / f"{name}.csv")
    assert "is missing" in refusal(csv_scoring.score_csv, mine, tmp_path / "none.csv")


# Matching ids

@settings(max_examples=100, deadline=None)
@given(st.lists(NAMES, unique=True, max_size=20), st.randoms(use_true_random=False))
def test_matching_finds_every_id(ids, random):
    import pyarrow as pa

    def hash_all(some):
        return csv_reader.hash_ids(pa.array([i.encode() for i in some], pa.binary()).slice(0))

    shuffled = random.sample(ids, len(ids))
    positions = csv_reader.match_ids(hash_all(shuffled), hash_all(ids))
    assert [ids[k] for k in positions] == shuffled


def test_hashes_of_similar_ids_differ():
    import pyarrow as pa

    pieces = csv_format.list_box_pieces(1, (0, 0, 100, 100), 3)
    ids = pa.concat_arrays([csv_format.list_ids(name, pieces).column(0) for name in ("a.png", "Tiger (1024).jpeg")])
    numbers = csv_reader.hash_ids(ids)
    assert len(set(numbers.tolist())) == 60000
    assert csv_reader.hash_ids(ids.slice(30, 1))[0] == numbers[30]
    like_sums = pa.array([b"1aaaaaaa1aaaaaaa", b"2aaaaaaa2aaaaaaa", b"1aaaaaaa1aaaaaaa\0"], pa.binary())
    assert len(set(csv_reader.hash_ids(like_sums).tolist())) == 3


def test_matching_refuses_repeated_ids():
    with pytest.raises(csv_reader.IdMismatch) as caught:
        csv_reader.match_ids(np.array([5, 7, 5], np.uint64), np.array([5, 5, 7], np.uint64))
    assert caught.value.args == ("wanted", "twice", 2)


def test_reading_one_row_agrees_with_the_csv_module(tmp_path):
    path = table(tmp_path / "a.csv", [(i, 0.5) for i in IDS])
    assert csv_reader.read_row(path, 10, "x") == (12, [IDS[10], "0.5"])
    assert csv_reader.read_row(path, 99, "x") is None
    assert csv_reader.check_rows(path, {"id": "text", "value": csv_reader.Kind.UNIT}, "x") == len(IDS)
