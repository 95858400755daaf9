"""The mix of several runs: its weights against other solvers, its honest gain against a plain loop, and the whole way."""

import itertools
import json
import shutil

import numpy as np
import pytest
from scipy.optimize import minimize
from support.stages import SMALL, done, stage

from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.run_file import read_trained
from pixmend.scoring import ensemble
from pixmend.submissions import predictions

FILLS, SIZE = ("mean", "harmonic", "smooth", "telea"), ("--size", "32")


def squares(gram, weights):
    return float(weights @ gram @ weights)


def by_slsqp(gram):
    """The same weights from a general solver."""
    members, scale = len(gram), gram.trace()
    found = minimize(lambda w: squares(gram, w) / scale, np.full(members, 1 / members), jac=lambda w: 2 * gram @ w / scale,
                     method="SLSQP", bounds=[(0, 1)] * members, options={"ftol": 1e-15, "maxiter": 1000},
                     constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like})
    return found.x


def random_gram(seed, members):
    """Error products of members that share part of their errors, some better than others."""
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=(members, 300)) * rng.uniform(0.3, 2, (members, 1)) + rng.normal(size=300) * rng.uniform(0, 1)
    return errors @ errors.T


@pytest.mark.parametrize("members", [2, 3, 6])
@pytest.mark.parametrize("seed", range(5))
def test_weights_are_those_of_a_general_solver(seed, members):
    gram = random_gram(seed, members)
    weights = ensemble.find_weights(gram)
    assert weights.sum() == pytest.approx(1, abs=1e-12) and (weights >= 0).all()
    np.testing.assert_allclose(weights, by_slsqp(gram), atol=1e-5)
    assert squares(gram, weights) <= squares(gram, by_slsqp(gram)) * (1 + 1e-10)
    assert squares(gram, weights) <= gram.diagonal().min() * (1 + 1e-12)


def test_no_point_of_a_grid_is_better():
    gram = random_gram(7, 3)
    grid = [np.array([i, j, 50 - i - j]) / 50 for i in range(51) for j in range(51 - i)]
    assert squares(gram, ensemble.find_weights(gram)) <= min(squares(gram, point) for point in grid)


@pytest.mark.parametrize("seed", range(3))
def test_a_member_named_twice_shares_its_weight(seed):
    gram = random_gram(seed, 3)
    doubled = gram[np.ix_([0, 1, 2, 1, 0], [0, 1, 2, 1, 0])]
    weights = ensemble.find_weights(doubled)
    assert weights.sum() == pytest.approx(1, abs=1e-12) and (weights >= 0).all()
    together = weights[:3] + [weights[4], weights[3], 0]
    np.testing.assert_allclose(together, ensemble.find_weights(gram), atol=1e-6)


def test_a_perfect_member_gets_everything():
    gram = random_gram(1, 4)
    gram[2], gram[:, 2] = 0, 0
    np.testing.assert_allclose(ensemble.find_weights(gram), [0, 0, 1, 0], atol=1e-6)
    assert ensemble.find_weights(np.zeros((2, 2))).sum() == 1


def test_the_cross_validated_error_is_that_of_a_plain_loop():
    grams = np.stack([random_gram(seed, 3) for seed in range(23)])
    fold = np.random.default_rng(4).permutation(23) % 10
    total = 0
    for held in range(10):
        others = sum(gram for gram, k in zip(grams, fold, strict=True) if k != held)
        weights = by_slsqp(others)
        total += sum(squares(gram, weights) for gram, k in zip(grams, fold, strict=True) if k == held)
    found = ensemble.find_fold_weights(grams, 4)
    assert sum(squares(*pair) for pair in zip(grams, found, strict=True)) == pytest.approx(total, rel=1e-6)
    assert total > squares(grams.sum(0), ensemble.find_weights(grams.sum(0)))


def test_one_source_alone_gives_no_honest_gain():
    with pytest.raises(UserError, match="--holdout"):
        ensemble.find_fold_weights(np.stack([random_gram(0, 2)]), 1)


