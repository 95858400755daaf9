"""Competitions made from photos, from the archive to the report: with a fill, with a small network, and with another's damage.

What is printed and written is compared with the results of other libraries from the same files.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cosine
from sklearn.metrics import mean_absolute_error, mean_squared_error, root_mean_squared_error
from support.journeys import journeys, row
from support.stages import SMALL, done, stage

from pixmend import files
from pixmend.fills.tiles import find_tiles
from pixmend.flags import parse_flags
from pixmend.run_file import load_run
from pixmend.run_identity import complete_settings

pytestmark = pytest.mark.long

FILL_STAGES = ("download", "augment", "train", "predict", "serialize", "score", "submit")
NETWORK_STAGES = ("train", "predict", "serialize", "score", "report")
NETWORK = ("--steps", "4", "--levels", "2", "--masks-per-image", "0", "--run", "network")
NAMES = ("missing_pixels", "depixelation", "landscapes")
STARTS = {"depixelation": "tile_smooth", "landscapes": "harmonic"}   # of the networks
OTHER_DAMAGE = {"demo+landscapes": ("--damage", "landscapes", "--hole-colour", "white"),
                "missing_pixels+photo_reconstruction": ("--competition", "missing_pixels", "--damage", "photo_reconstruction")}


@dataclass(frozen=True)
class Finished:
    """A competition after all stages with the runs `fill` and `network`, and what the stages of each printed."""

    name: str
    home: Path
    printed: dict[str, str]

    def holdout(self):
        """Return ids, original and damaged images, uint8, and counts, from the dataset's files alone."""
        index = pd.read_csv(self.home / f"augment/{self.name}/index.csv")
        rows = index[index.split == "holdout"]
        images, counts = (np.load(self.home / f"augment/{self.name}/{name}.npy") for name in ("pictures", "counts"))
        return rows.id.tolist(), images[rows.whole], images[rows.damaged], counts[rows.damaged]

    def predicted(self, run):
        """Return the images of the holdout in 0..1 as the submission of a run has them."""
        ids, _, damaged, counts = self.holdout()
        images, mask = damaged / 255, counts > 0
        file, = (self.home / f"submissions/{self.name}").glob(f"{run}.holdout.*")
        if file.suffix == ".csv":
            table = pd.read_csv(file)
            assert table.pixel.str.startswith(ids[0]).any()
            images[mask] = table.value.to_numpy().reshape(-1, images.shape[-1])
            return images
        data, position = file.read_bytes(), 1
        for image, image_mask in zip(images, mask, strict=True):
            count = int.from_bytes(data[position:position + data[0]], "big") + 1
            assert count == image_mask.sum()
            position += data[0] + count
            image[image_mask, 0] = np.frombuffer(data[position - count:position], np.uint8) / 255
        assert position == len(data)
        return images

    def leaderboard_row(self, run):
        return row(self.home, self.name, run)

    def score(self, run):
        return files.read_json(self.home / f"checkpoints/{self.name}/{run}/score.json")


@pytest.fixture(scope="module")
def own_photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    for number in range(8):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 7, 3), np.uint8)
        large = cv2.resize(coarse, (110, 75), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number}.{'jpg' if number % 2 else 'png'}"), large)
    cv2.imwrite(str(folder / "grey.jpg"), large[::-1, :, 0])
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.fixture(scope="module")
def competitions(tmp_path_factory, prepared_home, own_photos):
    """Each competition by name, landscapes from a user's own photos; and two with another competition's damage.

    The fills come first: once a network was built in this process, worker processes take long to start.
    """
    home = tmp_path_factory.mktemp("all")
    (home / "competition").mkdir()
    (home / "competition/demo").symlink_to(prepared_home / "competition/demo")
    flags = {name: ("--competition", name) for name in NAMES} | OTHER_DAMAGE
    flags["landscapes"] += ("--photos", own_photos, "--broken-images", "skip", "--hole-colour", "white")
    network_flags = {"depixelation": ("--start", "tile_smooth"), "landscapes": (),
                     "demo+landscapes": ("--fresh-masks", "--loss-region", "hole")}
    fills = journeys(*((FILL_STAGES if name in NAMES else FILL_STAGES[1:-1], home,
                        (*flags[name], "--model", "harmonic", "--run", "fill")) for name in flags))
    networks = journeys(*((NETWORK_STAGES, home, (*flags[name], *NETWORK, *more)) for name, more in network_flags.items()))
    network_outputs = dict(zip(network_flags, networks, strict=True))
    return {name: Finished(name, home, {"fill": output, "network": network_outputs.get(name, "")})
            for name, output in zip(flags, fills, strict=True)}


