"""Files of teammates as members of an ensemble: mixed as a run with the same predictions, and refused where they are wrong."""

import csv
import shutil

import numpy as np
import pytest
from support.stages import SMALL, done, stage

from pixmend.evaluation import leaderboard
from pixmend.files import hash_file
from pixmend.run_file import read_trained

OURS, THEIRS = ("mean", "telea"), "harmonic"
SPLITS = {"test": "", "holdout": ".holdout"}


@pytest.fixture(scope="module")
def team_home(module_home):
    """A home with three fills as runs, of which one is also written as a teammate's files."""
    for fill in (*OURS, THEIRS):
        for name in ("train", "predict"):
            done(stage(name, module_home, *SMALL, "--model", fill, "--run", fill))
    done(stage("serialize", module_home, "--run", THEIRS))
    return module_home


@pytest.fixture
def theirs(team_home, tmp_path):
    """The path of a copy of the teammate's file, with that of the holdout beside it."""
    for middle in SPLITS.values():
        shutil.copy(team_home / f"submissions/demo/{THEIRS}{middle}.csv", tmp_path / f"theirs{middle}.csv")
    return tmp_path / "theirs.csv"


def change_rows(path, change):
    """Write the rows of a table again, each (id, value) as `change` returns it, in the order of the sorted results' keys."""
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *change(rows)])


def change_values(path, change):
    change_rows(path, lambda rows: [(id, f"{change(float(value)):.6f}") for id, value in rows])


def reverse_channels(rows):
    values = dict(rows)
    return [(id, values[f"{id[:-1]}{2 - int(id[-1])}"]) for id in values]


def mix(home, members, run, *flags):
    return stage("ensemble", home, "--size", "32", "--members", members, "--run", run, *flags)


def read_mix(home, run):
    values = {}
    for split in SPLITS:
        with np.load(home / f"checkpoints/demo/{run}/{split}.npz") as archive:
            values[split] = archive["values"]
    return values, read_trained(home / f"checkpoints/demo/{run}")


def assert_same_mix(home, run, wanted, tolerance=2e-6):
    """Compare a mix with one of runs alone; a file has six decimals."""
    (found, record), (expected, other) = read_mix(home, run), read_mix(home, wanted)
    np.testing.assert_allclose(record["weights"], other["weights"], atol=100 * tolerance)
    for split in SPLITS:
        np.testing.assert_allclose(found[split], expected[split], atol=100 * tolerance)


def refused(result, *words):
    assert result.returncode in (1, 2) and "Traceback" not in result.stderr
    assert all(word in result.stderr for word in words), result.stderr


@pytest.fixture(scope="module")
def of_runs(team_home):
    done(mix(team_home, "mean,telea,harmonic", "of-runs"))
    return "of-runs"


def test_a_file_is_mixed_as_the_run_that_wrote_it(team_home, theirs, of_runs):
    printed = done(mix(team_home, f"mean,telea,file:{theirs}", "with-file"))
    assert_same_mix(team_home, "with-file", of_runs)
    assert "file:theirs.csv " in printed
    record = read_trained(team_home / "checkpoints/demo/with-file")
    assert record["members"] == ["mean", "telea", f"file:{theirs}"]
    assert [line.split()[-1] for line in record["files"]] == [hash_file(theirs), hash_file(theirs.with_suffix(".holdout.csv"))]
    assert "conversions" not in record and not (team_home / "checkpoints/demo/with-file/files").exists()


def test_a_mix_with_a_file_goes_all_the_way(team_home, theirs):
    done(mix(team_home, f"mean,file:{theirs}", "whole-way"))
    printed = {name: done(stage(name, team_home, "--run", "whole-way")) for name in ("serialize", "score", "report")}
    record = read_trained(team_home / "checkpoints/demo/whole-way")
    row = next(row for row in leaderboard.read_leaderboard(team_home / "submissions/demo/leaderboard.csv")
               if row["run"] == "whole-way")
    assert float(row["holdout_rmse"]) == pytest.approx(record["cross_validated_rmse"], abs=2e-5)
    assert "does not include" not in printed["score"]
    assert "file:theirs.csv" in (team_home / "submissions/demo/report.html").read_text()