def written(path, sizes):
    rng = np.random.default_rng(3)
    pictures = [rng.random((4, 5, 3), dtype=np.float32) for _ in sizes]
    masks = [np.arange(20).reshape(4, 5) < size for size in sizes]
    predictions.write_predictions(path, pictures, [(str(i), mask) for i, mask in enumerate(masks)], {"set": {"size": 4}})
    return [picture[mask] for picture, mask in zip(pictures, masks, strict=True)]


def test_predictions_are_read_in_order_one_picture_at_a_time(tmp_path):
    expected = written(tmp_path / "a.npz", [3, 0, 20])
    for values, found in zip(expected, predictions.read_values(tmp_path / "a.npz"), strict=True):
        np.testing.assert_array_equal(found, values)
    assert predictions.read_metadata(tmp_path / "a.npz") == {"set": {"size": 4}}


@pytest.mark.parametrize("spoil", [lambda whole: whole[:-300], lambda whole: whole.replace(whole[-500:-490], bytes(10))])
def test_damaged_predictions_are_named(tmp_path, spoil):
    path = tmp_path / "a.npz"
    written(path, [20] * 9)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match=r"a\.npz is damaged"):
        list(predictions.read_values(path))


@pytest.fixture(scope="module")
def mixed_home(module_home):
    """A home with three fills as runs and their mix taken all the way, and what the stages printed."""
    for fill in FILLS:
        for name in ("train", "predict"):
            done(stage(name, module_home, *SMALL, "--model", fill, "--run", fill))
    printed = {"ensemble": done(stage("ensemble", module_home, *SIZE, "--members", ",".join(FILLS), "--run", "mixed"))}
    later = {name: done(stage(name, module_home, "--run", "mixed")) for name in ("serialize", "score", "report")}
    return module_home, printed | later


def refused(home, *flags):
    result = stage("ensemble", home, *SIZE, *flags)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    return result.stderr


def test_the_mix_scores_on_disk_as_it_was_reported(mixed_home):
    home, printed = mixed_home
    made = read_trained(home / "checkpoints/demo/mixed")
    score = json.loads((home / "checkpoints/demo/mixed/score.json").read_text())
    row, = leaderboard.read_leaderboard(home / "submissions/demo/leaderboard.csv")
    assert (made["model"], made["members"]) == ("ensemble", list(FILLS))
    assert float(row["holdout_rmse"]) == pytest.approx(made["cross_validated_rmse"], abs=2e-5)
    assert made["rmse"] <= min(made["member_rmse"]) and made["rmse"] <= made["cross_validated_rmse"]
    for fill, rmse in zip(FILLS, made["member_rmse"], strict=True):
        assert rmse == pytest.approx(np.sqrt(sum(score["fills"][fill]) / sum(score["numbers"])), rel=1e-5)
        assert f"{rmse:.5f}" in printed["ensemble"]
    assert all(f"{made[name]:.5f}" in printed["ensemble"] for name in ("rmse", "cross_validated_rmse"))
    assert "mixed" in printed["report"]


def test_a_mix_has_no_starting_point(mixed_home):
    """Its run.toml holds the default model, which was not trained."""
    home, printed = mixed_home
    assert "starting point" not in printed["score"] and "Best baseline" in printed["score"]
    assert "Compared with its start" not in (home / "submissions/demo/report.html").read_text()


def values_of(home, split):
    values = {}
    for run in (*FILLS, "mixed"):
        with np.load(home / "checkpoints/demo" / run / f"{split}.npz") as archive:
            values[run] = archive["values"].astype(np.float64)
    return values


def test_every_mixed_test_value_is_the_members_weighted_mean(mixed_home):
    home, _ = mixed_home
    weights = read_trained(home / "checkpoints/demo/mixed")["weights"]
    values = values_of(home, "test")
    expected = sum(weight * values[fill] for weight, fill in zip(weights, FILLS, strict=True))
    np.testing.assert_allclose(values["mixed"], expected, atol=1e-6)


