"""A new test set is predicted from its folder alone: the same file as `serialize` writes of the same images."""

import shutil

import pytest
from support.stages import SMALL, done, stage

pytestmark = pytest.mark.long

WINDOW = ("--model", "window_mlp", "--size", "32", "--width", "8", "--work-size", "16", "--masks-per-image", "0", "--batch-size",
          "8", "--steps", "6", "--evaluate-every", "6", "--learning-rate", "0.02", "--ema-decay", "0")
RUNS = {"windows": (*WINDOW, "--start", "smooth"), "whole": (*SMALL, "--steps", "2", "--start", "none"),
        "snapped": (*SMALL, "--steps", "4", "--snapshots", "2"), "fill": ("--model", "smooth", "--size", "32")}


@pytest.fixture(scope="module")
def home(module_home):
    for run, flags in RUNS.items():
        done(stage("train", module_home, *flags, "--run", run))
    for run in ("windows", "whole", "snapped@1", "fill"):
        done(stage("predict", module_home, "--run", run))
    done(stage("ensemble", module_home, "--size", "32", "--members", "windows,whole,snapped@1,fill", "--run", "mix"))
    for run in ("windows", "whole", "snapped@1", "fill", "mix"):
        done(stage("serialize", module_home, "--run", run))
    return module_home


def copy_test_set(home, folder):
    """Copy the test images, and nothing of the training images or the sample."""
    shutil.copytree(home / "competition/demo/files/Dataset/Testing_Data", folder / "Dataset/Testing_Data")
    return folder


def read_result(home, run):
    return (home / f"submissions/demo/{run}.new-test-set.csv").read_bytes()


@pytest.mark.parametrize("run", ["windows", "whole", "snapped@1", "fill", "mix"])
def test_same_images_give_the_same_file(home, tmp_path, run):
    folder = copy_test_set(home, tmp_path / "new")
    own = (home / f"submissions/demo/{run}.csv").read_bytes()
    done(stage("predict", home, "--run", run, "--test-folder", folder))
    assert read_result(home, run) == own
    assert (home / f"submissions/demo/{run}.csv").read_bytes() == own


def test_run_of_folds_predicts_their_mean(home, tmp_path):
    folder = shutil.copytree(home, tmp_path / "folds")
    flags = (*WINDOW, "--folds", "2", "--run", "folded")
    for name in ("augment", "train", "predict", "serialize"):
        done(stage(name, folder, *flags))
    done(stage("predict", folder, "--run", "folded", "--test-folder", copy_test_set(home, tmp_path / "new")))
    assert read_result(folder, "folded") == (folder / "submissions/demo/folded.csv").read_bytes()


def test_other_images_give_a_file_in_the_order_of_their_sample(home, tmp_path):
    folder = copy_test_set(home, tmp_path / "new")
    table = folder / "Dataset/Testing_Data/masked_info.csv"
    header, *rows = table.read_text().splitlines(keepends=True)
    table.write_text("".join([header, *rows[1:]]))
    name = rows[0].split(",")[1]
    (folder / "Dataset/Testing_Data" / name).unlink()
    sample = (home / "competition/demo/files/sample_submission.csv").read_text().splitlines(keepends=True)
    kept = [line for line in sample[1:] if not line.startswith(f"{name}_box")]
    (folder / "sample_submission.csv").write_text("".join([sample[0], *reversed(kept)]))
    done(stage("predict", home, "--run", "windows", "--test-folder", folder))
    own = (home / "submissions/demo/windows.csv").read_text().splitlines(keepends=True)
    wanted = [line for line in own[1:] if not line.startswith(f"{name}_box")]
    assert read_result(home, "windows").decode() == "".join([own[0], *reversed(wanted)])


@pytest.mark.parametrize("damage", [
    lambda folder: shutil.rmtree(folder),
    lambda folder: (folder / "Dataset/Testing_Data/masked_info.csv").unlink(),
    lambda folder: next((folder / "Dataset/Testing_Data").glob("*.jpeg")).write_bytes(b"\xff\xd8\xff"),
    lambda folder: (folder / "sample_submission.csv").write_text("filename_box_pixel,value\nother_box1_0_0_0,0\n"),
])
def test_damaged_test_sets_are_refused_with_one_message(home, tmp_path, damage):
    damage(copy_test_set(home, tmp_path / "new"))
    result = stage("predict", home, "--run", "whole", "--test-folder", tmp_path / "new")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert str(tmp_path / "new") in result.stderr and "pixmend download" not in result.stderr


