"""Every contest that is made of photos from end to end, in real processes: with a fill, a tiny network, a folder of photos, and
another contest's damage; what is printed and written is held against the files by other libraries.
"""

import re

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cosine
from sklearn.metrics import mean_absolute_error, mean_squared_error, root_mean_squared_error
from support.journeys import journeys, row
from support.stages import SMALL, done, stage

from pixmend import files
from pixmend.config import complete, parse
from pixmend.fills.tiles import find_tiles

FILL = ("download", "augment", "train", "predict", "serialize", "score", "submit")
NETWORK = ("train", "predict", "serialize", "score", "report")
TINY = ("--steps", "4", "--levels", "2", "--masks-per-image", "0", "--run", "tiny")
MADE = ("missing_pixels", "depixelation", "landscapes")
DAMAGED = ("--damage", "landscapes", "--hole-colour", "white")

@pytest.fixture(scope="module")
def photos_of_mine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    for number in range(8):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 7, 3), np.uint8)
        large = cv2.resize(coarse, (110, 75), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number}.{'jpg' if number % 2 else 'png'}"), large)
    cv2.imwrite(str(folder / "grey.jpg"), large[::-1, :, 0])
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.fixture(scope="module")
def homes(tmp_path_factory, prepared_home, photos_of_mine):
    """By name, each contest's home after its journey with a fill and with a network, and what both printed; also the demo's with
    another contest's damage.
    """
    home, mine = tmp_path_factory.mktemp("all"), ("--photos", photos_of_mine, "--broken-images", "skip", "--hole-colour", "white")
    flags = {name: ("--competition", name, *(mine if name == "landscapes" else ())) for name in MADE} | {"demo+landscapes": DAMAGED}
    (home / "competition").mkdir()
    (home / "competition/demo").symlink_to(prepared_home / "competition/demo")
    first = [(FILL if name in MADE else FILL[1:-1], home, (*flags[name], "--model", "harmonic", "--run", "filled"))
             for name in flags]
    then = [(NETWORK, home, (*flags[name], *TINY, *(() if name in MADE else ("--fresh-masks", "--loss-region", "hole"))))
            for name in flags]
    return {name: (name, home, *told) for name, *told in zip(flags, journeys(*first), journeys(*then), strict=True)}


@pytest.fixture(params=MADE)
def journey(request, homes):
    """A contest's name, a home after its journey with a fill and with a network, and what both printed."""
    return homes[request.param]


def holdout(home, place):
    """Whole and damaged pictures of the holdout and their masks, from the prepared set's files alone."""
    index = pd.read_csv(home / f"augment/{place}/index.csv")
    rows = index[index.split == "holdout"]
    pictures, counts = (np.load(home / f"augment/{place}/{name}.npy") for name in ("pictures", "counts"))
    return rows.id.tolist(), pictures[rows.whole], pictures[rows.damaged], counts[rows.damaged]


def mended(home, place, run):
    """The holdout's pictures as a run's file tells them, in 0..1."""
    ids, _, damaged, counts = holdout(home, place)
    pictures, mask = damaged / 255, counts > 0
    file, = (home / f"submissions/{place}").glob(f"{run}.holdout.*")
    if file.suffix == ".csv":
        table = pd.read_csv(file)
        assert table.pixel.str.rpartition("_")[0].str.startswith(ids[0]).any()
        pictures[mask] = table.value.to_numpy().reshape(-1, pictures.shape[-1])
        return pictures
    data, at = file.read_bytes(), 1
    for picture, of_picture in zip(pictures, mask, strict=True):
        count = int.from_bytes(data[at:at + data[0]], "big") + 1
        assert count == of_picture.sum()
        at += data[0] + count
        picture[of_picture, 0] = np.frombuffer(data[at - count:at], np.uint8) / 255
    assert at == len(data)
    return pictures


def expected_scores(name, whole, pictures, counts):
    truth, mask = whole / 255, counts > 0
    if name == "missing_pixels":
        return {"mse_255": mean_squared_error(255 * truth.ravel(), 255 * pictures.ravel())}
    if name == "depixelation":
        return {"rmse_255": root_mean_squared_error(255 * truth[mask].ravel(), 255 * pictures[mask].ravel())}
    return {"l1": mean_absolute_error(truth.ravel(), pictures.ravel()), "l2": mean_squared_error(truth.ravel(), pictures.ravel()),
            "cosine": np.mean([1 - cosine(a.ravel(), b.ravel()) for a, b in zip(truth, pictures, strict=True)])}


