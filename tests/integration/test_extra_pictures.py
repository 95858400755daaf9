"""Extra pictures for training: never in holdout or test, damaged as the competition's are, and part of what a run is."""

import csv
import json
import shutil

import cv2
import numpy as np
import pytest
from support.stages import SMALL, done, stage

from pixmend.competitions.demo import DEMO
from pixmend.competitions.prepare import make_index
from pixmend.config import Settings
from pixmend.data.augmentation import TRANSFORMS_PER_MODE
from pixmend.data.dataset import Dataset, hash_dataset, open_dataset
from pixmend.data.encode import encode_jpeg, encode_png
from pixmend.flags import parse_flags
from pixmend.run_file import read_trained
from pixmend.training.window_batches import cut_training_windows

OWN = {"a.jpg": (60, 90), "horses/b.png": (40, 40), "horses/c.jpeg": (33, 70), "d.png": (200, 100)}   # heights and widths


def draw_picture(seed, height, width):
    """Return a picture of coarse random colours, which is near no other."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_pictures(folder, pictures):
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        encode = encode_png if name.endswith(".png") else encode_jpeg
        (folder / name).write_bytes(encode(np.ascontiguousarray(picture)))
    return folder


def read_lines(home):
    with open(home / "augment/demo/index.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def own_folder(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("own") / "own", {name: draw_picture(number, *shape)
                                                                   for number, (name, shape) in enumerate(OWN.items())})


@pytest.fixture
def full_folder(prepared_home, own_folder, tmp_path):
    """The own pictures, a broken one, and copies of holdout and test images: brightened, mirrored, turned, encoded anew."""
    folder = shutil.copytree(own_folder, tmp_path / "full")
    dataset = Dataset(prepared_home / "augment/demo")
    held = [dataset.read_original(row) for row in dataset.split("holdout")[:3]]
    test = [image.original for image, _ in zip(DEMO.make_split("test", (32, 32, 3)), range(3), strict=False)]
    copies = {"held-0.png": held[0], "held-1.jpg": held[1][:, ::-1], "held-2.png": np.minimum(held[2], 235) + 20,
              "held-3.png": np.rot90(held[0], 2), "held-4.jpg": np.rot90(held[1])[:, ::-1],
              "test-0.png": test[0], "test-1.png": test[1][:, ::-1], "test-2.jpg": test[2], "test-3.png": np.rot90(test[0], 3)}
    write_pictures(folder, copies)
    (folder / "broken.jpg").write_bytes((folder / "a.jpg").read_bytes()[:-200])
    return folder


def test_only_new_pictures_are_added_and_only_to_training(prepared_home, home, full_folder):
    before = read_lines(home)
    printed = done(stage("augment", home, *SMALL, "--extra-pictures", full_folder))
    after = read_lines(home)
    added = [line for line in after if line["id"].startswith("extra:")]
    assert {line["id"] for line in added} == {f"extra:{name}" for name in OWN}
    assert {line["split"] for line in added} == {"train"} and len(added) == len(OWN) * TRANSFORMS_PER_MODE["5x"]
    assert {line["class"] for line in added} == {"", "horses"}
    names = ("id", "source", "class", "variant", "split")
    assert [[line[name] for name in names] for line in after if line not in added] == [
        [line[name] for name in names] for line in before]
    assert "extra pictures: 4 of 14 are training images; 1 cannot be decoded, and 9 are near duplicates" in printed
    assert "left out: " in printed and "broken.jpg" in printed


def test_wide_photo_that_the_competition_shows_stretched_is_a_copy(home, tmp_path):
    dataset = Dataset(home / "augment/demo")
    held = dataset.read_original(dataset.split("holdout")[0])
    folder = write_pictures(tmp_path / "wide", {"wide.png": cv2.resize(held, (64, 32), interpolation=cv2.INTER_CUBIC),
                                                "new.png": draw_picture(9, 32, 64)})
    done(stage("augment", home, *SMALL, "--extra-pictures", folder))
    assert {line["id"] for line in read_lines(home) if line["id"].startswith("extra:")} == {"extra:new.png"}
    lines = json.loads((home / "augment/demo/listed.json").read_text())
    unknown = "stretched_hashes", "turned_hashes"
    earlier = [{name: value for name, value in line.items() if name not in unknown} for line in lines]
    settings = parse_flags([*SMALL, "--home", str(home), "--extra-pictures", str(folder)], environment={})
    assert "extra:new.png" in {row.id for row in make_index(settings, earlier)}   # what an earlier version prepared is read


def test_their_damage_is_that_of_the_competition(home, own_folder):
    done(stage("augment", home, *SMALL, "--extra-pictures", own_folder))
    dataset = Dataset(home / "augment/demo")
    rows = [row for row in dataset.split("train") if row.id.startswith("extra:") and row.variant == 0]
    assert len(rows) == len(OWN)
    for row in rows:
        counts, damaged, original = dataset.read_counts(row), dataset.read_damaged(row), dataset.read_original(row)
        assert counts.sum() == 2 * 9 * 9 and not damaged[counts > 0].any()
        np.testing.assert_array_equal(damaged[counts == 0], original[counts == 0])
        assert original.std() > 20


def test_without_them_the_prepared_images_are_as_before(prepared_home, home, own_folder):
    done(stage("augment", home, *SMALL, "--extra-pictures", own_folder))
    done(stage("augment", home, *SMALL))
    for name in ("pictures.npy", "counts.npy", "harmonic.npy", "index.csv", "listed.json"):
        assert (home / "augment/demo" / name).read_bytes() == (prepared_home / "augment/demo" / name).read_bytes()


@pytest.mark.parametrize(("flags", "words"), [
    (("--extra-pictures", "{}/nowhere"), ["--extra-pictures", "is no folder"]),
    (("--extra-pictures", "{}"), ["holds no pictures", "leave it out"]),
])
def test_a_folder_without_pictures_is_refused(home, tmp_path, flags, words):
    (tmp_path / "empty").mkdir()
    result = stage("augment", home, *SMALL, *(flag.format(tmp_path / "empty") for flag in flags))
    assert result.returncode in (1, 2) and "Traceback" not in result.stderr
    assert all(word in result.stderr for word in words), result.stderr


@pytest.mark.parametrize("inner", ["", "horses"])
def test_the_photos_of_the_competition_are_refused(tmp_path, own_folder, inner):
    flags = ("--competition", "landscapes", "--size", "32", "--photos", own_folder, "--extra-pictures", own_folder / inner)
    done(stage("download", tmp_path, *flags))
    result = stage("augment", tmp_path, *flags)
    assert result.returncode == 2 and "--photos" in result.stderr and "--extra-pictures" in result.stderr
    assert not (tmp_path / "augment/landscapes/index.json").exists()


@pytest.mark.parametrize("inner", ["", "deep/home"])
def test_a_folder_that_holds_the_home_is_refused(prepared_home, tmp_path, own_folder, inner):
    folder = shutil.copytree(own_folder, tmp_path / "pictures")
    home = shutil.copytree(prepared_home, folder / inner, dirs_exist_ok=True)
    index = (home / "augment/demo/index.csv").read_bytes()
    result = stage("augment", home, *SMALL, "--extra-pictures", folder)
    assert result.returncode == 2 and str(folder) in result.stderr and str(home) in result.stderr
    assert (home / "augment/demo/index.csv").read_bytes() == index
    result = stage("download", home, "--competition", "landscapes", "--size", "32", "--photos", folder)
    assert result.returncode == 2 and str(folder) in result.stderr and str(home) in result.stderr
    assert not list((home / "competition/landscapes").glob("*.zip"))


def test_a_picture_that_only_folds_leave_out_has_windows_without_folds(home, own_folder, tmp_path):
    folder = shutil.copytree(own_folder, tmp_path / "with-a-copy")
    dataset = Dataset(home / "augment/demo")
    write_pictures(folder, {"copy.png": dataset.read_original(dataset.split("train")[0])})
    for folds, is_used in ((2, False), (1, True)):
        settings = parse_flags([*SMALL, "--home", str(home), "--model", "window_mlp", "--window", "2", "--work-size", "16",
                                "--extra-pictures", str(folder), "--folds", str(folds)], environment={})
        done(stage("augment", home, *SMALL, "--extra-pictures", folder, "--folds", folds))
        dataset = Dataset(home / "augment/demo")
        images = {row.damaged for row in dataset.split("train") if row.id == "extra:copy.png"}
        assert bool(images) == is_used and images <= set(cut_training_windows(settings, open_dataset(settings))[1].tolist())


def test_other_extra_pictures_make_another_hash_of_the_images(home, own_folder, tmp_path):
    hashes = []
    for name in ("a.jpg", "d.png"):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        shutil.copy(own_folder / name, folder)
        done(stage("augment", home, *SMALL, "--extra-pictures", folder))
        settings = parse_flags([*SMALL, "--home", str(home), "--extra-pictures", str(folder)], environment={})
        hashes.append(hash_dataset(open_dataset(settings)))
    assert hashes[0] != hashes[1]


def test_another_prepared_set_is_named(home, own_folder):
    flags = (*SMALL, "--extra-pictures", own_folder)
    done(stage("augment", home, *flags))
    done(stage("train", home, *flags, "--model", "mean", "--run", "more"))
    done(stage("train", home, *SMALL, "--model", "mean", "--run", "plain"))
    result = stage("predict", home, "--run", "plain")
    assert result.returncode == 1 and "with --extra-pictures" in result.stderr and "this run is without" in result.stderr
    done(stage("augment", home, *SMALL))
    result = stage("predict", home, "--run", "more")
    assert result.returncode == 1 and "pixmend augment --competition demo --run more" in result.stderr


def test_the_folder_may_be_spelled_differently_in_each_command(home, own_folder):
    done(stage("augment", home, *SMALL, "--extra-pictures", f"{own_folder}/"))
    flags = (*SMALL, "--model", "unet", "--levels", "2", "--steps", "1", "--run", "more", "--extra-pictures")
    done(stage("train", home, *flags, own_folder))
    done(stage("predict", home, "--run", "more", "--extra-pictures", own_folder / "horses" / ".."))
    result = stage("predict", home, "--run", "more", "--extra-pictures", own_folder / "horses")
    assert result.returncode == 1 and "--extra-pictures" in result.stderr


def test_a_run_is_named_by_the_folder_and_runs_of_earlier_versions_keep_their_names(tmp_path, own_folder):
    assert done(stage("configure", tmp_path, "--extra-pictures", own_folder)).strip().endswith(
        "/window_unet-extra-pictures-own/run.toml")
    assert done(stage("configure", tmp_path)).strip().endswith("/window_unet/run.toml")


def test_a_kernel_has_no_such_folder(tmp_path, own_folder):
    result = stage("kernel", tmp_path, "--competition", "photo_reconstruction", "--extra-pictures", own_folder)
    assert result.returncode == 2 and "--extra-pictures does not work with kernels" in result.stderr


@pytest.mark.long
@pytest.mark.parametrize("flags", [("--masks-per-image", "2"), ("--model", "window_mlp", "--masks-per-image", "1"),
                                   ("--start", "smooth", "--fresh-masks"), ("--folds", "3")])
def test_a_training_with_them_goes_all_the_way(home, own_folder, flags):
    flags = (*SMALL, *flags, "--extra-pictures", own_folder, "--steps", "4", "--run", "more")
    for name in ("augment", "train", "predict", "serialize", "score"):
        done(stage(name, home, *flags))
    assert read_trained(home / "checkpoints/demo/more")["extra_pictures"] == str(own_folder)


@pytest.mark.long
def test_a_run_with_them_is_mixed_with_one_without_and_does_not_continue_with_others(home, own_folder, tmp_path):
    folder = shutil.copytree(own_folder, tmp_path / "changing")
    flags = (*SMALL, "--extra-pictures", folder, "--steps", "4", "--run", "more")
    for name in ("augment", "train", "predict"):
        done(stage(name, home, *flags))
    (folder / "d.png").unlink()
    done(stage("augment", home, *flags))
    result = stage("train", home, *flags[:-3], "8", "--run", "more")
    assert result.returncode == 1 and "other files in --extra-pictures" in result.stderr and "--force" in result.stderr
    done(stage("augment", home, *SMALL))
    for name in ("train", "predict"):
        done(stage(name, home, *SMALL, "--model", "telea", "--run", "telea"))
    done(stage("ensemble", home, "--size", "32", "--members", "more,telea", "--run", "mixed"))


def test_what_identifies_a_run_of_an_earlier_version_is_unchanged():
    from pixmend.run_identity import weight_identity, weight_settings

    assert "extra_pictures" in weight_settings(Settings()) and "extra_pictures" not in weight_identity(Settings())
    assert weight_identity(Settings(extra_pictures="own"))["extra_pictures"] == "own"
