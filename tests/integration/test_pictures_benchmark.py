"""The benchmark of RMSE over training photos at toy size: same holdout and test images in all rows, more photos in each."""

import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from support.stages import ROOT

from benchmarks import pictures
from benchmarks._data import write_competition

TRAINING, TEST, CLASSES = 64, 4, 4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with an archive of 64 training photos, and a solution of random values."""
    folder = tmp_path_factory.mktemp("pictures")
    write_competition(folder / "home", TRAINING, TEST, side=256)
    files = folder / "home/competition/photo_reconstruction/files"
    shutil.make_archive(str(folder / "photo-reconstruction"), "zip", files)
    sample = pd.read_csv(files / "sample_submission.csv")
    sample["value"] = np.random.default_rng(1).random(len(sample))
    sample.to_csv(folder / "solution.csv", index=False)
    return folder


def list_photos(archive):
    with zipfile.ZipFile(archive) as file:
        return {name for name in file.namelist() if "/Unmasked_Train/" in name and name.endswith(".jpeg")}


def test_each_photo_is_in_the_archive_or_in_the_extra_pictures_once(data, tmp_path):
    pictures.prepare_data(data, tmp_path)
    kept = {name.split("/")[-1] for name in list_photos(tmp_path / "competition/photo_reconstruction/photo-reconstruction.zip")}
    numbers = {"quarter": TRAINING // 8, "half": 3 * TRAINING // 8, "all": 7 * TRAINING // 8}
    extra = {name: {path.name for path in pictures.extra_folder(tmp_path, name).rglob("*.jpeg")} for name in numbers}
    assert len(kept) == TRAINING // 8 and {name: len(found) for name, found in extra.items()} == numbers
    assert extra["quarter"] < extra["half"] < extra["all"] and not kept & extra["all"]
    assert len({path.parent.name for path in pictures.extra_folder(tmp_path, "all").rglob("*.jpeg")}) == CLASSES


@pytest.mark.slow
def test_all_rows_are_measured_and_those_that_are_stored_are_not_measured_again(data, tmp_path):
    command = [sys.executable, "-m", "benchmarks", "pictures", "--data", data, "--home", tmp_path / "home", "--steps", "4",
               "--out", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    results = json.loads((tmp_path / "PICTURES.json").read_text())
    photos = [results[name]["photos"] for name in pictures.SHARES]
    assert photos == sorted(set(photos)) and photos[-1] > 5 * photos[0]
    assert len({tuple(result["numbers"]) for result in results.values()}) == 1
    assert all(list(results[name]["holdout"]) == ["0", "4"] for name in pictures.SHARES)
    assert str(tmp_path) not in (tmp_path / "PICTURES.json").read_text()
    results["all"] |= {"rmse": 0.5}
    (tmp_path / "PICTURES.json").write_text(json.dumps(results))
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert "| 0.50000 (" in (tmp_path / "PICTURES.md").read_text()
    assert (tmp_path / "PICTURES.png").read_bytes().startswith(b"\x89PNG")