@pytest.mark.parametrize("run", ["filled", "tiny"])
def test_scores_are_what_the_file_on_disk_says(journey, run):
    name, home, *printed = journey
    _, whole, _, counts = holdout(home, name)
    pictures, board = mended(home, name, run), row(home, name, run)
    mask = counts > 0
    rmse = root_mean_squared_error(whole[mask].ravel() / 255, pictures[mask].ravel())
    assert float(board["holdout_rmse"]) == pytest.approx(rmse, abs=2e-5)
    text = printed[run == "tiny"]
    for own, value in expected_scores(name, whole, pictures, counts).items():
        assert float(board[own]) == pytest.approx(value, abs=2e-5, rel=1e-4)
        line = next(line for line in text.splitlines() if line.startswith(f"  {run} "))
        assert float(re.search(rf"{own} ([\d.]+)", line)[1]) == pytest.approx(value, rel=1e-3, abs=2e-5)


def test_every_fill_stands_beside_the_run_with_the_contests_scores(journey):
    name, home, told, _ = journey
    score = files.read_json(home / f"checkpoints/{name}/filled/score.json")
    fills = {"mean", "ring", "telea", "navier_stokes", "harmonic", "smooth", "biharmonic", "tile_harmonic", "tile_smooth"}
    fills |= {"given"} if name == "depixelation" else set()
    assert set(score["fills"]) == set(score["fills_scores"]) == fills
    for fill in fills - {"filled"}:
        assert re.search(rf"{fill} \(fill\).*{next(iter(score['scores']))}", told)
    for own, value in score["scores"].items():
        assert value == pytest.approx(score["fills_scores"]["harmonic"][own], rel=0.02)


def test_the_test_set_is_graded_here_and_pictures_have_the_contests_shape(journey):
    name, home, told, _ = journey
    channels = 3 if name == "landscapes" else 1
    assert np.load(home / f"augment/{name}/pictures.npy", mmap_mode="r").shape[1:] == (32, 32, channels)
    board = row(home, name, "filled")
    assert f"Scored here, nothing was sent to Kaggle ({home}/competition/{name}/solution" in told
    assert 0 < float(board["public"]) < 0.4 and (board["private"] == "none") == (name == "depixelation")
    sample, = (home / f"competition/{name}/files").glob("sample_submission.*")
    again = ("--submission", sample, "--solution", sample.parent.parent / f"solution{sample.suffix}")
    black = float(re.search(r"total +RMSE ([\d.]+)", done(stage("score", home, "--competition", name, *again)))[1])
    assert black > float(board["public"])


def test_the_report_shows_the_contests_scores(journey):
    name, home, _, told = journey
    page = (home / f"submissions/{name}/report.html").read_text()
    one = {"missing_pixels": ["mse in 0..255"], "depixelation": ["rmse in 0..255"]}
    for own in one.get(name, ["l1", "l2", "cosine", "poisson"]):
        assert page.count(f">{own}<") == 2 and f"<small>{own} " in page
    made_of_mine = name == "landscapes"
    assert (f"./run_pipeline.sh --competition {name} --home {home} --size 32 --photos FOLDER" in told) != made_of_mine


STARTS = {"missing_pixels": "biharmonic", "depixelation": "tile_smooth", "landscapes": "harmonic"}


def test_a_network_starts_from_the_contests_best_fill_and_so_begins_no_worse(journey):
    name, home, *_ = journey
    stored = files.read_json(home / f"checkpoints/{name}/tiny/settings.json")
    assert stored["start"] == STARTS[name]
    score = files.read_json(home / f"checkpoints/{name}/tiny/score.json")
    assert sum(score["sums"]) == pytest.approx(sum(score["fills"][STARTS[name]]), rel=0.1)


def test_a_network_keeps_the_means_that_a_pixelated_area_shows(homes):
    _, home, *_ = homes["depixelation"]
    _, _, damaged, counts = holdout(home, "depixelation")
    changed = 0
    for given, painted, mask in zip(damaged / 255, mended(home, "depixelation", "tiny"), counts > 0, strict=True):
        tiles = find_tiles(given.astype(np.float32), mask)
        changed += np.abs(painted - given).max() > 0.1
        for tile in range(tiles.max() + 1):
            assert abs((painted - given)[tiles == tile].mean()) < 0.02   # levels are rounded, and cut off at black and white
    assert changed > 3


