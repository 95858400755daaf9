"""All stages on the demo at 32 pixels; the files that they write are checked with other libraries."""

import json
import re

import cv2
import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from sklearn.metrics import root_mean_squared_error
from support.networks import register_layer
from support.stages import SMALL, clean_environment, done, stage, stage_process, start_stage

from pixmend import workers
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard

FLAGS = (*SMALL, "--steps", "8", "--run", "a")
STAGES = ("download", "augment", "train", "predict", "serialize", "score", "report")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a home after all stages, and what each of them printed."""
    home = tmp_path_factory.mktemp("finished")
    return home, {name: done(stage(name, home, *FLAGS)) for name in STAGES}


@tf.custom_gradient
def copy_without_a_gradient(x, weight):
    """Return x; the gradient of the weight is not a number."""
    return tf.identity(x), lambda upstream: (upstream, tf.fill(weight.shape, np.nan))


class NotFinite(keras.layers.Layer):
    """A layer whose weight becomes a NaN in the first step, without an effect on the loss."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(1,), initializer="zeros")

    def call(self, x):
        return copy_without_a_gradient(x, tf.convert_to_tensor(self.weight))


def test_a_weight_that_is_not_a_number_ends_the_training(home, monkeypatch):
    register_layer(monkeypatch, "broken", NotFinite())
    flags = (*SMALL, "--model", "broken", "--start", "none", "--learning-rate", "0.01", "--steps", "4", "--run", "broken")
    result = stage("train", home, *flags)
    assert result.returncode == 1 and "diverged at step 4" in result.stderr and "Traceback" not in result.stderr
    with np.load(home / "checkpoints/demo/broken/best.npz") as archive:   # that of step 0
        assert all(np.isfinite(archive[name]).all() for name in archive.files)


def read_table(path):
    return pandas.read_csv(path)


def test_submission_has_the_rows_of_the_sample_and_values_in_0_to_1(finished):
    home, _ = finished
    submission = read_table(home / "submissions/demo/a.csv")
    sample = read_table(home / "competition/demo/files/sample_submission.csv")
    assert list(submission.columns) == list(sample.columns)
    assert (submission.iloc[:, 0] == sample.iloc[:, 0]).all()
    assert submission.value.between(0, 1).all()


def test_public_and_private_rmse_equal_those_of_scikit_learn(finished):
    home, printed = finished
    solution = read_table(home / "competition/demo/solution.csv")
    merged = read_table(home / "submissions/demo/a.csv").merge(solution, on="filename_box_pixel")
    row = leaderboard.read_leaderboard(home / "submissions/demo/leaderboard.csv")[0]
    for usage in ("Public", "Private"):
        rows = merged[merged.Usage == usage]
        expected = root_mean_squared_error(rows.value_x, rows.value_y)
        assert float(row[usage.lower()]) == pytest.approx(expected, abs=1e-5)
        assert f"{expected:.5f}" in printed["score"]
    files = ("--submission", home / "submissions/demo/a.csv", "--solution", home / "competition/demo/solution.csv")
    output = done(stage("score", home, *files))
    total = float(re.search(r"total\s+RMSE ([\d.]+)", output)[1])
    assert total == pytest.approx(root_mean_squared_error(merged.value_x, merged.value_y), abs=1e-6)


def test_holdout_rmse_is_that_of_its_file_against_the_original_images(finished):
    home, _ = finished
    submission = read_table(home / "submissions/demo/a.holdout.csv")
    names = submission.filename_box_pixel.str.extract(r"(?P<name>.*)_box[12]_(?P<row>\d+)_(?P<column>\d+)_(?P<channel>\d)")
    truth = np.empty(len(submission))
    for name, rows in names.groupby("name"):
        image = cv2.imread(str(next(home.glob(f"competition/demo/files/Dataset/Training_Data/*/Unmasked_Train/{name}")))) / 255
        truth[rows.index] = image[rows.row.astype(int), rows.column.astype(int), rows.channel.astype(int)]
    row = leaderboard.read_leaderboard(home / "submissions/demo/leaderboard.csv")[0]
    assert float(row["holdout_rmse"]) == pytest.approx(root_mean_squared_error(truth, submission.value), abs=1e-5)