def test_rows_in_another_order_and_a_holdout_file_of_another_name_give_the_same_mix(team_home, theirs, of_runs):
    rng = np.random.default_rng(1)
    holdout = theirs.with_name("val.csv")
    theirs.with_suffix(".holdout.csv").rename(holdout)
    for path in (theirs, holdout):
        change_rows(path, lambda rows: [rows[number] for number in rng.permutation(len(rows))])
    done(mix(team_home, f"mean,telea,file:{theirs}+{holdout}", "shuffled"))
    assert_same_mix(team_home, "shuffled", of_runs)


def test_a_changed_file_is_mixed_again_and_an_unchanged_one_is_not(team_home, theirs):
    flags = team_home, f"mean,telea,file:{theirs}", "changed"
    path = team_home / "checkpoints/demo/changed/test.npz"
    done(mix(*flags))
    before = path.stat().st_mtime_ns
    theirs.touch()
    done(mix(*flags))
    assert path.stat().st_mtime_ns == before
    first, _ = read_mix(team_home, "changed")
    change_values(theirs, lambda value: value * 0.9)
    done(mix(*flags))
    second, _ = read_mix(team_home, "changed")
    assert second["test"].mean() < first["test"].mean() and np.array_equal(second["holdout"], first["holdout"])


def test_a_weight_by_hand_counts_in_the_test_file_alone_and_is_not_in_the_score(team_home, theirs):
    theirs.with_suffix(".holdout.csv").unlink()
    printed = done(mix(team_home, f"mean,telea,file:{theirs}=0.25", "by-hand"))
    done(mix(team_home, "mean,telea", "measured"))
    (found, record), (measured, other) = read_mix(team_home, "by-hand"), read_mix(team_home, "measured")
    with np.load(team_home / f"checkpoints/demo/{THEIRS}/test.npz") as archive:
        np.testing.assert_allclose(found["test"], 0.75 * measured["test"] + 0.25 * archive["values"], atol=2e-6)
    np.testing.assert_array_equal(found["holdout"], measured["holdout"])
    assert record["cross_validated_rmse"] == other["cross_validated_rmse"] and record["weights"][-1] == 0.25
    warning = "The score does not include file:theirs.csv"
    assert warning in printed and "by hand" in printed
    done(stage("serialize", team_home, "--run", "by-hand"))
    assert warning in done(stage("score", team_home, "--run", "by-hand"))


@pytest.mark.parametrize(("convert", "form"), [
    (reverse_channels, "red first, values in 0..1"),
    (lambda rows: [(id, f"{float(value) * 255:.4f}") for id, value in rows], "blue first, values in 0..255"),
    (lambda rows: [(id, f"{float(value) * 2 - 1:.6f}") for id, value in rows], "blue first, values in -1..1"),
], ids=["channels", "bytes", "signed"])
def test_another_form_is_refused_by_name_and_converted_on_request(team_home, theirs, of_runs, convert, form):
    for middle in SPLITS.values():
        change_rows(theirs.with_suffix(f"{middle}.csv"), convert)
    members = f"mean,telea,file:{theirs}"
    refused(mix(team_home, members, "converted"), f"theirs.csv seems to have {form}", "--convert-files")
    printed = done(mix(team_home, members, "converted", "--convert-files", "--force"))
    assert f"theirs.csv was converted: it has {form}" in printed
    assert_same_mix(team_home, "converted", of_runs)
    assert len(read_trained(team_home / "checkpoints/demo/converted")["conversions"]) == 2


def test_two_files_of_one_member_in_different_forms_are_refused(team_home, theirs):
    change_rows(theirs, reverse_channels)
    result = mix(team_home, f"mean,telea,file:{theirs}", "two-forms", "--convert-files")
    refused(result, f"{theirs} seems to have red first", "holdout.csv seems to have blue first")