def expected_metrics(name, original, predicted, counts):
    truth, mask = original / 255, counts > 0
    if name == "missing_pixels":
        return {"mse_255": mean_squared_error(255 * truth.ravel(), 255 * predicted.ravel())}
    if name == "depixelation":
        return {"rmse_255": root_mean_squared_error(255 * truth[mask].ravel(), 255 * predicted[mask].ravel())}
    return {"l1": mean_absolute_error(truth.ravel(), predicted.ravel()),
            "l2": mean_squared_error(truth.ravel(), predicted.ravel()),
            "cosine": np.mean([1 - cosine(a.ravel(), b.ravel()) for a, b in zip(truth, predicted, strict=True)])}


@pytest.mark.parametrize(("name", "run"), [(name, "fill") for name in NAMES] + [(name, "network") for name in STARTS])
def test_scores_are_those_of_the_file_on_disk(competitions, name, run):
    competition = competitions[name]
    _, original, _, counts = competition.holdout()
    predicted, board = competition.predicted(run), competition.leaderboard_row(run)
    mask = counts > 0
    rmse = root_mean_squared_error(original[mask].ravel() / 255, predicted[mask].ravel())
    assert float(board["holdout_rmse"]) == pytest.approx(rmse, abs=2e-5)
    for metric, value in expected_metrics(name, original, predicted, counts).items():
        assert float(board[metric]) == pytest.approx(value, abs=2e-5, rel=1e-4)
        assert competition.score(run)["scores"][metric] == pytest.approx(value, abs=2e-5, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_every_fill_is_scored_with_all_metrics(competitions, name):
    score = competitions[name].score("fill")
    fills = {"mean", "ring", "telea", "navier_stokes", "harmonic", "smooth"}
    fills |= {"depixelation": {"given", "tile_harmonic", "tile_smooth"}, "missing_pixels": {"biharmonic"},
              "landscapes": {"photos"}}.get(name, set())   # photos learned from photographs inside packages
    assert set(score["fills"]) == set(score["fills_scores"]) == fills
    for metric, value in score["scores"].items():
        assert value == pytest.approx(score["fills_scores"]["harmonic"][metric], rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_the_test_set_is_scored_with_the_solution(competitions, name):
    home, board = competitions[name].home, competitions[name].leaderboard_row("fill")
    channels = 3 if name == "landscapes" else 1
    assert np.load(home / f"augment/{name}/pictures.npy", mmap_mode="r").shape[1:] == (32, 32, channels)
    assert 0 < float(board["public"]) < 0.4 and (board["private"] == "none") == (name == "depixelation")
    sample, = (home / f"competition/{name}/files").glob("sample_submission.*")
    paths = ("--submission", sample, "--solution", sample.parent.parent / f"solution{sample.suffix}")
    black = float(re.search(r"total +RMSE ([\d.]+)", done(stage("score", home, "--competition", name, *paths)))[1])
    assert black > float(board["public"])


@pytest.mark.parametrize("name", STARTS)
def test_the_report_has_a_column_for_each_metric(competitions, name):
    page = (competitions[name].home / f"submissions/{name}/report.html").read_text()
    for metric in {"depixelation": ["rmse in 0..255"], "landscapes": ["l1", "l2", "cosine", "poisson"]}[name]:
        assert page.count(f">{metric}<") == 2


@pytest.mark.parametrize("name", STARTS)
def test_a_network_starts_from_the_competitions_best_fill(competitions, name):
    assert load_run(competitions[name].home / f"checkpoints/{name}/network/run.toml").start == STARTS[name]
    score = competitions[name].score("network")
    assert sum(score["sums"]) == pytest.approx(sum(score["fills"][STARTS[name]]), rel=0.1)


def test_a_network_keeps_the_means_of_pixelated_tiles(competitions):
    _, _, damaged, counts = competitions["depixelation"].holdout()
    changed = 0
    for image, predicted, mask in zip(damaged / 255, competitions["depixelation"].predicted("network"), counts > 0, strict=True):
        tiles = find_tiles(image.astype(np.float32), mask)
        changed += np.abs(predicted - image).max() > 0.1
        for tile in range(tiles.max() + 1):
            assert abs((predicted - image)[tiles == tile].mean()) < 0.02   # levels are rounded, and clipped at black and white
    assert changed > 3


@pytest.mark.parametrize("name", NAMES)
def test_no_photo_is_in_two_splits(competitions, name):
    index = pd.read_csv(competitions[name].home / f"augment/{name}/index.csv")
    assert (index.groupby("source").split.nunique() == 1).all()


def test_own_photos_are_used_and_a_broken_one_is_reported(competitions, own_photos):
    competition = competitions["landscapes"]
    assert f"left out: {own_photos / 'broken.png'}" in competition.printed["fill"]
    index = pd.read_csv(competition.home / "augment/landscapes/index.csv")
    assert set(index.source) == {path.name for path in own_photos.iterdir()} - {"broken.png"}
    _, _, damaged, counts = competition.holdout()
    assert (damaged[counts > 0] == 255).all()


# Another competition's damage

def test_a_run_is_scored_with_another_competitions_damage(competitions):
    competition = competitions["demo+landscapes"]
    _, original, damaged, counts = competition.holdout()
    assert (damaged[counts > 0] == 255).all() and counts.max() == 1
    np.testing.assert_array_equal(damaged[counts == 0], original[counts == 0])
    for run in ("fill", "network"):
        predicted, board = competition.predicted(run), competition.leaderboard_row(run)
        rmse = root_mean_squared_error(original[counts > 0].ravel() / 255, predicted[counts > 0].ravel())
        assert float(board["holdout_rmse"]) == pytest.approx(rmse, abs=2e-5)
        assert float(board["l1"]) == pytest.approx(mean_absolute_error(original.ravel() / 255, predicted.ravel()), abs=2e-5)
        assert not board.get("public")


def test_the_test_set_keeps_its_own_damage(competitions, prepared_home):
    home = competitions["demo+landscapes"].home
    index, own = (pd.read_csv(folder / "index.csv")
                  for folder in (home / "augment/demo+landscapes", prepared_home / "augment/demo"))
    counts = np.load(home / "augment/demo+landscapes/counts.npy")[index[index.split == "test"].damaged]
    np.testing.assert_array_equal(counts, np.load(prepared_home / "augment/demo/counts.npy")[own[own.split == "test"].damaged])
    submission = pd.read_csv(home / "submissions/demo+landscapes/fill.csv")
    sample = pd.read_csv(prepared_home / "competition/demo/files/sample_submission.csv")
    assert (submission.filename_box_pixel == sample.filename_box_pixel).all()


def test_overlapping_boxes_of_another_damage_count_twice(competitions):
    competition = competitions["missing_pixels+photo_reconstruction"]
    _, original, _, counts = competition.holdout()
    assert counts.max() == 2
    rmse = np.sqrt(np.average((original / 255 - competition.predicted("fill"))[..., 0] ** 2, weights=counts))
    assert float(competition.leaderboard_row("fill")["holdout_rmse"]) == pytest.approx(rmse, abs=2e-5)


# Flags

@pytest.mark.parametrize(("flags", "words"), [
    (["--damage", "depixelatoin"], ["depixelatoin", "depixelation"]),
    (["--photos", "/nowhere"], ["--photos", "demo"]),
    (["--competition", "photo_reconstruction", "--photos", "/nowhere"], ["--photos", "photo_reconstruction"]),
    (["--competition", "landscapes", "--photos", "/nowhere"], ["/nowhere"]),
    (["--competition", "landscapes", "--hole-colour", "green"], ["green", "black", "white"]),
])
def test_wrong_flags_exit_with_2(tmp_path, flags, words):
    result = stage("download", tmp_path, *flags)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert all(word in result.stderr for word in words), result.stderr


def test_a_dataset_with_another_hole_colour_is_refused(competitions):
    result = stage("predict", competitions["demo+landscapes"].home, *SMALL, "--damage", "landscapes", "--run", "new",
                   "--model", "harmonic")
    assert result.returncode == 1 and "--hole-colour" in result.stderr and "white" in result.stderr


def test_a_run_is_named_after_the_folder_of_its_photos_and_not_after_the_damage(tmp_path):
    flags = ["--competition", "landscapes", "--photos", str(tmp_path / "my photos, 2024"), "--damage", "depixelation"]
    assert complete_settings(parse_flags(flags, environment={}), {}).run == "window_unet-photos-my-photos-2024"
