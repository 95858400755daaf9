"""Unknown masks: a network finds them, others restore what it found, and scores count what was missed and what was not missing.

Compared with NumPy and scikit-learn, from the files that the stages write.
"""

import json
import os
import shutil

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import binary_dilation
from sklearn.metrics import jaccard_score, root_mean_squared_error
from support.journeys import journeys, row
from support.networks import build_small
from support.stages import SMALL, done, stage

from pixmend import competitions, run_file
from pixmend.config import Settings
from pixmend.data.dataset import Dataset
from pixmend.errors import FlagError, UserError
from pixmend.evaluation import metrics
from pixmend.submissions.predictions import PredictionFile
from pixmend.training import checkpoints, setup
from pixmend.training.batches import ImageBatches

pytestmark = pytest.mark.long

PLACE = "hidden_areas"
HERE = ("--competition", PLACE, "--size", "64", "--holdout", "0.2")
LOCATE = (*HERE, "--model", "locate", "--start", "none", "--width", "12", "--batch-size", "8", "--steps", "160",
          "--evaluate-every", "40", "--evaluation-images", "9", "--learning-rate", "3e-3",
          "--warmup-steps", "20", "--run", "locate")
TINY = ("--model", "unet", "--levels", "2", "--start", "harmonic", "--steps", "4")
PAINTER = (*HERE, *TINY, "--run", "painter")
SHARPER = (*HERE, *TINY, "--adversarial", "--init-from", "painter", "--run", "sharper")
EACH = ("train", "predict", "serialize", "score")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A home after the three runs in a row, on photos that are slopes with grain, and what each printed."""
    home = tmp_path_factory.mktemp("located")
    (home / "photos").mkdir()
    for number in range(40):
        rng = np.random.default_rng(number)
        slopes = cv2.resize(rng.integers(30, 226, (5, 5, 3), np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(home / f"photos/{number}.png"), np.uint8(np.clip(slopes + rng.integers(-25, 26, (64, 64, 3)), 1, 254)))
    photos = ("--photos", home / "photos")
    return home, *journeys(*((stages, home, (*run, *photos)) for stages, run in (
        (("download", "augment", *EACH, "report"), LOCATE), (EACH, PAINTER), ((*EACH, "report"), SHARPER))))


def truth(home, split="holdout"):
    """Ids, damaged pictures, true masks and whole pictures of a split, from the prepared set's files alone."""
    index = pd.read_csv(home / f"augment/{PLACE}/index.csv")
    rows = index[index.split == split]
    pictures, counts = (np.load(home / f"augment/{PLACE}/{name}.npy") for name in ("pictures", "counts"))
    return rows.id.tolist(), pictures[rows.damaged] / 255, counts[rows.damaged] > 0, pictures[rows.whole] / 255


def masks(home, ids, split="holdout"):
    folder = home / f"submissions/{PLACE}/locate-masks/{split}"
    assert len(list(folder.iterdir())) == len(ids)
    return np.stack([cv2.imread(str(folder / f"{id}.png"), cv2.IMREAD_GRAYSCALE) > 127 for id in ids])


def painted(home, run):
    """The holdout as a run painted it, and where: in the masks found and one pixel around them."""
    ids, damaged, *_ = truth(home)
    grown = binary_dilation(masks(home, ids), np.ones((1, 3, 3)))
    predicted = PredictionFile(home / f"checkpoints/{PLACE}/{run}/holdout.npz")
    return np.stack([predicted.read_image(*each) for each in zip(ids, damaged, grown, strict=True)]), grown


# Arithmetic

def test_intersection_over_union_is_what_scikit_learn_says():
    rng = np.random.default_rng(1)
    true, found = rng.random((2, 5, 12, 9)) < rng.random((2, 5, 1, 1))
    shared = [metrics.count_overlap(*pair) for pair in zip(true, found, strict=True)]
    assert metrics.compute_pooled_iou(shared) == pytest.approx(jaccard_score(true.ravel(), found.ravel()))
    each = [jaccard_score(one.ravel(), other.ravel()) for one, other in zip(true, found, strict=True)]
    assert metrics.compute_mean_iou(shared) == pytest.approx(np.mean(each))
    assert metrics.compute_pooled_iou([(0, 0)]) == 1


