"""The demo contest: real photos, the real contest's form, no photo on both sides, the same bytes each time."""

import dataclasses
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
from pixmend.data import photos, splits
from pixmend.data.damage import box_counts
from pixmend.data.decode import decode
from pixmend.submissions import csv_scoring

# RMSE of a flat 0.5 against the hidden solution at 32 pixels: it changes only if the photos or what is scored change.
GOLDEN = {"public": 0.271333, "private": 0.283099, "total": 0.278257}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    settings = Settings(home=str(tmp_path_factory.mktemp("demo")), size=32)
    DEMO.make_archive(settings.competition_folder, settings)
    with zipfile.ZipFile(settings.competition_folder / f"{DEMO.slug}.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(settings.competition_folder / "files")
    return settings


def entries_of(settings, split):
    return [e for e in DEMO.read_images(settings.competition_folder / "files", settings.shape) if e.split == split]


def test_size_and_split_by_photo(made):
    train, test = entries_of(made, "train"), entries_of(made, "test")
    assert (len(train), len(test)) == (60, 12)
    assert not {e.source for e in train} & {e.source for e in test}
    assert {e.source for e in test} == {"chelsea", "coffee"}
    for kind in {e.kind for e in train}:
        assert len({e.source for e in train if e.kind == kind}) >= 3
    kept = splits.choose([e.source for e in train], [e.kind for e in train], 0.1, 1)
    assert {e.kind for e in train if e.source in kept} == {e.kind for e in train}


def test_pictures_hold_photos_with_black_boxes(made):
    for entry in entries_of(made, "train"):
        damaged, whole = decode(entry.damaged, made.shape), decode(entry.whole, made.shape)
        hole = box_counts(entry.boxes, made.shape) > 0
        assert whole.std() > 5 and damaged[hole].mean() < 20
        if entry.whole.endswith(".png"):
            np.testing.assert_array_equal(damaged, np.where(hole[..., None], 0, whole))
    assert {Path(e.whole).suffix for e in entries_of(made, "train")} == {".jpeg", ".png"}


def test_pictures_differ_from_each_other(made):
    whole = [decode(e.whole, made.shape).tobytes() for e in entries_of(made, "train")]
    assert len(set(whole)) == len(whole)


def test_the_form_is_the_real_contests(made):
    files = made.competition_folder / "files"
    assert [dataclasses.replace(e, source=e.id) for e in DEMO.read_images(files, made.shape)] == \
        PHOTO_RECONSTRUCTION.read_images(files, made.shape)
    table = pd.read_csv(files / "Dataset" / "Testing_Data" / "masked_info.csv")
    assert list(table.columns) == ["Unnamed: 0", "filename", "box1_row", "box1_col", "box2_row", "box2_col"]
    sample, solution = pd.read_csv(files / "sample_submission.csv"), pd.read_csv(made.competition_folder / "solution.csv")
    assert list(sample.columns) == ["filename_box_pixel", "value"] and len(sample) == 12 * 2 * 9 * 9 * 3
    assert (sample.filename_box_pixel == solution.filename_box_pixel).all()
    assert list(solution.columns) == ["filename_box_pixel", "value", "Usage"]
    public = solution[solution.Usage == "Public"].filename_box_pixel.str.rsplit("_box", n=1).str[0]
    assert public.nunique() == 5 and set(solution.Usage) == {"Public", "Private"}


def test_channel_0_of_the_solution_is_blue(made):
    """A ginger cat and a cup on wood: every picture has more red than green, and more green than blue."""
    solution = pd.read_csv(made.competition_folder / "solution.csv", index_col=0).value
    for entry in entries_of(made, "test"):
        values = solution[solution.index.str.startswith(entry.id)]
        blue, green, red = (values[values.index.str.endswith(f"_{channel}")].mean() for channel in range(3))
        assert blue < green < red


def test_write_read_rmse_is_nought_and_golden_score(made, tmp_path):
    files, solution = made.competition_folder / "files", made.competition_folder / "solution.csv"
    truth = pd.read_csv(solution)
    truth.drop(columns="Usage").to_csv(tmp_path / "truth.csv", index=False)
    assert csv_scoring.score_csv(tmp_path / "truth.csv", solution) == {"public": 0, "private": 0, "total": 0}
    pictures = (np.full(made.shape, 0.5, np.float32) for _ in range(12))
    DEMO.submission.write(tmp_path / "flat.csv", entries_of(made, "test"), pictures, made)
    DEMO.submission.check(tmp_path / "flat.csv", files)
    scores = csv_scoring.score_csv(tmp_path / "flat.csv", solution)
    assert scores["total"] == pytest.approx(root_mean_squared_error(truth.value, np.full(len(truth), 0.5)), abs=1e-9)
    assert scores == pytest.approx(GOLDEN, abs=1e-5)


def test_the_same_bytes_each_time_and_nothing_half_written(made, tmp_path):
    again = dataclasses.replace(made, home=str(tmp_path), seed=made.seed + 1)
    DEMO.make_archive(again.competition_folder, again)
    names = sorted(path.name for path in again.competition_folder.iterdir())
    assert names == [f"{DEMO.slug}.zip", "solution.csv"]
    for name in names:
        assert (again.competition_folder / name).read_bytes() == (made.competition_folder / name).read_bytes()


def test_other_sizes(tmp_path):
    for size in (48, 512):
        settings = Settings(home=str(tmp_path / str(size)), size=size)
        *_, picture, boxes = next(DEMO.make_samples(np.random.default_rng(0), photos.embedded()[-2], settings.shape))
        assert picture.shape == settings.shape and boxes[0][2] == round(75 * size / 256)


def test_photos_are_those_of_the_packages():
    from skimage import data
    from sklearn.datasets import load_sample_image

    shown = {photo.name: photo.picture() for photo in photos.embedded() if photo.name in ("chelsea", "flower")}
    np.testing.assert_array_equal(shown["chelsea"], data.chelsea())
    shipped = shown["flower"]
    assert np.abs(shipped.astype(int) - load_sample_image("flower.jpg")).max() <= 3


def test_import_takes_neither_library(made):
    code = "import pixmend.competitions.demo, sys; print([m for m in ('skimage', 'sklearn', 'pyarrow', 'pandas') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