def test_source_is_in_one_split_and_a_training_image_has_five_transforms(finished):
    home, _ = finished
    index = read_table(home / "augment/demo/index.csv")
    assert (index.groupby("source").split.nunique() == 1).all()
    assert (index[index.split == "train"].groupby("id").size() == 5).all()
    assert (index[index.split != "train"].groupby("id").size() == 1).all()
    assert set(index.split) == {"train", "holdout", "test"}


def test_predictions_are_of_the_missing_pixels_only(finished):
    home, _ = finished
    index = read_table(home / "augment/demo/index.csv")
    counts = np.load(home / "augment/demo/counts.npy")
    with np.load(home / "checkpoints/demo/a/test.npz") as predicted:
        missing = [int((counts[row] > 0).sum()) for row in index[index.split == "test"].damaged]
        assert np.diff(predicted["starts"]).tolist() == missing
        assert predicted["values"].dtype == np.float32


def test_summary_names_the_submission_the_report_and_the_next_command(finished):
    home, printed = finished
    last = printed["report"]
    assert str(home / "submissions/demo/a.csv") in last and str(home / "submissions/demo/report.html") in last
    assert f"./run_pipeline.sh --competition photo_reconstruction --home {home} --minutes 60" in last
    for sentence in (r"Holdout RMSE 0\.\d+", "Best baseline"):
        assert re.search(sentence, printed["score"]) and not re.search(sentence, last)   # said once in the pipeline


def test_report_is_one_file_without_links(finished):
    home, _ = finished
    page = (home / "submissions/demo/report.html").read_text()
    assert "<svg" in page and page.count("data:image/jpeg;base64,") >= 25
    links = re.findall(r"""(?:src|href)=["']?(?!data:|#)([^"'\s>]+)""", page)
    assert links == [] and "@import" not in page


def test_repeated_stages_write_nothing_and_force_writes(finished):
    home, _ = finished
    written = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.suffix in (".npy", ".npz", ".zip", ".csv")}
    for name in STAGES[:5]:
        done(stage(name, home, *FLAGS))
    assert {path: path.stat().st_mtime_ns for path in written if path.name != "leaderboard.csv"} == \
        {path: time for path, time in written.items() if path.name != "leaderboard.csv"}
    done(stage("serialize", home, *FLAGS, "--force"))
    path = home / "submissions/demo/a.csv"
    assert path.stat().st_mtime_ns > written[path]


@pytest.mark.parametrize("model", ["mean", "harmonic"])
def test_fill_passes_all_stages_as_a_network_does(finished, model):
    home, _ = finished
    for name in ("train", "predict", "serialize"):
        done(stage(name, home, *SMALL, "--model", model, "--run", model))
    printed = done(stage("score", home, *SMALL, "--model", model, "--run", model))
    score = json.loads((home / "checkpoints/demo" / model / "score.json").read_text())
    assert score["sums"] == pytest.approx(score["fills"][model], rel=1e-4)
    assert model in printed


def test_channel_orders_differ_by_the_order_only(finished):
    home, _ = finished
    bgr = read_table(home / "submissions/demo/a.csv").value.to_numpy().reshape(-1, 3)
    done(stage("serialize", home, *FLAGS, "--channel-order", "rgb"))
    rgb = read_table(home / "submissions/demo/a.csv").value.to_numpy().reshape(-1, 3)
    done(stage("serialize", home, *FLAGS))
    np.testing.assert_array_equal(bgr, rgb[:, ::-1])
    assert not np.array_equal(bgr, rgb)


def test_dataset_of_other_flags_is_refused(finished):
    home, _ = finished
    result = stage("predict", home, *FLAGS, "--holdout", "0.3")
    assert result.returncode == 1
    assert "--holdout 0.3" in result.stderr


def test_run_is_not_continued_with_other_settings(finished):
    home, _ = finished
    result = stage("train", home, *FLAGS, "--lambda", "7")
    assert result.returncode == 1
    assert "--lambda" in result.stderr and "--run" in result.stderr and "--force" in result.stderr