@pytest.mark.parametrize("shape", [(64, 64, 3), (64, 64, 1), (38, 38, 3)], ids=str)
def test_the_network_predicts_a_mask_and_ignores_the_given_one(shape):
    model, _ = build_small("locate", shape, width=4, start="none")
    rng = np.random.default_rng(1)
    seen, mask = rng.random((2, *shape)).astype(np.float32), rng.random((2, *shape[:2], 1)).round().astype(np.float32)
    answer = model.predict_on_batch([seen, mask])
    assert answer.shape == (2, *shape[:2], 1) and (answer > 0).all() and (answer < 1).all()
    np.testing.assert_array_equal(answer, model.predict_on_batch([seen, 1 - mask]))
    assert not np.array_equal(answer, model.predict_on_batch([1 - seen, mask]))


def test_traces_are_differences_to_the_right_and_below():
    from pixmend.networks.locate import compute_traces

    picture = (np.random.default_rng(1).integers(0, 3, (1, 6, 7, 3)) / 255).astype(np.float32)
    seen, right, below, flat = np.split(np.asarray(compute_traces(keras.ops.convert_to_tensor(picture))), [3, 6, 9], axis=-1)
    np.testing.assert_array_equal(seen, picture)
    np.testing.assert_allclose(np.expm1(2 * right[:, :, :-1]) / 255, np.abs(np.diff(picture, axis=2)), atol=1e-6)
    np.testing.assert_allclose(np.expm1(2 * below[:, :-1]) / 255, np.abs(np.diff(picture, axis=1)), atol=1e-6)
    assert (right[:, :, -1] == 0).all() and (below[:, -1] == 0).all()
    np.testing.assert_array_equal(flat[..., 0], (right == 0).all(-1))
    np.testing.assert_array_equal(flat[..., 1], (below == 0).all(-1))


@pytest.mark.parametrize("changes", [{"start": "harmonic"}, {"loss_region": "hole"}, {"window": 2.0}, {"adversarial": True}],
                         ids=str)
def test_settings_that_reveal_the_mask_are_refused(changes):
    with pytest.raises(FlagError, match="--" + next(iter(changes)).replace("_", "-")):
        build_small("locate", (64, 64, 3), **{"start": "none"} | changes)


def test_hidden_areas_are_boxes_and_circles_damaged_in_four_ways():
    picture = cv2.resize(np.random.default_rng(1).integers(0, 256, (70, 70, 3), np.uint8), (256, 256))
    contest, many, kinds, forms = competitions.get_competition(PLACE), set(), set(), set()
    for seed in range(60):
        damaged, counts = contest.damage_image(np.random.default_rng(seed), picture, Settings())
        np.testing.assert_array_equal(damaged[counts == 0], picture[counts == 0])
        number, labels, stats, _ = cv2.connectedComponentsWithStats(counts, connectivity=8)
        many.add(number - 1)
        for area, (_, _, width, height, size) in enumerate(stats[1:], 1):
            inside = labels == area
            assert min(width, height) >= 12 and max(width, height) <= 96
            forms.add("box" if size == width * height else "circle" if width == height and size < 0.9 * width * height else "?")
            flat = (np.diff(damaged.astype(int), axis=1) == 0).all(-1)[inside[:, 1:] & inside[:, :-1]].mean()
            ends = damaged[inside].min(), damaged[inside].max()
            kinds.add({(0, 0): "black", (255, 255): "white"}.get(ends, "pixelated" if flat > 0.5 else "blurred"))
            if kinds and ends not in ((0, 0), (255, 255)):
                assert abs(damaged[inside].mean() - picture[inside].mean()) < 25
    assert many == {1, 2, 3} and kinds == {"pixelated", "blurred", "black", "white"} and forms == {"box", "circle"}