def test_run_is_predicted_and_written_as_its_submission_was(home, tmp_path):
    """The flags of `predict` and `serialize` are in no run.toml, and the weights of a mix were chosen with them."""
    copy, folder = shutil.copytree(home, tmp_path / "home"), copy_test_set(home, tmp_path / "new")
    done(stage("predict", copy, "--run", "windows", "--tta", "8"))
    done(stage("ensemble", copy, "--size", "32", "--members", "windows,whole", "--run", "mix"))
    for run in ("windows", "mix"):
        done(stage("serialize", copy, "--run", run, "--channel-order", "rgb"))
        done(stage("predict", copy, "--run", run, "--test-folder", folder))
        assert read_result(copy, run) == (copy / f"submissions/demo/{run}.csv").read_bytes()
    without = {}
    for run in ("windows", "mix"):
        done(stage("predict", copy, "--run", run, "--test-folder", folder, "--tta", "1", "--channel-order", "bgr"))
        without[run] = read_result(copy, run)
        assert without[run] != (copy / f"submissions/demo/{run}.csv").read_bytes()
    assert without["windows"] == (home / "submissions/demo/windows.csv").read_bytes()


def test_mix_with_a_file_of_others_is_refused_with_a_possible_next_step(home, tmp_path):
    copy, theirs = shutil.copytree(home, tmp_path / "home"), tmp_path / "theirs.csv"
    for name in ("", ".holdout"):
        shutil.copy(copy / f"submissions/demo/fill{name}.csv", tmp_path / f"theirs{name}.csv")
    done(stage("ensemble", copy, "--size", "32", "--members", f"windows,file:{theirs}", "--run", "joint"))
    for command in (("predict", "--test-folder", copy_test_set(home, tmp_path / "new")), ("bundle",)):
        result = stage(command[0], copy, *command[1:], "--run", "joint")
        assert result.returncode == 1 and f"file:{theirs}" in result.stderr and "Traceback" not in result.stderr
        assert "pixmend ensemble" in result.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with a fill of a competition by pixel, and of one with a binary submission."""
    home = tmp_path_factory.mktemp("made")
    for competition in ("landscapes", "depixelation"):
        flags = ("--competition", competition, "--size", "32", "--model", "mean", "--run", "fill")
        for name in ("download", "augment", "train", "predict", "serialize"):
            done(stage(name, home, *flags))
    return home


def test_sample_decides_the_order_in_a_competition_by_pixel(made, tmp_path):
    folder = shutil.copytree(made / "competition/landscapes/files", tmp_path / "new")
    header, *rows = (folder / "sample_submission.csv").read_text().splitlines(keepends=True)
    (folder / "sample_submission.csv").write_text("".join([header, *reversed(rows)]))
    done(stage("predict", made, "--competition", "landscapes", "--run", "fill", "--test-folder", folder))
    _, *own = (made / "submissions/landscapes/fill.csv").read_text().splitlines(keepends=True)
    found = (made / "submissions/landscapes/fill.new-test-set.csv").read_text()
    assert found == "".join([header, *reversed(own)])


@pytest.mark.parametrize(("competition", "name", "spoil"), [
    ("landscapes", "sample_submission.csv", lambda data: data[:data.rstrip().rindex(b"\n") + 1]),
    ("landscapes", "sample_submission.csv", lambda data: data + b"other_0_0_0,0\n"),
    ("depixelation", "sample_submission.bin", lambda data: data + bytes(data[0] + 1)),
])
def test_sample_of_other_pixels_is_refused_and_leaves_no_file(made, tmp_path, competition, name, spoil):
    folder = shutil.copytree(made / f"competition/{competition}/files", tmp_path / "new")
    (folder / name).write_bytes(spoil((folder / name).read_bytes()))
    place = made / f"submissions/{competition}"
    for path in place.glob("*.new-test-set.*"):
        path.unlink()
    result = stage("predict", made, "--competition", competition, "--run", "fill", "--test-folder", folder)
    assert result.returncode == 1 and str(folder / name) in result.stderr and "Traceback" not in result.stderr
    assert "pixmend serialize" not in result.stderr and "pixmend download" not in result.stderr
    assert not list(place.glob("*.new-test-set.*"))


def test_run_that_finds_masks_is_refused(home, tmp_path):
    done(stage("train", home, "--model", "locate", "--size", "32", "--width", "4", "--steps", "1", "--run", "finder"))
    result = stage("predict", home, "--run", "finder", "--test-folder", copy_test_set(home, tmp_path / "new"))
    assert result.returncode == 1 and "Traceback" not in result.stderr
