"""--start: training begins with any fill, which is computed once."""

import math

import numpy as np
import pytest
from support.stages import SMALL, done, stage

from pixmend import models
from pixmend.config import SETTINGS, Settings
from pixmend.data.dataset import open_dataset
from pixmend.run_identity import apply_defaults, complete_settings
from pixmend.training.prepared_arrays import fill_training_images

TINY = (*SMALL, "--model", "cnn", "--steps", "1")
FROM_PHOTOS = ("--size", "32", "--init-from", "photos", "--masks-per-image", "1", "--steps", "1", "--tta", "1")


def test_start_accepts_every_fill():
    assert set(SETTINGS["start"].choices) == {"none", "given", *models.FILLS}


def test_training_fills_all_images(home):
    done(stage("train", home, *TINY, "--start", "biharmonic", "--run", "a"))
    ready = open_dataset(Settings(home=str(home), size=32))
    assert (home / "augment/demo/starts/biharmonic.npy").stat().st_size == math.prod(ready.filled["harmonic"].shape) + 128
    for row in (ready.split("train")[0], ready.split("train")[-1], ready.split("holdout")[3], ready.split("test")[0]):
        mask = ready.read_counts(row) > 0
        filled = models.get_fill("biharmonic")(ready.read_damaged(row) / np.float32(255), mask)
        if row.variant == 0:
            np.testing.assert_array_equal(ready.read_input(row, "biharmonic"), np.rint(filled * 255))
        np.testing.assert_array_equal(ready.read_input(row, "biharmonic")[~mask], ready.read_damaged(row)[~mask])


def test_images_are_filled_once_and_again_after_deletion(home):
    settings = Settings(home=str(home), size=32, start="mean")
    ready, path = open_dataset(settings), home / "augment/demo/starts/mean.npy"
    fill_training_images(settings, ready)
    first, before = path.read_bytes(), path.stat().st_mtime_ns
    fill_training_images(settings, ready)
    assert path.stat().st_mtime_ns == before
    path.unlink()
    fill_training_images(settings, ready)
    assert path.read_bytes() == first


def test_an_untrained_run_predicts_its_start(home):
    """Also where the start's file is gone since: it is made again."""
    done(stage("train", home, *TINY, "--start", "telea", "--learning-rate", "1e-8", "--run", "a"))
    (home / "augment/demo/starts/telea.npy").unlink()
    done(stage("predict", home, "--run", "a"))
    ready = open_dataset(Settings(home=str(home), size=32))
    values = np.load(home / "checkpoints/demo/a/holdout.npz")["values"]
    wanted = np.concatenate([ready.read_input(row, "telea")[ready.read_counts(row) > 0] for row in ready.split("holdout")]) / 255
    np.testing.assert_allclose(values, wanted, atol=1e-5)


def test_init_from_photos_begins_where_the_fill_ends(home):
    printed = done(stage("train", home, *FROM_PHOTOS, "--precision", "float32", "--learning-rate", "1e-8", "--run", "a"))
    assert "--init-from=" in printed and "too good" not in printed
    done(stage("predict", home, "--run", "a"))
    ready = open_dataset(Settings(home=str(home), size=32))
    values, compared = np.load(home / "checkpoints/demo/a/holdout.npz")["values"], 0
    for row in ready.split("holdout"):
        mask, apart = ready.read_counts(row) > 0, ready.read_counts(row).max() == 1   # a fill does not know where boxes overlap
        predicted, values = values[:mask.sum()], values[mask.sum():]
        if apart:
            filled = models.get_fill("photos")(ready.read_damaged(row) / np.float32(255), mask)[mask]
            np.testing.assert_allclose(predicted, filled, atol=0.01)   # the run's start, the smooth fill, is stored in bytes
            compared += 1
    assert compared > 1
    other = stage("train", home, *FROM_PHOTOS, "--width", "8", "--run", "b")
    assert other.returncode == 1 and "--init-from photos" in other.stderr


def test_a_training_says_where_its_first_weights_know_photos_of_the_holdout(home):
    """Two folds hold out every training photograph of the demo, and `photos` learned from most of them."""
    folds = (*FROM_PHOTOS, "--folds", "2", "--run", "folded")
    done(stage("augment", home, *folds))
    assert "too good" in done(stage("train", home, *folds))


@pytest.mark.parametrize(("contest", "model", "start"), [("missing_pixels", "lattice_mlp", "biharmonic"),
                                                         ("depixelation", "tile_mlp", "tile_smooth")])
def test_competitions_have_a_default_model_and_start(contest, model, start):
    from pixmend import competitions

    settings = complete_settings(Settings(competition=contest), competitions.get_default_settings(Settings(competition=contest)))
    assert models.default_settings("pix2pix", contest)["start"] == start
    assert settings.model == model and apply_defaults(settings, models.default_settings(model)).start == start
    other = competitions.get_default_settings(Settings(competition=contest, damage="landscapes"))
    assert other["model"] == "pix2pix" and "start" not in other