def test_the_target_of_a_batch_is_the_mask(found):
    home, *_ = found
    settings = Settings(home=str(home), competition=PLACE, size=64, model="locate", start="none", batch_size=3)
    (seen, mask), target, weight = ImageBatches(settings, Dataset(settings.augment_folder), None).get_batch(0)
    assert seen.shape == (3, 64, 64, 3) and target.shape == (3, 64, 64, 1) and set(np.unique(target)) == {0, 1} and weight is None
    np.testing.assert_array_equal(mask, target)


# Three runs in a row

def test_a_short_training_finds_masks(found):
    home, printed, *_ = found
    ids, _, true, _ = truth(home)
    board, mine = row(home, PLACE, "locate"), masks(home, ids)
    assert float(board["iou"]) == pytest.approx(jaccard_score(true.ravel(), mine.ravel()), abs=1e-5)
    each = [jaccard_score(one.ravel(), other.ravel()) for one, other in zip(true, mine, strict=True)]
    assert float(board["iou_mean"]) == pytest.approx(np.mean(each), abs=1e-5)
    assert float(board["pixel_accuracy"]) == pytest.approx((true == mine).mean(), abs=1e-5)
    assert float(board["iou"]) > max(0.4, 4 * true.mean()) and not board.get("holdout_rmse")
    assert f"intersection over union {float(board['iou']):.4f}" in printed
    assert f"--size 64 --photos {home / 'photos'} --holdout 0.2 --unknown-masks --mask-run locate" in printed
    history = pd.read_csv(home / f"checkpoints/{PLACE}/locate/history.csv")
    first, last = history.iloc[0], history.iloc[-1]
    assert last.holdout_iou > first.holdout_iou and last.holdout_rmse < first.holdout_rmse


@pytest.mark.parametrize("run", ["painter", "sharper"])
def test_a_run_is_scored_over_the_mask_and_the_whole_image(found, run):
    home, printed = found[0], found[2 + (run == "sharper")]
    _, damaged, true, whole = truth(home)
    (pictures, told_of), board = painted(home, run), row(home, PLACE, run)
    assert (true & ~told_of).any() and (told_of & ~true).any()
    np.testing.assert_array_equal(pictures[~told_of], damaged[~told_of].astype(np.float32))
    for column, where in (("holdout_rmse", true), ("whole_rmse", true | True)):
        rmse = root_mean_squared_error(whole[where].ravel(), pictures[where].ravel())
        assert float(board[column]) == pytest.approx(rmse, abs=2e-5)
    assert board["iou"] == row(home, PLACE, "locate")["iou"]
    line = next(line for line in printed.splitlines() if line.startswith(f"  {run} "))
    assert float(line.partition("whole_rmse ")[2]) == pytest.approx(float(board["whole_rmse"]), rel=1e-3)
    assert "masks of run 'locate'" in printed
    assert "true masks" in printed


def test_init_from_continues_with_the_weights_of_another_run(found):
    home, *_ = found
    painter, sharper = (pd.read_csv(home / f"checkpoints/{PLACE}/{run}/history.csv") for run in ("painter", "sharper"))
    assert sharper.holdout_rmse[0] == pytest.approx(painter.holdout_rmse.min(), rel=1e-3)
    assert "discriminator" in sharper and "discriminator" not in painter
    assert run_file.read_trained(home / f"checkpoints/{PLACE}/sharper")["init_from"] == "painter"
    weights = [np.load(home / f"checkpoints/{PLACE}/{run}/best.npz") for run in ("painter", "sharper")]
    assert json.loads(weights[1]["facts"].tobytes())["step"] > 0
    assert any(not np.array_equal(weights[0][name], weights[1][name]) for name in weights[0].files if name != "facts")


def test_the_report_shows_the_iou_of_masks(found):
    home, *_ = found
    page = (home / f"submissions/{PLACE}/report.html").read_text()
    assert ">mask IoU<" in page and "whole_rmse" in page and ">locate<" in page
    assert f"<td>{float(row(home, PLACE, 'locate')['iou']):.4f}</td>" in page


