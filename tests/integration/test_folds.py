"""Folds and snapshots: every source is held out once, and no run predicts an image that it was trained on."""

import csv
import json
import shutil
from collections import Counter, defaultdict

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.crashes import count_writes, newest_state, outcome, stopped_at
from support.stages import SMALL, done, stage

from pixmend import competitions, run_file
from pixmend.competitions import prepare
from pixmend.data import dataset, near_duplicates
from pixmend.data import splits as holdout
from pixmend.data.augmentation import apply_transform
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.flags import parse_flags
from pixmend.reporting import run_section
from pixmend.stages import predict
from pixmend.training.batches import ImageBatches

FOLDS = (*SMALL, "--folds", "3")
FLAGS = (*FOLDS, "--steps", "6", "--learning-rate", "1e-3", "--ema-decay", "0.5", "--snapshots", "3", "--save-minutes", "0",
         "--run", "f")
NAMES = ["fold-1", "fold-2", "fold-3"]
PICTURES = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("xyz")), min_size=2, max_size=120)


def settings_for(home, *flags):
    return parse_flags(["--home", str(home), *map(str, flags)], environment={})


def index(home):
    with open(home / "augment/demo/index.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def values_by_id(path):
    with np.load(path) as archive:
        return dict(zip(archive["ids"].tolist(), np.split(archive["values"], archive["starts"][1:-1]), strict=True))


@given(PICTURES, st.integers(2, 12), st.integers(0, 9))
def test_every_source_is_in_one_fold_and_every_class_in_all(pictures, count, seed):
    sources, kinds = [f"{kind}{n}" for n, kind in pictures], [kind for _, kind in pictures]
    sizes = Counter(sources)
    if len(sizes) < count:
        return
    fold_of = holdout.assign_folds(sources, kinds, count, seed)
    assert set(fold_of) == set(sources) and set(fold_of.values()) == set(range(1, count + 1))
    for kind in set(kinds):
        share = Counter(fold_of[source] for source, of in zip(sources, kinds, strict=True) if of == kind)
        assert max(share.values()) - min(share[fold] for fold in range(1, count + 1)) <= max(
            sizes[source] for source in sizes if source.startswith(kind))
    order = np.random.default_rng(0).permutation(len(sources))
    assert fold_of == holdout.assign_folds([sources[i] for i in order], [kinds[i] for i in order], count, seed)


def test_another_split_seed_is_another_split():
    sources, kinds = [f"s{n}" for n in range(90)], ["cat", "dog", "tiger"] * 30
    splits = [holdout.assign_folds(sources, kinds, 5, seed) for seed in range(5)]
    assert all(Counter(split.values()) == dict.fromkeys(range(1, 6), 18) for split in splits)
    assert len({tuple(sorted(split.items())) for split in splits}) == 5


@pytest.fixture(scope="module")
def folded(module_home):
    """A home with a run of three folds taken all the way, a fill on the same folds, what was printed, and train's writes."""
    done(stage("augment", module_home, *FLAGS))
    number = count_writes("train", module_home, *FLAGS)
    printed = {name: done(stage(name, module_home, *FLAGS)) for name in ("predict", "serialize", "score", "report")}
    for name in ("train", "predict", "serialize", "score"):
        done(stage(name, module_home, *FOLDS, "--model", "harmonic", "--run", "harmonic"))
    return module_home, printed, number


def test_the_index_names_the_fold_of_every_image(folded):
    rows = index(folded[0])
    folds, times = defaultdict(set), Counter()
    for row in rows:
        folds[row["source"]].add(row["split"])
        times[row["id"]] += row["split"] != "test"
    assert all(len(of_source) == 1 for of_source in folds.values())
    assert set.union(*folds.values()) == {*NAMES, "test"}
    assert set(times.values()) == {0, 5} and sum(count == 5 for count in times.values()) == 72


def test_only_the_split_seed_changes_the_folds(folded, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(folded[0] / "competition", home / "competition")
    shutil.copytree(folded[0] / "augment", home / "augment")
    before = (home / "augment/demo/index.csv").stat().st_mtime_ns, index(home)
    done(stage("augment", home, *FOLDS, "--seed", "2"))
    assert ((home / "augment/demo/index.csv").stat().st_mtime_ns, index(home)) == before
    arrays = (home / "augment/demo/pictures.npy").stat().st_mtime_ns
    done(stage("augment", home, *FOLDS, "--split-seed", "2"))
    assert index(home) != before[1] and (home / "augment/demo/pictures.npy").stat().st_mtime_ns == arrays


def whatever_way_up(picture):
    """The same bytes for a picture and all its flips and turns."""
    return min(np.ascontiguousarray(apply_transform(picture, variant)).tobytes() for variant in range(8))


def test_no_fold_is_trained_on_its_holdout(folded):
    """Told by the pixels of a whole epoch of batches, not by the index."""
    settings = settings_for(folded[0], *FLAGS)
    ready, kept_apart = dataset.open_dataset(settings), []
    everything = {whatever_way_up(ready.read_original(row)) for row in ready.split("holdout")}
    for _, view in ready.views():
        batches = ImageBatches(settings, view, competitions.get_competition("demo"))
        held = {whatever_way_up(view.read_original(row)) for row in view.split("holdout")}
        learnt = Counter(whatever_way_up(np.rint(picture * 255).astype(np.uint8))
                         for step in range(len(batches.rows) // settings.batch_size) for picture in batches.get_batch(step)[1])
        assert not held & set(learnt) and held | set(learnt) == everything and len(learnt) > len(held) > 0
        assert sum(learnt.values()) >= 5 * len(learnt) - settings.batch_size
        kept_apart.append(held)
    assert sum(map(len, kept_apart)) == len(everything) == 72 and set.union(*kept_apart) == everything


def test_near_duplicates_are_in_the_same_fold(folded, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(folded[0] / "augment", home / "augment")
    folder, settings = home / "augment/demo", settings_for(home, *FLAGS)
    fold_of = {row["source"]: row["split"] for row in index(home)}
    listed = json.loads((folder / "listed.json").read_text())
    whole = np.load(folder / "pictures.npy", mmap_mode="r")
    one = next(line for line in listed if fold_of[line["source"]] == "fold-1")
    other = next(line for line in listed if fold_of[line["source"]] == "fold-2")
    other["hashes"] = [int(h) for h in near_duplicates.hash_image(np.ascontiguousarray(whole[one["whole"]][:, ::-1]))]
    (folder / "listed.json").write_text(json.dumps(listed))
    prepare.write_index_and_preview(settings, folder, {})
    split = {row["id"]: (row["source"], row["split"]) for row in index(home)}
    assert split[one["id"]] == split[other["id"]]


@pytest.mark.parametrize("flags", [(), ("--folds", "2")])
def test_images_of_one_source_are_refused(folded, tmp_path, flags):
    shutil.copytree(folded[0] / "augment", tmp_path / "augment")
    folder = tmp_path / "augment/demo"
    listed = json.loads((folder / "listed.json").read_text())
    (folder / "listed.json").write_text(json.dumps([line | {"source": "one"} for line in listed]))
    with pytest.raises(UserError, match="one source"):
        prepare.write_index_and_preview(settings_for(tmp_path, *flags), folder, {})


def test_holdout_predictions_are_those_of_the_images_fold(folded):
    run = folded[0] / "checkpoints/demo/f"
    whole, fold_of = values_by_id(run / "holdout.npz"), {row["id"]: row["split"] for row in index(folded[0])}
    parts = {fold: values_by_id(run / fold / "holdout.npz") for fold in NAMES}
    assert len(whole) == 72 == sum(map(len, parts.values()))
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[fold_of[name]][name])


def test_predictions_of_a_fold_come_from_its_weights(folded):
    from pixmend.training import checkpoints, run, setup
    from pixmend.training.inference import predict_images

    settings = run.load_run_settings(settings_for(folded[0], *FLAGS))
    model, ready = setup.build_network(settings), dataset.open_dataset(settings)
    for fold in NAMES:
        row = next(row for row in ready.rows if row.split == fold and row.variant == 0)
        shapes = {"model": [variable.shape for variable in model.variables]}
        weights, _ = checkpoints.read_checkpoint(settings.run_folder / fold / "best.npz", shapes)
        for variable, value in zip(model.variables, weights["model"], strict=True):
            variable.assign(value)
        mended, = predict_images(model, ready, [row], settings)
        found = values_by_id(settings.run_folder / "holdout.npz")[row.id]
        np.testing.assert_allclose(found, mended[ready.read_counts(row) > 0], atol=1e-5)


def test_test_predictions_are_the_mean_of_all_folds(folded):
    run = folded[0] / "checkpoints/demo/f"
    parts = []
    for fold in NAMES:
        with np.load(run / fold / "test.npz") as archive:
            parts.append(archive["values"].astype(np.float64))
    with np.load(run / "test.npz") as archive:
        assert archive["values"].dtype == np.float32
        np.testing.assert_allclose(archive["values"], np.mean(parts, axis=0), atol=1e-7)
    assert np.abs(parts[0] - parts[1]).max() > 1e-6


def test_the_score_covers_all_training_images(folded):
    home, printed, _ = folded
    errors = []
    with open(home / "submissions/demo/f.holdout.csv", newline="", encoding="utf-8") as file:
        rows = iter(csv.reader(file))
        next(rows)
        pictures = {path.name: cv2.imread(str(path)) / 255
                    for path in home.glob("competition/demo/files/Dataset/Training_Data/*/Unmasked_Train/*.*")}
        for place, value in rows:
            name, _, pixel = place.rpartition("_box")
            _, row, column, channel = map(int, pixel.split("_"))
            errors.append(float(value) - pictures[name][row, column, channel])
    board = leaderboard.read_leaderboard(home / "submissions/demo/leaderboard.csv")
    ours, fill = (next(row for row in board if row["run"] == run) for run in ("f", "harmonic"))
    assert len(pictures) == 72 == int(ours["pictures"]) and len(errors) == 72 * 2 * 9 * 9 * 3
    assert float(ours["holdout_rmse"]) == pytest.approx(np.sqrt(np.mean(np.square(errors))), abs=1e-5)
    assert float(ours["harmonic_rmse"]) == pytest.approx(float(fill["holdout_rmse"]), abs=2e-5)
    assert "3 folds" in printed["score"] and "72 images" in printed["score"]
    assert int(ours["steps"]) == 3 * 6


def test_the_report_shows_the_history_of_every_fold(folded):
    assert set(run_section.read_histories(settings_for(folded[0], *FLAGS))) == {f"f/{fold}" for fold in NAMES}


def test_predicting_twice_writes_nothing(folded):
    home, *_ = folded
    made = {path: path.stat().st_mtime_ns for path in (home / "checkpoints/demo/f").rglob("*.npz")}
    assert "up to date" in done(stage("predict", home, *FLAGS))
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_runs_with_the_same_folds_can_be_averaged(folded):
    home, *_ = folded
    done(stage("ensemble", home, *FOLDS, "--members", "f,harmonic", "--run", "mixed"))
    made = run_file.read_trained(home / "checkpoints/demo/mixed")
    assert made["rmse"] <= min(made["member_rmse"])
    assert len(values_by_id(home / "checkpoints/demo/mixed/holdout.npz")) == 72


def test_a_run_stopped_in_fold_2_continues_to_the_same_bytes(folded, tmp_path):
    home, wanted = tmp_path / "home", folded[0] / "checkpoints/demo/f"
    for folder in ("competition", "augment"):
        shutil.copytree(folded[0] / folder, home / folder)
    run = home / "checkpoints/demo/f"
    assert stopped_at(folded[2] // 2, "train", home, *FLAGS)
    assert newest_state(run / "fold-1")[1] == 6 and 0 < newest_state(run / "fold-2")[1] < 6 and not (run / "fold-3").exists()
    first = {path: path.stat().st_mtime_ns for path in (run / "fold-1").iterdir() if path.suffix == ".npz"}
    message = done(stage("train", home, *FLAGS))
    assert "fold-1 is finished at step 6" in message and {path: path.stat().st_mtime_ns for path in first} == first
    left, whole = outcome(run), outcome(wanted)
    assert {"run.toml", *(f"{fold}/best.npz" for fold in NAMES)} <= set(left)
    assert left == {path: whole[path] for path in left}
    assert all(newest_state(run / fold) == newest_state(wanted / fold) for fold in NAMES)


@pytest.mark.parametrize(("flags", "code", "message"), [
    (("--folds", "3", "--holdout", "0.2"), 2, ["--holdout", "--folds"]),
    (("--folds", "0"), 2, ["--folds", "1 and 100"]),
    (("--folds", "50"), 1, ["--folds 50", "36"]),
])
def test_impossible_folds_are_refused(home, flags, code, message):
    result = stage("augment", home, *SMALL, *flags)
    assert result.returncode == code and all(words in result.stderr for words in message) and "Traceback" not in result.stderr


def test_a_run_is_not_scored_on_images_that_it_was_trained_on(folded, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(folded[0], home)
    assert "--folds 3" in refused("predict", home, *SMALL, "--folds", "1", "--run", "f")
    done(stage("augment", home, *SMALL))
    assert "--folds 1" in refused("predict", home, "--run", "f")


def test_a_run_without_a_split_seed_was_split_by_its_seed(folded, tmp_path):
    home, mix = tmp_path / "home", (*FOLDS, "--members", "f,harmonic", "--run", "new")
    shutil.copytree(folded[0], home)
    folder = home / "checkpoints/demo/harmonic"
    stored = run_file.read_trained(folder)
    del stored["split_seed"]
    run_file.save_trained(folder, stored | {"seed": 2})
    assert "harmonic was trained with --split-seed 2" in refused("ensemble", home, *mix)
    run_file.save_trained(folder, stored | {"seed": 1})
    done(stage("ensemble", home, *mix))


def refused(name, home, *flags):
    result = stage(name, home, *flags)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    return result.stderr


def arrays_of(path, group):
    with np.load(path) as archive:
        return [archive[name].tobytes() for name in sorted(archive.files) if name.startswith(group)]


def step_of(path):
    with np.load(path) as archive:
        return json.loads(archive["facts"].tobytes())["step"]


@pytest.mark.parametrize("fold", NAMES)
def test_snapshots_are_averaged_weights_and_training_continues_with_its_own(folded, fold):
    run = folded[0] / "checkpoints/demo/f" / fold
    assert [step_of(run / f"snapshot-{number}.npz") for number in (1, 2, 3)] == [4, 5, 6]
    for state, number in zip(sorted(run.glob("state-*.npz")), (2, 3), strict=True):
        kept, trained = arrays_of(run / f"snapshot-{number}.npz", "model/"), arrays_of(state, "model/")
        averaged = [array for array, own in zip(kept, trained, strict=False) if array != own]   # the judge's come last
        assert step_of(state) == step_of(run / f"snapshot-{number}.npz")
        assert len(averaged) > 10 and set(averaged) <= set(arrays_of(state, "optimizer/"))


@pytest.mark.parametrize(("flags", "points"), [
    (("--steps", "40", "--snapshots", "4"), {25: 1, 30: 2, 35: 3, 40: 4}),
    (("--steps", "3000", "--snapshots", "3"), {2000: 1, 2500: 2, 3000: 3}),
    (("--steps", "9", "--snapshots", "1"), {9: 1}),
    (("--steps", "9", "--snapshots", "0"), {}),
    (("--steps", "4000", "--minutes", "10", "--snapshots", "2"), {750: 1, 1000: 2}),
])
def test_snapshots_are_spread_over_the_last_half_of_the_budget(flags, points):
    """In a run of a hundred steps a minute."""
    from pixmend.training.optimizer import count_due_snapshots

    settings = parse_flags(list(flags), environment={})
    due = [count_due_snapshots(settings, step, step / 100) for step in range(settings.steps + 1)]
    assert {step: due[step] for step in range(1, len(due)) if due[step] > due[step - 1]} == points


def test_every_snapshot_exists_where_there_are_more_than_steps(home):
    done(stage("train", home, *SMALL, "--model", "cnn", "--steps", "4", "--snapshots", "4", "--run", "a"))
    run = home / "checkpoints/demo/a"
    assert [step_of(run / f"snapshot-{number}.npz") for number in (1, 2, 3, 4)] == [3, 3, 4, 4]


def test_a_snapshot_is_predicted_scored_and_averaged_as_a_run(folded, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(folded[0], home)
    for number in (1, 3):
        predict.main(settings_for(home, *FOLDS, "--run", f"f@{number}", "--quiet"))
    members = "f,f@1,f@3"
    done(stage("ensemble", home, *FOLDS, "--members", members, "--run", "mixed"))
    made = run_file.read_trained(home / "checkpoints/demo/mixed")
    assert made["members"] == members.split(",") and sum(made["weights"]) == pytest.approx(1)
    assert len(set(made["member_rmse"])) == 3 and made["rmse"] <= min(made["member_rmse"])
    for name in ("serialize", "score"):
        done(stage(name, home, *FOLDS, "--run", "f@3"))
    row = next(row for row in leaderboard.read_leaderboard(home / "submissions/demo/leaderboard.csv") if row["run"] == "f@3")
    assert float(row["holdout_rmse"]) == pytest.approx(made["member_rmse"][2], abs=2e-5) and row["steps"] == "18"


@pytest.mark.parametrize(("name", "flags", "code", "message"), [
    ("predict", ("--run", "f@9"), 1, ["snapshot-9.npz", "1, 2, 3", "--snapshots 9"]),
    ("train", ("--run", "f@1"), 1, ["f@1", "pixmend train --run f ", "--snapshots 1"]),
    ("ensemble", ("--members", "f,harmonic", "--run", "f@1"), 1, ["a snapshot of f", "name of its own"]),
    ("ensemble", ("--members", "f,f@2", "--run", "new"), 1, ["f@2/holdout.npz", "pixmend predict --run f@2"]),
    ("predict", ("--run", "f@0"), 2, ["--run 'f@0'", "@NUMBER"]),
    ("predict", ("--run", "../@1"), 2, ["--run '../@1'"]),
])
def test_missing_snapshots_are_refused(folded, name, flags, code, message):
    result = stage(name, folded[0], *FOLDS, *flags)
    assert result.returncode == code and all(words in result.stderr for words in message), result.stderr
    assert "Traceback" not in result.stderr
