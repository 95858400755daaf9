"""The demo: real photographs in the format of photo-reconstruction, with the same bytes each time."""

import dataclasses
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import root_mean_squared_error
from support.stages import ROOT

from pixmend.competitions.demo import DEMO
from pixmend.competitions.photo_reconstruction import PHOTO_RECONSTRUCTION
from pixmend.config import Settings
from pixmend.data import near_duplicates, photos, splits
from pixmend.data.damage import count_boxes
from pixmend.data.decode import decode_image
from pixmend.submissions import csv_scoring

# RMSE of a flat 0.5 against the hidden solution at 32 pixels: it changes only if the photos or what is scored change.
GOLDEN = {"public": 0.257044, "private": 0.221304, "total": 0.236852}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    settings = Settings(home=str(tmp_path_factory.mktemp("demo")), size=32)
    DEMO.make_archive(settings.competition_folder, settings)
    with zipfile.ZipFile(settings.competition_folder / f"{DEMO.slug}.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(settings.competition_folder / "files")
    return settings


def list_images(settings, split):
    return [e for e in DEMO.read_images(settings.competition_folder / "files", settings.shape) if e.split == split]


def test_no_photo_is_in_two_splits(settings):
    train, test = list_images(settings, "train"), list_images(settings, "test")
    assert (len(train), len(test)) == (72, 12)
    assert not {e.source for e in train} & {e.source for e in test}
    assert {e.source for e in test} == {"boats", "chelsea", "coffee", "ladybird", "mountains", "wine"}


@pytest.mark.parametrize("seed", range(5))
def test_the_holdout_has_a_whole_photograph_of_each_class(settings, seed):
    train = list_images(settings, "train")
    holdout = splits.choose_holdout([e.source for e in train], [e.label for e in train], Settings().holdout, seed)
    label_of = {e.source: e.label for e in train}
    assert sorted(label_of[source] for source in holdout) == ["Built", "Grown", "Land", "Thing", "Water"]
    assert sum(e.source in holdout for e in train) == 10


def test_no_two_photographs_are_near_duplicates():
    found = photos.list_demo_photos()
    hashes = zip(*(near_duplicates.hash_image(photo.decode()) for photo in found), strict=True)
    names = [photo.name for photo in found]
    assert len(set(names)) == len(names) == 42
    assert near_duplicates.join_sources(names, near_duplicates.find_near_duplicates(*hashes)) == names


def test_crops_of_different_photographs_keep_their_sources(settings):
    train = list_images(settings, "train")
    hashes = zip(*(near_duplicates.hash_image(decode_image(e.original, settings.shape)) for e in train), strict=True)
    sources = [e.source for e in train]
    assert near_duplicates.join_sources(sources, near_duplicates.find_near_duplicates(*hashes)) == sources


def test_every_photograph_of_the_folder_has_a_row_and_a_licence():
    folder = Path(photos.__file__).parents[1] / "photographs"
    names = {path.name for path in folder.glob("*.jpg")}
    row = r"^\| ([\w-]+\.jpg) \| [^|]+ \| [^|]+ \| (?:CC0|CC-BY|GPL|LGPL)[^|]+ \|"
    licences = re.findall(row, (folder / "LICENCES.md").read_text(), re.M)
    assert sorted(licences) == sorted(names)
    assert {photo.path.name for photo in photos.list_demo_photos() if photo.path.parent == folder} == names
    assert sum(path.stat().st_size for path in folder.glob("*.jpg")) < 5e6


def test_boxes_are_black(settings):
    for image in list_images(settings, "train"):
        damaged, original = decode_image(image.damaged, settings.shape), decode_image(image.original, settings.shape)
        hole = count_boxes(image.boxes, settings.shape) > 0
        assert original.std() > 5 and damaged[hole].mean() < 20
        if image.original.endswith(".png"):
            np.testing.assert_array_equal(damaged, np.where(hole[..., None], 0, original))
    assert {Path(e.original).suffix for e in list_images(settings, "train")} == {".jpeg", ".png"}


def test_images_differ_from_each_other(settings):
    original = [decode_image(e.original, settings.shape).tobytes() for e in list_images(settings, "train")]
    assert len(set(original)) == len(original)


def test_the_format_is_that_of_photo_reconstruction(settings):
    files = settings.competition_folder / "files"
    assert [dataclasses.replace(e, source=e.id) for e in DEMO.read_images(files, settings.shape)] == \
        PHOTO_RECONSTRUCTION.read_images(files, settings.shape)
    table = pd.read_csv(files / "Dataset" / "Testing_Data" / "masked_info.csv")
    assert list(table.columns) == ["Unnamed: 0", "filename", "box1_row", "box1_col", "box2_row", "box2_col"]
    sample, solution = pd.read_csv(files / "sample_submission.csv"), pd.read_csv(settings.competition_folder / "solution.csv")
    assert list(sample.columns) == ["filename_box_pixel", "value"] and len(sample) == 12 * 2 * 9 * 9 * 3
    assert (sample.filename_box_pixel == solution.filename_box_pixel).all()
    assert list(solution.columns) == ["filename_box_pixel", "value", "Usage"]
    public = solution[solution.Usage == "Public"].filename_box_pixel.str.rsplit("_box", n=1).str[0]
    assert public.nunique() == 5 and set(solution.Usage) == {"Public", "Private"}


def test_channel_0_of_the_solution_is_blue(settings):
    """A ginger cat and a cup on wood: every image of these has more red than green, and more green than blue."""
    solution = pd.read_csv(settings.competition_folder / "solution.csv", index_col=0).value
    for image in [image for image in list_images(settings, "test") if image.source in ("chelsea", "coffee")]:
        values = solution[solution.index.str.startswith(image.id)]
        blue, green, red = (values[values.index.str.endswith(f"_{channel}")].mean() for channel in range(3))
        assert blue < green < red


def test_the_truth_scores_0_and_a_flat_submission_its_known_score(settings, tmp_path):
    files, solution = settings.competition_folder / "files", settings.competition_folder / "solution.csv"
    truth = pd.read_csv(solution)
    truth.drop(columns="Usage").to_csv(tmp_path / "truth.csv", index=False)
    assert csv_scoring.score_csv(tmp_path / "truth.csv", solution) == {"public": 0, "private": 0, "total": 0}
    pictures = (np.full(settings.shape, 0.5, np.float32) for _ in range(12))
    DEMO.submission.write(tmp_path / "flat.csv", list_images(settings, "test"), pictures, settings)
    DEMO.submission.check(tmp_path / "flat.csv", files)
    scores = csv_scoring.score_csv(tmp_path / "flat.csv", solution)
    assert scores["total"] == pytest.approx(root_mean_squared_error(truth.value, np.full(len(truth), 0.5)), abs=1e-9)
    assert scores == pytest.approx(GOLDEN, abs=1e-5)


def test_the_same_bytes_each_time(settings, tmp_path):
    again = dataclasses.replace(settings, home=str(tmp_path), seed=settings.seed + 1)
    DEMO.make_archive(again.competition_folder, again)
    names = sorted(path.name for path in again.competition_folder.iterdir())
    assert names == [f"{DEMO.slug}.zip", "solution.csv"]
    for name in names:
        assert (again.competition_folder / name).read_bytes() == (settings.competition_folder / name).read_bytes()


def test_boxes_are_in_proportion_at_other_sizes(tmp_path):
    for size in (48, 512):
        settings = Settings(home=str(tmp_path / str(size)), size=size)
        *_, picture, boxes = next(DEMO.make_images(np.random.default_rng(0), photos.list_demo_photos()[0], settings.shape))
        assert picture.shape == settings.shape and boxes[0][2] == round(75 * size / 256)


def test_squares_are_of_many_scales():
    photo = next(photo for photo in photos.list_demo_photos() if photo.name == "forest")
    sides = [len(square) for square in DEMO.cut_squares(np.random.default_rng(0), photo, 256)]
    assert len(set(sides)) >= 8 and min(sides) < 300 and max(sides) > 500


def test_photos_are_those_in_the_packages():
    from skimage import data
    from sklearn.datasets import load_sample_image

    shown = {photo.name: photo.decode() for photo in photos.list_demo_photos() if photo.name in ("chelsea", "flower")}
    np.testing.assert_array_equal(shown["chelsea"], data.chelsea())
    shipped = shown["flower"]
    assert np.abs(shipped.astype(int) - load_sample_image("flower.jpg")).max() <= 3


def test_importing_the_demo_imports_no_heavy_library(settings):
    code = ("import pixmend.competitions.demo, sys; "
            "print([m for m in ('skimage', 'sklearn', 'pyarrow', 'pandas') if m in sys.modules])")
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