def test_true_masks_do_not_change_predictions(found, tmp_path):
    """With every true mask turned round and those of the archive gone, holdout and test are predicted to the same bits."""
    home = tmp_path / "home"
    shutil.copytree(found[0], home)
    index = pd.read_csv(home / f"augment/{PLACE}/index.csv")
    path = home / f"augment/{PLACE}/counts.npy"
    counts, moment = np.load(path), path.stat()
    hidden = index[index.split != "train"].damaged
    counts[hidden] = 1 - counts[hidden]
    np.save(path, counts)
    os.utime(path, ns=(moment.st_atime_ns, moment.st_mtime_ns))
    for missing in (home / f"competition/{PLACE}/files").glob("*/missing/*.png"):
        missing.unlink()
    for run in ("locate", "painter"):
        for split in ("holdout", "test"):
            (home / f"checkpoints/{PLACE}/{run}/{split}.npz").unlink()
    journeys((("predict",), home, LOCATE), (("predict",), home, PAINTER))
    for run in ("locate", "painter"):
        for split in ("holdout", "test"):
            one, other = (np.load(where / f"checkpoints/{PLACE}/{run}/{split}.npz") for where in (found[0], home))
            for name in ("ids", "starts", "values"):
                assert one[name].tobytes() == other[name].tobytes(), (run, split, name)


# Mistakes

def refused(name, home, *flags, code=1):
    result = stage(name, home, *(() if "locate" in flags else (*SMALL, *HERE)), *flags)
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr and result.stderr.strip().count("\n") == 0
    return result.stderr


@pytest.mark.parametrize(("name", "flags", "message"), [
    ("train", (*TINY, "--mask-run", "nobody"), "'nobody'"),
    ("predict", (*TINY, "--run", "painter", "--mask-run", "painter"), "--mask-run painter"),
    ("score", (*TINY, "--run", "painter", "--no-unknown-masks"), "--unknown-masks"),
    ("kernel", (*TINY, "--unknown-masks"), "--unknown-masks"),
    ("submit", ("--competition", PLACE, "--run", "locate"), "--mask-run locate"),
    ("ensemble", ("--members", "painter,locate", "--run", "mixed"), "'locate'"),
    ("ensemble", ("--members", "painter,other", "--run", "mixed", "--no-unknown-masks"), "Give the ensemble --unknown-masks"),
    ("train", (*TINY, "--init-from", "nobody"), "pixmend train --run nobody"),
])
def test_wrong_runs_are_refused(found, name, flags, message):
    assert message in refused(name, found[0], *flags, code=2 if name == "kernel" else 1)


def test_a_fill_does_not_read_the_true_masks_of_a_new_test_set(found, tmp_path):
    home = shutil.copytree(found[0], tmp_path / "home")
    flags = (*HERE, "--model", "harmonic", "--run", "fill")
    for name in ("train", "predict"):
        done(stage(name, home, *flags))
    result = stage("predict", home, *flags, "--test-folder", home / f"competition/{PLACE}/files")
    assert result.returncode == 1 and "'locate'" in result.stderr and not list(home.rglob("fill.new-test-set*"))


def test_masks_are_no_images(found, tmp_path):
    flags = ("--split", "holdout", "--run", "locate", "--out", tmp_path)
    assert "pixmend serialize --run locate" in refused("mend", found[0], *flags)


def test_predictions_in_other_masks_are_refused(found, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(found[0], home)
    (home / f"checkpoints/{PLACE}/locate/test.npz").touch()
    assert "in other masks. Predict again: pixmend predict" in refused("serialize", home, *TINY, "--run", "painter", "--force")


def test_init_from_needs_the_same_network(tmp_path):
    narrow, settings = build_small("unet", (64, 64, 3), levels=2, init_from="other")
    checkpoints.save_weights(tmp_path / "best.npz", [np.asarray(v) + 1 for v in narrow.variables], {"step": 4})
    setup.load_first_weights(narrow, tmp_path / "best.npz", settings)
    np.testing.assert_array_equal(narrow.variables[0], np.load(tmp_path / "best.npz")["model/00000"])
    for change in ({"levels": 2, "width": 8}, {"levels": 3}):
        with pytest.raises(UserError, match="--init-from other"):
            setup.load_first_weights(build_small("unet", (64, 64, 3), **change)[0], tmp_path / "best.npz", settings)