def test_materialized_images_are_the_rows_of_the_index(home):
    done(stage("augment", home, *SMALL, "--materialize"))
    index = read_table(home / "augment/demo/index.csv")
    rows = index[(index.split == "train") & (index.variant == "90")]
    pictures = np.load(home / "augment/demo/pictures.npy")
    for _, row in rows.head(5).iterrows():
        written = cv2.imread(str(home / "augment/demo/png/whole" / f"{row.id}.90.png"))[..., ::-1]
        np.testing.assert_array_equal(written, np.rot90(pictures[row.whole]))


def test_materialized_images_hold_no_holdout_image_after_another_split(home):
    for seed in (1, 2):
        done(stage("augment", home, *SMALL, "--materialize", "--split-seed", seed))
    index = read_table(home / "augment/demo/index.csv")
    train = index[index.split == "train"]
    expected = {f"{id}.{variant}.png" for id, variant in zip(train.id, train.variant, strict=True)}
    for part in ("damaged", "whole"):
        assert {path.name for path in (home / "augment/demo/png" / part).iterdir()} == expected
    done(stage("augment", home, *SMALL, "--split-seed", 3))
    assert not (home / "augment/demo/png").exists()


def test_materialized_images_appear_complete_or_not_at_all(home, monkeypatch):
    run_in_chunks = workers.run_in_chunks

    def stop_early(*arguments, label, **options):
        for chunk in run_in_chunks(*arguments, label=label, **options):
            yield chunk
            if "PNG" in label:
                raise UserError("Stopped.")

    with monkeypatch.context() as patch:
        patch.setattr(workers, "run_in_chunks", stop_early)
        assert stage("augment", home, *SMALL, "--materialize").returncode == 1
    assert not (home / "augment/demo/png").exists() and not (home / "augment/demo/building").exists()
    done(stage("augment", home, *SMALL, "--materialize"))
    train = read_table(home / "augment/demo/index.csv").split == "train"
    assert len(list((home / "augment/demo/png").rglob("*.png"))) == 2 * train.sum()


def test_damaged_and_original_image_of_different_photos_are_refused(home):
    one, _, other, *_ = sorted(home.glob("competition/demo/files/Dataset/Training_Data/*/Unmasked_Train/*"))
    one.write_bytes(other.read_bytes())
    stopped = stage("augment", home, *SMALL, "--force")
    assert stopped.returncode == 1 and "--broken-images skip" in stopped.stderr and "Traceback" not in stopped.stderr
    assert stopped.stderr.count(one.name) == 2
    assert one.name in done(stage("augment", home, *SMALL, "--broken-images", "skip", "--force"))


def test_broken_training_image_stops_augment_or_is_skipped(home):
    broken = sorted(home.glob("competition/demo/files/Dataset/Training_Data/*/Unmasked_Train/*"))[3]
    broken.write_bytes(broken.read_bytes()[:-40])
    stopped = stage("augment", home, *SMALL, "--force")
    assert stopped.returncode == 1 and broken.name in stopped.stderr and "Traceback" not in stopped.stderr
    assert not list((home / "augment/demo").glob(".*.part")) and not (home / "augment/demo/building").exists()
    printed = done(stage("augment", home, *SMALL, "--broken-images", "skip", "--force"))
    assert broken.name in printed
    assert broken.name not in set(read_table(home / "augment/demo/index.csv").id)


def test_ctrl_c_in_augment_ends_with_130(home):
    process = start_stage("augment", home, "--size", "32", "--force", "--materialize")
    while not (home / "augment/demo/building").exists() and process.poll() is None:
        pass
    process.send_signal(2)
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    assert process.returncode in (0, 130)


@pytest.mark.long
def test_lambda_from_the_environment_is_in_the_runs_name(finished):
    home, _ = finished
    result = stage_process("train", home, *SMALL, "--steps", "1", env={"LAMBDA": "7"})
    assert result.returncode == 0, result.stderr
    assert len(list((home / "checkpoints/demo").glob("pix2pix_published-*lambda7*"))) == 1
    assert "LAMBDA" not in clean_environment()