def test_photos_of_mine_were_taken_and_the_broken_one_told(journey, photos_of_mine):
    name, home, told, _ = journey
    index = pd.read_csv(home / f"augment/{name}/index.csv")
    if name == "landscapes":
        assert f"left out: {photos_of_mine / 'broken.png'}" in told
        assert set(index.source) == {path.name for path in photos_of_mine.iterdir()} - {"broken.png"}
        _, _, damaged, counts = holdout(home, name)
        assert (damaged[counts > 0] == 255).all()
    assert (index.groupby("source").split.nunique() == 1).all()


# Another contest's damage

def test_a_model_is_scored_with_another_contests_damage(homes):
    _, home, *told = homes["demo+landscapes"]
    _, whole, damaged, counts = holdout(home, "demo+landscapes")
    assert (damaged[counts > 0] == 255).all() and counts.max() == 1
    np.testing.assert_array_equal(damaged[counts == 0], whole[counts == 0])
    for run in ("filled", "tiny"):
        pictures, board = mended(home, "demo+landscapes", run), row(home, "demo+landscapes", run)
        rmse = root_mean_squared_error(whole[counts > 0].ravel() / 255, pictures[counts > 0].ravel())
        assert float(board["holdout_rmse"]) == pytest.approx(rmse, abs=2e-5)
        assert float(board["l1"]) == pytest.approx(mean_absolute_error(whole.ravel() / 255, pictures.ravel()), abs=2e-5)
    assert "hidden solution" not in "".join(told) and "public" not in board


def test_the_test_set_keeps_its_own_damage_and_its_file_is_the_contests(homes, prepared_home):
    _, home, *_ = homes["demo+landscapes"]
    index = pd.read_csv(home / "augment/demo+landscapes/index.csv")
    counts = np.load(home / "augment/demo+landscapes/counts.npy")[index[index.split == "test"].damaged]
    own = pd.read_csv(prepared_home / "augment/demo/index.csv")
    np.testing.assert_array_equal(counts, np.load(prepared_home / "augment/demo/counts.npy")[own[own.split == "test"].damaged])
    ours = pd.read_csv(home / "submissions/demo+landscapes/filled.csv")
    sample = pd.read_csv(prepared_home / "competition/demo/files/sample_submission.csv")
    assert (ours.filename_box_pixel == sample.filename_box_pixel).all()


def test_overlapping_boxes_of_another_contest_count_twice(tmp_path):
    flags = ("--competition", "missing_pixels", "--damage", "photo_reconstruction", "--model", "mean", "--run", "filled")
    journeys((FILL[:-1], tmp_path, flags))
    place = "missing_pixels+photo_reconstruction"
    _, whole, _, counts = holdout(tmp_path, place)
    pictures = mended(tmp_path, place, "filled")
    assert counts.max() == 2
    rmse = np.sqrt(np.average((whole / 255 - pictures)[..., 0] ** 2, weights=counts))
    assert float(row(tmp_path, place, "filled")["holdout_rmse"]) == pytest.approx(rmse, abs=2e-5)


@pytest.mark.parametrize(("flags", "told"), [
    (["--damage", "depixelatoin"], ["depixelatoin", "depixelation"]),
    (["--photos", "/nowhere"], ["--photos", "demo"]),
    (["--competition", "photo_reconstruction", "--photos", "/nowhere"], ["--photos", "photo_reconstruction"]),
    (["--competition", "landscapes", "--photos", "/nowhere"], ["/nowhere is no folder"]),
    (["--competition", "landscapes", "--hole-colour", "green"], ["green", "black", "white"]),
])
def test_flags_that_do_not_go_together_end_with_2(tmp_path, flags, told):
    result = stage("download", tmp_path, *flags)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert all(word in result.stderr for word in told), result.stderr


def test_a_set_prepared_under_another_filling_is_refused_by_name(homes):
    _, home, *_ = homes["demo+landscapes"]
    result = stage("predict", home, *SMALL, "--damage", "landscapes", "--run", "filled", "--model", "harmonic")
    assert result.returncode == 1 and "--hole-colour white, not black" in result.stderr


def test_a_run_is_named_after_the_folder_of_its_photos_and_not_after_the_damage(tmp_path):
    flags = ["--competition", "landscapes", "--photos", str(tmp_path / "my photos, 2024"), "--damage", "depixelation"]
    assert complete(parse(flags, {}), {}).run == "pix2pix-pictures-my-photos-2024"