@pytest.mark.long
def test_files_of_a_run_with_another_damage_are_mixed_though_their_formats_differ(home, tmp_path):
    """Those of the test have the competition's boxes, blue first, and those of the holdout all pixels, red first."""
    damage = ("--damage", "landscapes")
    done(stage("augment", home, *SMALL, *damage))
    for fill in ("telea", THEIRS):
        for name in ("train", "predict"):
            done(stage(name, home, *SMALL, *damage, "--model", fill, "--run", fill))
    done(stage("serialize", home, *damage, "--run", THEIRS))
    written = home / "submissions/demo+landscapes"
    for middle in SPLITS.values():
        shutil.copy(written / f"{THEIRS}{middle}.csv", tmp_path / f"theirs{middle}.csv")
    for run, member in (("of-runs", THEIRS), ("with-file", f"file:{tmp_path / 'theirs.csv'}")):
        done(mix(home, f"telea,{member}", run, *damage))
    found, expected = (read_trained(home / f"checkpoints/demo+landscapes/{run}") for run in ("with-file", "of-runs"))
    assert "conversions" not in found
    np.testing.assert_allclose(found["weights"], expected["weights"], atol=2e-4)
    change_rows(tmp_path / "theirs.csv", reverse_channels)
    refused(mix(home, f"telea,file:{tmp_path / 'theirs.csv'}", "two-forms", *damage, "--convert-files"),
            "theirs.csv seems to have red first", "in the same way")


def test_channels_stretched_over_each_image_are_noticed(team_home, theirs, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(team_home, home)
    done(stage("serialize", home, "--run", THEIRS, "--value-scale", "minmax"))
    for middle in SPLITS.values():
        shutil.copy(home / f"submissions/demo/{THEIRS}{middle}.csv", theirs.with_suffix(f"{middle}.csv"))
    members = f"telea,mean,file:{theirs}"
    refused(mix(home, members, "stretched"), "each channel stretched to 0..1")
    done(mix(home, members, "stretched", "--convert-files"))
    done(mix(home, f"telea,mean,{THEIRS}", "of-runs"))
    found, expected = (read_mix(home, run)[1]["member_rmse"][2] for run in ("stretched", "of-runs"))
    assert found == pytest.approx(expected, rel=0.1)


def drop_row(rows):
    return rows[:7] + rows[8:]


def repeat_row(rows):
    return [*rows, rows[3]]


def rename_image(rows):
    return [("nobody.png" + rows[0][0][rows[0][0].rindex("_box"):], rows[0][1]), *rows[1:]]


def set_value(text):
    return lambda rows: [*rows[:4], (rows[4][0], text), *rows[5:]]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("change", "words"), [
    (drop_row, ["lacks the id"]),
    (repeat_row, ["occurs a second time", "line"]),
    (rename_image, ["line 2", "nobody.png", "belongs to no missing pixel"]),
    (set_value("nan"), ["line 6", "'nan'", "finite"]),
    (set_value("1.01"), ["line 6", "'1.01'", "0..1"]),
    (set_value("a"), ["line 6", "'a'"]),
    (lambda rows: [], ["no rows"]),
], ids=["missing", "twice", "unknown", "nan", "above", "text", "empty"])
def test_a_faulty_file_is_refused_with_its_line_and_the_next_step(team_home, theirs, split, change, words):
    path = theirs.with_suffix(f"{SPLITS[split]}.csv")
    change_rows(path, change)
    result = mix(team_home, f"mean,telea,file:{theirs}", "new")
    refused(result, str(path), *words, f"mean{SPLITS[split]}.csv", "pixmend serialize --run mean")
    assert not (team_home / "checkpoints/demo/new/test.npz").exists() and not (team_home / "checkpoints/demo/new/files").exists()


@pytest.mark.parametrize(("members", "words"), [
    ("file:{0}", ["two runs or more"]),
    ("file:{0},file:{0}=0.5", ["a run of your own", "--members RUN,"]),
    ("mean,file:nowhere.csv", ["nowhere.csv is missing", "file:nowhere.csv=0.3"]),
    ("mean,file:{0}+nowhere.csv", ["nowhere.csv is missing", "of the holdout"]),
    ("mean,file:{0}=1.5", ["file:THEIRS.csv=0.3"]),
    ("mean,file:{0}=0.0", ["file:THEIRS.csv=0.3"]),
    ("mean,file:theirs", ["file:THEIRS.csv=0.3"]),
    ("mean,file:{0}=0.6,file:{1}=0.5", ["sum to 1.1"]),
])
def test_members_that_are_no_files_are_refused_in_a_sentence(team_home, theirs, members, words):
    refused(mix(team_home, members.format(theirs, theirs.with_suffix(".holdout.csv")), "new"), *words)


def test_a_mix_with_a_file_is_no_member_itself_and_names_its_members(team_home, theirs):
    members = f"mean,file:{theirs}"
    done(mix(team_home, members, "inner"))
    refused(mix(team_home, "inner,telea", "outer"), "'inner' is an ensemble itself", members)
