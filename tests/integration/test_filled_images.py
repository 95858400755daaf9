"""What a network starts from: any fill, made once by the training that first asks for it, and the same at every look."""

import math

import numpy as np
import pytest
from support.stages import SMALL, done, stage

from pixmend import models
from pixmend.config import SETTINGS, Settings, apply_defaults, complete_settings
from pixmend.data.dataset import open_dataset
from pixmend.training.filled_images import fill_training_images

TINY = (*SMALL, "--model", "cnn", "--steps", "1")


def test_a_start_may_be_any_fill():
    assert set(SETTINGS["start"].choices) == {"none", "given", *models.list_fills()}


def test_a_training_fills_every_picture_by_the_fill_that_it_starts_from(home):
    done(stage("train", home, *TINY, "--start", "biharmonic", "--run", "a"))
    ready = open_dataset(Settings(home=str(home), size=32))
    assert (home / "augment/demo/starts/biharmonic.npy").stat().st_size == math.prod(ready.filled["harmonic"].shape) + 128
    for row in (ready.split("train")[0], ready.split("train")[-1], ready.split("holdout")[3], ready.split("test")[0]):
        mask = ready.hole(row) > 0
        filled = models.get_fill("biharmonic")(ready.damaged(row) / np.float32(255), mask)
        if row.variant == 0:
            np.testing.assert_array_equal(ready.seen(row, "biharmonic"), np.rint(filled * 255))
        np.testing.assert_array_equal(ready.seen(row, "biharmonic")[~mask], ready.damaged(row)[~mask])


def test_a_start_is_filled_once_and_again_when_it_is_gone(home):
    settings = Settings(home=str(home), size=32, start="mean")
    ready, path = open_dataset(settings), home / "augment/demo/starts/mean.npy"
    fill_training_images(settings, ready)
    first, before = path.read_bytes(), path.stat().st_mtime_ns
    fill_training_images(settings, ready)
    assert path.stat().st_mtime_ns == before
    path.unlink()
    fill_training_images(settings, ready)
    assert path.read_bytes() == first


def test_what_is_predicted_is_the_start_where_nothing_was_learnt(home):
    """Also where the start's file is gone since: it is made again."""
    done(stage("train", home, *TINY, "--start", "telea", "--learning-rate", "1e-8", "--run", "a"))
    (home / "augment/demo/starts/telea.npy").unlink()
    done(stage("predict", home, *SMALL, "--run", "a"))
    ready = open_dataset(Settings(home=str(home), size=32))
    values = np.load(home / "checkpoints/demo/a/holdout.npz")["values"]
    wanted = np.concatenate([ready.seen(row, "telea")[ready.hole(row) > 0] for row in ready.split("holdout")]) / 255
    np.testing.assert_allclose(values, wanted, atol=1e-5)


@pytest.mark.parametrize(("contest", "model", "start"), [("missing_pixels", "lattice_mlp", "biharmonic"),
                                                         ("depixelation", "tile_mlp", "tile_smooth")])
def test_a_contest_begins_with_the_model_and_the_start_that_win_there(contest, model, start):
    from pixmend import competitions

    settings = complete_settings(Settings(competition=contest), competitions.get_default_settings(Settings(competition=contest)))
    assert settings.model == model and apply_defaults(settings, models.default_settings(model)).start == start
    other = competitions.get_default_settings(Settings(competition=contest, damage="landscapes"))
    assert "model" not in other and "start" not in other