def test_every_holdout_picture_is_a_mix_of_its_own(mixed_home):
    home, _ = mixed_home
    with np.load(home / "checkpoints/demo/mixed/holdout.npz") as archive:
        starts = archive["starts"]
    values, found = values_of(home, "holdout"), set()
    for first, end in itertools.pairwise(starts):
        members = np.stack([values[fill][first:end].ravel() for fill in FILLS], 1)
        weights, *_ = np.linalg.lstsq(members, values["mixed"][first:end].ravel())
        assert weights.sum() == pytest.approx(1, abs=1e-3) and weights.min() > -1e-3
        found.add(tuple(weights.round(3)))
    assert len(found) > 1


def test_a_source_has_no_part_in_its_own_weights():
    grams = np.stack([random_gram(seed, 3) for seed in range(23)])
    before = ensemble.find_fold_weights(grams, 4)
    grams[5] = random_gram(99, 3) * 50
    after = ensemble.find_fold_weights(grams, 4)
    np.testing.assert_array_equal(after[5], before[5])
    assert not np.array_equal(after, before)


def test_a_second_call_redoes_nothing_and_force_does(mixed_home):
    home, printed = mixed_home
    path, flags = home / "checkpoints/demo/mixed/test.npz", (*SIZE, "--members", ",".join(FILLS), "--run", "mixed")
    before = path.stat().st_mtime_ns
    assert done(stage("ensemble", home, *flags)) == printed["ensemble"] and path.stat().st_mtime_ns == before
    assert done(stage("ensemble", home, *flags, "--force")) == printed["ensemble"] and path.stat().st_mtime_ns > before


def test_another_seed_may_choose_other_folds_so_it_mixes_again(mixed_home):
    home, _ = mixed_home
    path, flags = home / "checkpoints/demo/seeded/test.npz", (*SIZE, "--members", ",".join(FILLS), "--run", "seeded")
    times = []
    for seed in ("1", "5", "5"):
        done(stage("ensemble", home, *flags, "--seed", seed))
        times.append(path.stat().st_mtime_ns)
    assert times[0] < times[1] == times[2]


@pytest.mark.parametrize(("members", "run", "message"), [
    ("mean", "new", ["--members a,b"]),
    ("mean,mean", "new", ["--members a,b"]),
    ("mean,nobody", "new", ["nobody", "no predictions", "pixmend predict --run nobody"]),
    ("mean,mixed", "new", ["'mixed' is an ensemble itself", "mean,harmonic,smooth"]),
    ("mean,harmonic", "smooth", ["/smooth is for a run of smooth", "--run"]),
])
def test_members_that_cannot_be_mixed_are_refused_in_a_sentence(mixed_home, members, run, message):
    home, _ = mixed_home
    stderr = refused(home, "--members", members, "--run", run)
    assert all(words in stderr for words in message), stderr
    assert not (home / "checkpoints/demo/new").exists()


def test_a_mix_needs_a_name_of_its_own(mixed_home):
    home, _ = mixed_home
    assert "--run" in refused(home, "--members", "mean,harmonic")


@pytest.mark.long
def test_members_of_other_variants_are_mixed_since_holdout_and_test_pictures_have_none(mixed_home, tmp_path):
    home, flags = tmp_path / "home", (*SMALL, "--augment", "none")
    shutil.copytree(mixed_home[0], home)
    done(stage("augment", home, *flags))
    assert "are up to date" in done(stage("predict", home, *flags, "--model", "mean", "--run", "mean"))
    printed = done(stage("ensemble", home, *SIZE, "--augment", "none", "--members", ",".join(FILLS), "--run", "mixed"))
    assert printed == mixed_home[1]["ensemble"].replace(str(mixed_home[0]), str(home))
    for name in ("serialize", "score"):
        done(stage(name, home, "--augment", "none", "--run", "mixed"))


def test_a_member_of_another_holdout_is_refused(mixed_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(mixed_home[0], home)
    other = (*SMALL, "--holdout", "0.3")
    done(stage("augment", home, *other))
    assert "mean/holdout.npz" in (message := refused(home, *other[-2:], "--members", "mean,harmonic", "--run", "new"))
    assert "another dataset or holdout" in message and "pixmend predict --run mean" in message
