"""Sweeps as their user meets them: every point once over processes, kills and machines; bad trials stopped; the winner named."""

import contextlib
import json
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import sqlite3
from collections import Counter

import numpy as np
import pytest
from support import chromium, postgres
from support.crashes import newest_state
from support.stages import stage_process, start_stage

from pixmend import cli, config, files, flags, models
from pixmend.cli import main, read_settings
from pixmend.errors import FlagError, UserError
from pixmend.experiments import runner, search_space, sweep_results
from pixmend.experiments.sweep import check_sweep, open_study, run_sweep
from pixmend.training import checkpoints

TINY = ("--model", "pix2pix_published", "--start", "harmonic", "--size", "32", "--width", "1", "--levels", "2",
        "--batch-size", "1", "--evaluation-images", "2", "--precision", "float32")
GRID = (*TINY, "--steps", "16", "--evaluate-every", "4", "--save-minutes", "0", "--lambda", "3,5")
RUNS = {f"pix2pix_published-size32-width1-levels2-start-harmonic-precision-float32-lambda{value}-steps16-batch-size1"
        "-evaluate-every4-evaluation-images2" for value in (3, 5)}


def sweep_here(home, *flags):
    """The sweep in this process, which has Keras at hand already."""
    return main(["sweep", "--home", str(home), *map(str, flags)])


def folder(home):
    return home / "checkpoints/demo"


def read_sweep(home):
    return json.loads(next(folder(home).glob("*.sweep.json")).read_text())


def winner(home):
    found = read_sweep(home)
    return folder(home) / found["trials"][found["best"]]["run"]


def rows(home, query):
    """What stands in the study's file, asked without Optuna."""
    with contextlib.closing(sqlite3.connect(folder(home) / "sweeps.db")) as database, database:
        return database.execute(query).fetchall()


def ended(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    return out


def until_it_trains(process, run):
    """Wait until a run has a saved state past its second look; the lines of its history that it has by then."""
    while process.poll() is None:
        if (run / "history.csv").exists() and max([int(s.name[6:15]) for s in run.glob("state-*.npz")], default=0) > 4:
            return (run / "history.csv").read_text().splitlines()[:3]
    raise AssertionError(process.communicate())


@pytest.mark.long
def test_stopped_then_shared_by_two_of_which_one_is_killed_no_point_is_lost_or_trained_twice(home, prepared_home, tmp_path):
    shutil.copytree(prepared_home, tmp_path / "other")
    process = start_stage("sweep", home, *GRID)
    while not (runs := list(folder(home).glob("pix2pix_published-*"))) and process.poll() is None:
        pass
    first = runs[0]
    lines = until_it_trains(process, first)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 130 and "continues from here" in printed and "Traceback" not in printed
    assert rows(home, "SELECT number, state FROM trials") == [(0, "RUNNING")]

    victim, survivor = (start_stage("sweep", home, *GRID) for _ in range(2))
    next(line for line in victim.stdout if re.search(r"trial \d of 2:", line))
    victim.kill()
    victim.communicate()
    printed = ended(survivor)
    assert rows(home, "SELECT number, state FROM trials ORDER BY number") == [(0, "COMPLETE"), (1, "COMPLETE")]
    assert sorted(re.findall(r"trial (\d) of 2:", printed)) == ["1", "2"]
    looks = rows(home, "SELECT trial_id, step FROM trial_intermediate_values")
    assert len(looks) == len(set(looks)) == 2 * 4
    assert {trial["run"] for trial in read_sweep(home)["trials"]} == {run.name for run in folder(home).glob("pix2pix*/")} == RUNS
    assert (first / "history.csv").read_text().splitlines()[:3] == lines   # its clock, too: these looks were not made again
    assert printed.splitlines()[-1].strip() == read_sweep(home)["command"]

    main(["train", "--home", str(tmp_path / "other"), *GRID[:-2], "--lambda", "3"])
    assert newest_state(first) == newest_state(folder(tmp_path / "other") / first.name)


@pytest.fixture(scope="module")
def database():
    if not postgres.installed():
        pytest.skip("PostgreSQL is not installed here, so no study is stored in it; .ci/run installs it.")
    with postgres.server() as url:
        yield url


def test_two_machines_share_a_grid_in_postgresql_and_its_password_is_shown_nowhere(database, prepared_home, tmp_path):
    homes = [tmp_path / "one", tmp_path / "two"]
    for home in homes:
        shutil.copytree(prepared_home, home)
    flags = (*TINY, "--steps", "2", "--evaluate-every", "1", "--lambda", "1,2,3", "--storage", database)
    both = [ended(process) for process in [start_stage("sweep", home, *flags) for home in homes]]
    trained = Counter(run.name for home in homes for run in folder(home).glob("pix2pix_published-*/"))
    assert sorted(re.search(r"lambda(\d)", name)[1] for name in trained) == ["1", "2", "3"] and set(trained.values()) == {1}
    assert [trial["state"] for trial in read_sweep(homes[0])["trials"]] == 3 * ["done"]
    assert read_sweep(homes[0])["trials"] == read_sweep(homes[1])["trials"]
    assert "***@127.0.0.1" in both[0] and postgres.PASSWORD not in "".join(both)
    written = [path for home in homes for path in home.rglob("*") if path.is_file()]
    assert not [path for path in written if postgres.PASSWORD.encode() in path.read_bytes()]
    with pytest.raises(UserError, match=r"reports an error.*authentication failed") as error:
        sweep_here(homes[0], *flags[:-1], database.replace(postgres.PASSWORD, "wr0ng-w0rd"))
    assert "wr0ng-w0rd" not in str(error.value)


@pytest.fixture(scope="module")
def swept(module_home):
    """A home with a sweep of two knobs whose last learning rates are absurd, and of which one trial cannot be trained."""
    sweep_here(module_home, *TINY, "--steps", "30", "--evaluate-every", "10", "--learning-rate", "1e-4,2e-4,3e-4,0.05,1",
               "--jitter", "0")
    return module_home


def test_a_bad_trial_is_stopped_early_and_one_that_blows_up_fails_with_its_sentence(swept):
    trials = {trial["values"]["learning_rate"]: trial for trial in read_sweep(swept)["trials"]}
    assert [trials[rate]["state"] for rate in (1e-4, 2e-4, 3e-4)] == 3 * ["done"]
    assert [trials[rate]["step"] for rate in (1e-4, 2e-4, 3e-4)] == 3 * [30]
    assert trials[0.05]["state"] == "stopped early" and trials[0.05]["step"] < 30
    assert trials[1]["state"] == "failed" and "at step" in trials[1]["reason"] and trials[1]["rmse"] is None
    for rate in (1e-4, 2e-4, 3e-4):
        kept = checkpoints.read_metadata(folder(swept) / trials[rate]["run"] / "best.npz")["step"]
        assert trials[rate]["kept"] == kept and f"weights of step {kept}" in sweep_results.describe_end(trials[rate])
    lowest = min((trials[rate] for rate in (1e-4, 2e-4, 3e-4)), key=lambda trial: trial["rmse"])
    assert read_sweep(swept)["best"] == lowest["number"]


def test_the_winners_command_makes_the_entry_without_training_again(swept, capsys):
    words = shlex.split(read_sweep(swept)["command"])
    assert words[0] == "./run_pipeline.sh"
    before = (winner(swept) / "best.npz").read_bytes()
    for name in ("train", "predict", "serialize", "score"):
        assert main([name, *words[1:]]) in (None, 0)
    assert "is finished at step 30" in capsys.readouterr().out
    assert (winner(swept) / "best.npz").read_bytes() == before
    board = (swept / "submissions/demo/leaderboard.csv").read_text()
    assert all(trial["run"] in board for trial in read_sweep(swept)["trials"])


def test_a_finished_sweep_ends_at_once_and_what_runs_did_is_used_by_another_study(swept, capsys):
    flags = (*TINY, "--steps", "30", "--evaluate-every", "10")
    sweep_here(swept, *flags, "--learning-rate", "1e-4,2e-4,3e-4,0.05,1", "--jitter", "0")
    assert "trial" not in capsys.readouterr().out.replace(" trials", "").split("RMSE")[0]
    stamps = {run.name: (run / "best.npz").stat().st_mtime_ns for run in folder(swept).glob("pix2pix_published-*/")}
    sweep_here(swept, *flags, "--learning-rate", "1e-4,2e-4", "--sweep-name", "again")
    again = json.loads((folder(swept) / "again.sweep.json").read_text())
    assert [trial["state"] for trial in again["trials"]] == ["done", "done"]
    assert stamps == {run.name: (run / "best.npz").stat().st_mtime_ns for run in folder(swept).glob("pix2pix_published-*/")}
    with pytest.raises(UserError, match=r"sweep again was made with --learning-rate 0.0001,0.0002 \(now 0.0001,0.0003\)"):
        sweep_here(swept, *flags, "--learning-rate", "1e-4,3e-4", "--sweep-name", "again")


@pytest.mark.parametrize("name", ["what?", "100%41"])
def test_the_study_is_in_its_home_whatever_the_name_of_that_is(prepared_home, tmp_path, monkeypatch, name):
    monkeypatch.setattr("pixmend.experiments.sweep.run_trials", lambda settings, study: None)
    home = shutil.copytree(prepared_home, tmp_path / name)
    run_sweep(read_settings("sweep", ["--home", str(home), "--size", "32", "--beta-1", "0.5,0.9"]))
    assert [path.name for path in tmp_path.iterdir()] == [name] and (folder(home) / "sweeps.db").exists()


def test_results_of_a_sweep_over_files_are_beside_the_runs(home, monkeypatch):
    monkeypatch.setattr("pixmend.experiments.sweep.run_trials", lambda settings, study: None)
    words = ("--model", "pretrained_unet", "--encoder-weights", f"{home}/one.npz,none")
    run_sweep(read_settings("sweep", ["--home", str(home), "--size", "32", *words]))
    assert read_sweep(home)["space"] == {"encoder_weights": f"{home}/one.npz,none"}


def test_a_journal_may_be_named_from_the_users_folder(tmp_path, monkeypatch):
    from pixmend.experiments import optuna_study

    monkeypatch.setenv("HOME", str(tmp_path))
    assert optuna_study.choose_storage("journal:~/shared").folder == tmp_path / "shared"


@pytest.mark.long
def test_a_trial_that_cannot_be_trained_fails_by_name_and_the_sweep_goes_on(home):
    sweep_here(home, *TINY, "--steps", "2", "--evaluate-every", "1", "--jitter", "8,0")
    trials = {trial["values"]["jitter"]: trial for trial in read_sweep(home)["trials"]}
    assert trials[0]["state"] == "done"
    assert trials[8]["state"] == "failed" and "--jitter 8 is the side" in trials[8]["reason"]
    assert "--sweep-name" in sweep_results.format_table(read_sweep(home))


def open_sweep(home, *flags):
    """Open the study of a sweep as its command does, without training."""
    from pixmend.experiments import optuna_study

    settings = read_settings("sweep", ["--home", str(home), "--size", "32", "--sweep-name", "x", "--beta-1", "0.5,0.9", *flags])
    settings.run_folder.parent.mkdir(parents=True, exist_ok=True)
    return open_study(settings, optuna_study, optuna_study.choose_storage(f"sqlite:///{home}/study.db"))


@pytest.mark.parametrize(("flags", "changed"), [
    (("--model", "window_unet"), ("--init-from=",)), (("--model", "window_mlp"), ("--masks-per-image", "0")),
    (("--optimizer", "adam,sgd"), ("--learning-rate", "2e-4"))])
def test_flag_that_replaces_a_default_of_the_model_makes_another_sweep(home, flags, changed):
    open_sweep(home, *flags)
    open_sweep(home, *flags, "--disc-lambda", "1")   # what every model does without it
    with pytest.raises(UserError, match=changed[0].strip("=")):
        open_sweep(home, *flags, *changed)


@pytest.mark.parametrize(("flags", "message"), [
    ([], "needs a flag of `train` with several values"),
    (["--lambda", "1,many"], "many"),
    (["--lambda", "1,-2"], "must be between 0 and"),
    (["--lambda", "9..1"], r"1\.\.9"),
    (["--lambda", "1.."], "lambda"),
    (["--start", "none,some"], "some"),
    (["--start", "none..harmonic"], "a range is for numbers"),
    (["--mask-channel", "yes,maybe"], "yes,no"),
    (["--size", "32,64"], "cannot be swept"),
    (["--seed=1..5"], "cannot be swept"),
    (["--evaluation-images", "4,8"], "how runs are measured"),
    (["--steps-per-call", "1,16"], "no effect on the weights"),
    (["--snapshots", "1,2"], "no effect on the weights"),
    (["--lambda", "0.12345678,1"], "more digits"),
    (["--model", "pix2pix,pix3pix"], "pix3pix"),
    (["--model", "pix2pix,mean"], "mean is a fill"),
    (["--model", "locate,unet"], "find masks"),
    (["--lambda", "1,2", "--run", "mine"], "--sweep-name"),
    (["--lambda", "1,2", "--force"], "--force.*delete their folders.*--sweep-name"),
    (["--lambda", "1,2", "--trials", "3"], "--trials"),
    (["--lambda", "1..2", "--sampler", "grid"], "as a list"),
    (["--lambda", "1,2", "--sampler", "bayes"], "bayes"),
    (["--lambda", "1,2", "--sweep-name", "../x"], "--sweep-name"),
    (["--lambda", "1,2", "--storage", "my s3cret words"], "is not a database URL"),
    (["--lambda", "1,2", "--storage", "journal:"], "names no folder"),
    (["--lambda", "1,2", "--storage", "cupboard://me:s3cret@here/x"], "cupboard"),
    (["--lambda", "1,2", "--storage", "postgresql://me:s3c@ret@here/x"], "%40"),
])
def test_what_a_sweep_cannot_do_is_said_before_anything_starts(home, flags, message):
    with pytest.raises(FlagError, match=message) as error:
        sweep_here(home, *TINY, *flags)
    assert "s3c" not in str(error.value)
    assert not list(folder(home).glob("*/"))


@pytest.mark.parametrize(("flags", "message"), [
    (["--model", "unet,window_unet"], "--evaluation-images 550"), (["--width", "16,24"], "--init-from="),
    (["--levels", "4..5"], "--init-from=")])
def test_trials_that_are_measured_or_begin_differently_are_refused(home, flags, message):
    with pytest.raises(FlagError, match=message):
        sweep_here(home, "--size", "32", "--model", "window_unet", *flags)
    settings = read_settings("sweep", ["--home", str(home), "--model", "window_unet", *flags, *message.split()])
    check_sweep(settings)


def test_trials_are_refused_of_which_some_have_learned_the_holdout(tmp_path):
    """Landscapes are made of photographs inside packages, and `photos` has learned from some of them."""
    flags = ("--competition", "landscapes", "--size", "32")
    for name in ("download", "augment"):
        main([name, "--home", str(tmp_path), *flags])
    with pytest.raises(FlagError, match="learned from photographs of this holdout"):
        sweep_here(tmp_path, *flags, "--model", "window_unet,unet", "--evaluation-images", "8")
    assert not list((tmp_path / "checkpoints/landscapes").glob("*/"))


def test_a_run_that_was_trained_for_longer_is_not_ranked(home):
    flags = (*TINY, "--evaluate-every", "2", "--steps", "2", "--lambda")
    main(["train", "--home", str(home), *flags, "3"])
    run = next(path.name for path in folder(home).glob("*/"))
    main(["train", "--home", str(home), *flags, "3", "--steps", "4", "--run", run])
    sweep_here(home, *flags, "3,5")
    states = {trial["values"]["LAMBDA"]: trial["state"] for trial in read_sweep(home)["trials"]}
    assert states == {3: "failed", 5: "done"} and winner(home).name != run


def test_trials_of_different_length_are_not_stopped_early():
    from pixmend.experiments import optuna_study

    settings = read_settings("sweep", ["--steps", "100,1000"])
    assert type(optuna_study.make_pruner(settings)).__name__ == "NopPruner"


def test_a_database_that_is_away_is_a_sentence(home):
    with pytest.raises(UserError, match=r"postgresql://me:\*\*\*@127.0.0.1:\d+/x reports an error") as error:
        sweep_here(home, *TINY, "--lambda", "1,2", "--storage", f"postgresql://me:s3cret@127.0.0.1:{postgres.free_port()}/x")
    assert "s3cret" not in str(error.value)
    (folder(home) / "sweeps.db").write_bytes(b"no database at all, but long enough to be looked at" * 99)
    with pytest.raises(UserError, match="not a database"):
        sweep_here(home, *TINY, "--lambda", "1,2")


@pytest.mark.parametrize(("database", "module", "package"), [
    ("postgresql", "psycopg", '"psycopg[binary]"'), ("mysql", "pymysql", "pymysql")])
def test_without_the_driver_it_is_said_how_to_get_it(home, tmp_path, database, module, package):
    (tmp_path / "absent" / module).mkdir(parents=True)
    (tmp_path / "absent" / module / "__init__.py").write_text(f"raise ModuleNotFoundError('No module named {module}')")
    result = stage_process("sweep", home, *TINY, "--lambda", "1,2", "--storage", f"{database}://me:s3cret@127.0.0.1/x",
                           env={"PYTHONPATH": str(tmp_path / "absent")})
    assert result.returncode == 1 and f"pip install {package}" in result.stderr
    assert "Traceback" not in result.stderr and "s3cret" not in result.stderr + result.stdout


def opened(url, home, wanted, sampler="random", flags=("--lambda", "1..9"), machine="one"):
    """A study without training, as a process on this machine would open it."""
    from pixmend.experiments import optuna_study

    swept = dict(search_space.split_swept_flags(flags)[1])
    points = search_space.list_grid_points(swept) if sampler == "grid" else []
    storage = optuna_study.choose_storage(url)
    return swept, optuna_study.SharedStudy(storage, "s", facts={}, wanted=wanted, folder=home, place=machine, machine=machine,
                                           sampler=optuna_study.make_sampler(sampler, points, 1), pruner=None)


def draw(swept, study, rmse=lambda values: 0.5):
    """Take all the trials that there are, and say at once how they ended."""
    from optuna.trial import TrialState

    while trial := study.claim_trial(contextlib.ExitStack()):
        value = rmse({name: values.suggest(trial, name) for name, values in swept.items()})
        study.finish_trial(trial, TrialState.COMPLETE, value, rmse=value, step=1)


def draw_in_a_process(url, home, wanted):
    draw(*opened(url, home, wanted))


@pytest.mark.parametrize("steps", [1000, config.UNLIMITED_STEPS])
def test_the_worst_trial_is_stopped_early_also_where_only_minutes_end_it(steps):
    import optuna

    from pixmend.experiments import optuna_study

    study = optuna.create_study(pruner=optuna_study.make_pruner(config.Settings(steps=steps, evaluate_every=50)))
    stopped = []
    for rmse in (0.1, 0.2, 0.3, 0.4):
        trial = study.ask()
        for step in (0, 50, 100, 150):
            trial.report(0.5 if step == 0 else rmse, step)
            stopped += [(rmse, step)] if trial.should_prune() else []
        study.tell(trial, rmse)
    assert stopped[0] == (0.4, 100) and {rmse for rmse, _ in stopped} == {0.4}


@pytest.fixture(params=["sqlite", "journal", "postgresql"])
def url(request, tmp_path):
    if request.param == "journal":
        return f"journal:{tmp_path}/shared"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/study.db"
    return request.getfixturevalue("database")


def test_many_processes_at_once_take_just_as_many_trials_as_were_asked_for(url, tmp_path):
    opened(url, tmp_path, 6)
    workers = [multiprocessing.get_context("fork").Process(target=draw_in_a_process, args=(url, tmp_path, 6)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    _, study = opened(url, tmp_path, 6)
    assert len(study.list_trials()) == 6 and not study.list_running()
    assert len({trial.params["LAMBDA"] for trial in study.list_trials()}) == 6


def test_twenty_processes_on_one_journal_lose_no_trial_and_make_none_twice(tmp_path):
    url = f"journal:{tmp_path}/shared"
    workers = [multiprocessing.get_context("fork").Process(target=draw_in_a_process, args=(url, tmp_path, 60)) for _ in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == 20 * [0]
    trials = opened(url, tmp_path, 60)[1].list_trials()
    assert [trial.state.name for trial in trials] == 60 * ["COMPLETE"]
    assert len({trial.params["LAMBDA"] for trial in trials}) == 60


def age_heartbeats(folder):
    """Set the heartbeats of a journal back to where their processes count as dead."""
    for path in (folder / "heartbeats").iterdir():
        os.utime(path, (0, 0))


def test_a_trial_of_a_journal_is_taken_over_by_one_other_machine_once_its_heartbeat_is_old(tmp_path):
    url = f"journal:{tmp_path}/shared"
    _, dead = opened(url, tmp_path, 1)
    trial = dead.claim_trial(contextlib.ExitStack())
    others = [opened(url, tmp_path, 1, machine=name)[1] for name in ("two", "three")]
    assert [other.claim_trial(contextlib.ExitStack()) for other in others] == [None, None]
    age_heartbeats(tmp_path / "shared")
    assert [other.storage.read_heartbeat(trial)[0] for other in others] == [1, 1]
    taken = [other.claim_trial(contextlib.ExitStack()) for other in others]
    assert [found and found.number for found in taken] == [0, None]
    assert dead.storage.has_lost_trial(trial._trial_id) and not others[0].storage.has_lost_trial(trial._trial_id)


def test_a_run_that_is_unlocked_is_taken_over_at_once_only_on_its_own_machine(tmp_path):
    url = f"journal:{tmp_path}/shared"
    _, first = opened(url, tmp_path, 1)
    first.mark_trial(first.claim_trial(contextlib.ExitStack()), "run")
    _, elsewhere = opened(url, tmp_path, 1)
    elsewhere.machine = "two"   # with the same home, where the lock of another machine may not be visible
    assert elsewhere.claim_trial(contextlib.ExitStack()) is None
    with contextlib.ExitStack() as lock:
        assert opened(url, tmp_path, 1)[1].claim_trial(lock).number == 0
        age_heartbeats(tmp_path / "shared")
        assert elsewhere.claim_trial(contextlib.ExitStack()) is None   # it lives, whatever its heartbeat
    with contextlib.ExitStack() as lock:
        assert elsewhere.claim_trial(lock).number == 0


@pytest.mark.parametrize("scheme", ["sqlite:///{}/study.db", "journal:{}/shared"])
def test_a_trial_of_a_process_that_is_stopped_is_free_at_once(tmp_path, scheme):
    url = scheme.format(tmp_path)
    _, stopped = opened(url, tmp_path, 1)
    trial = stopped.claim_trial(contextlib.ExitStack())
    with pytest.raises(KeyboardInterrupt), stopped.send_heartbeats(trial):
        raise KeyboardInterrupt
    assert opened(url, tmp_path, 1, machine="two")[1].claim_trial(contextlib.ExitStack()).number == 0


def test_a_damaged_journal_is_one_message(home):
    (home / "shared").mkdir()
    (home / "shared/journal.log").write_text("half a li\nne\n")
    with pytest.raises(UserError, match=r"journal\.log is damaged"):
        sweep_here(home, *TINY, "--lambda", "1,2", "--storage", f"journal:{home}/shared")


@pytest.mark.long
def test_tasks_share_a_sweep_on_a_journal_while_one_is_preempted_and_one_is_killed(home):
    flags = (*TINY, "--steps", "40", "--evaluate-every", "4", "--save-minutes", "0", "--lambda", "1,2,3,4",
             "--no-prune", "--storage", f"journal:{home}/shared")
    tasks = [start_stage("sweep", home, *flags) for _ in range(3)]
    for task in tasks[:2]:
        next(line for line in task.stdout if re.search(r"trial \d of 4:", line))
    tasks[0].send_signal(signal.SIGUSR1)
    tasks[1].kill()
    codes = [task.communicate(timeout=300) and task.returncode for task in tasks]
    assert codes == [85, -signal.SIGKILL, 0]
    found = read_sweep(home)["trials"]
    assert [(trial["number"], trial["state"]) for trial in found] == [(number, "done") for number in range(4)]
    runs = {run.name for run in folder(home).glob("pix2pix_published-*/")}
    assert {trial["run"] for trial in found} == runs and len(found) == 4


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_draws_keep_to_their_ranges_and_are_a_function_of_seed_and_number(sampler, tmp_path):
    flags = ("--learning-rate", "1e-5..1e-2", "--width=3..7", "--schedule", "constant,cosine", "--mask-channel", "yes,no",
             "--beta-1", "0.5..0.9")
    drawn = []
    for _ in range(2):
        swept, study = opened("sqlite:///:memory:", tmp_path, 16, sampler, flags)
        draw(swept, study)
        drawn.append([{name: swept[name].round_value(value) for name, value in trial.params.items()}
                      for trial in study.list_trials()])
    assert drawn[0] == drawn[1]
    rates = np.array([values["learning_rate"] for values in drawn[0]])
    assert ((rates >= 1e-5) & (rates <= 1e-2)).all() and 3 < (rates < 10**-3.5).sum() < 13   # even over powers of ten
    assert {values["width"] for values in drawn[0]} <= set(range(3, 8))
    assert {values["schedule"] for values in drawn[0]} == {"constant", "cosine"}
    assert {values["mask_channel"] for values in drawn[0]} == {True, False}
    assert all(float(f"{values[name]:g}") == values[name] for values in drawn[0] for name in ("learning_rate", "beta_1"))


def test_of_a_dead_machine_the_trial_is_taken_over_by_one_other_under_its_number(tmp_path):
    url, path = f"sqlite:///{tmp_path}/study.db", tmp_path / "study.db"
    _, dead = opened(url, tmp_path, 1)
    dead.claim_trial(contextlib.ExitStack()).set_user_attr("place", "one")
    others = [opened(url, tmp_path, 1, machine=name)[1] for name in ("two", "three")]
    assert [other.claim_trial(contextlib.ExitStack()) for other in others] == [None, None]   # it was heard of just now
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'")
    taken = [other.claim_trial(contextlib.ExitStack()) for other in others]
    assert [trial and trial.number for trial in taken] == [0, None]


def test_a_trial_whose_process_died_before_its_first_sign_of_life_is_not_lost(tmp_path):
    _, study = opened(f"sqlite:///{tmp_path}/study.db", tmp_path, 1)
    study.study.ask()
    assert study.claim_trial(contextlib.ExitStack()) is None
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        database.execute("UPDATE trials SET datetime_start = '2020-01-01 00:00:00'")
    _, other = opened(f"sqlite:///{tmp_path}/study.db", tmp_path, 1, machine="two")
    assert other.claim_trial(contextlib.ExitStack()).number == 0


def two_knobs(home):
    """What a sweep finds of which LAMBDA decides all but a little."""
    words = ("--lambda", "1..100", "--start", "none,harmonic,smooth")
    swept, study = opened("sqlite:///:memory:", home, 16, flags=words)
    draw(swept, study, lambda values: values["LAMBDA"] / 100 + 0.01 * len(values["start"]))
    return sweep_results.collect_results(flags.parse_flags([], environment={}), study, swept)


def test_what_mattered_is_told_and_the_lowest_rmse_is_the_best(tmp_path):
    seen = two_knobs(tmp_path)
    assert seen["importance"]["LAMBDA"] > 0.8 and sum(seen["importance"].values()) == pytest.approx(1, abs=1e-3)
    best = min(seen["trials"], key=lambda trial: trial["rmse"])["values"]
    assert seen["command"] == f"./run_pipeline.sh --start {best['start']} --lambda {best['LAMBDA']:g}"


def test_a_winner_is_called_trained_only_where_its_weights_are(tmp_path):
    swept, study = opened("sqlite:///:memory:", tmp_path, 2)
    draw(swept, study)
    settings = flags.parse_flags(["--home", str(tmp_path)], environment={})
    elsewhere = sweep_results.collect_results(settings, study, swept)
    best = runner.make_run_settings(settings, elsewhere["trials"][elsewhere["best"]]["values"])
    files.write_text(checkpoints.get_weights_path(best.run_folder), "")
    here = sweep_results.collect_results(settings, study, swept)
    assert (elsewhere["is_here"], here["is_here"]) == (False, True)
    assert "anew" in sweep_results.format_table(elsewhere) and "trained already" in sweep_results.format_table(here)


def test_trials_that_cannot_be_told_apart_have_no_winner():
    def describe(*errors):
        trials = [{"values": {"LAMBDA": value}, "rmse": rmse, "state": "done"}
                  for value, rmse in zip((50.0, 100.0, 400.0), errors, strict=True)]
        return sweep_results.describe_best({"trials": trials})

    assert "best trial is --lambda 100," in describe(0.0904, 0.0883, 0.0905)
    tied = describe(0.08837, 0.08834, 0.08837)
    assert "best" not in tied and all(f"--lambda {value}" in tied for value in (50, 100, 400))


@pytest.fixture(scope="module")
def page(swept, tmp_path_factory):
    """The report of a home with two sweeps, in a browser."""
    if chromium.BINARY is None:
        pytest.skip("Chromium is not installed here, so the page is not opened; .ci/run installs it.")
    words = shlex.split(read_sweep(swept)["command"])[1:]
    for name in ("predict", "serialize", "score"):
        main([name, *words])
    files.write_json(folder(swept) / "two.sweep.json", two_knobs(tmp_path_factory.mktemp("two")))
    main(["report", *words])
    with chromium.Browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.set_view(width=1200)
        browser.open((swept / "submissions/demo/report.html").as_uri())
        yield browser


def test_the_report_shows_each_sweep_with_table_drawings_and_what_mattered(page, swept):
    assert not page.get_events("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    sweeps = [json.loads(path.read_text()) for path in sorted(folder(swept).glob("*.sweep.json"))]
    text = ("[...document.querySelectorAll('#experiments .experiment')]"
            ".map(s => [...s.querySelectorAll({})].map(each => each.textContent.trim()))")
    assert page.ask(text.format("'h3'")) == [[f"Sweep {sweep['study']}"] for sweep in sweeps]
    assert page.ask(text.format("'code'")) == [[sweep["command"]] for sweep in sweeps]
    assert page.ask(text.format("'figcaption'")) == [
        [*(f"RMSE over {config.flag(name)}" for name in sweep["space"]),
         *(["Importance of the settings"] if sweep["importance"] else [])]
        for sweep in sweeps]
    shown = page.ask(text.format("'tbody td:nth-last-child(4)'"))
    for sweep, cells in zip(sweeps, shown, strict=True):
        ended = [trial["rmse"] for trial in sweep["trials"] if trial["state"] == "done"]
        assert [float(cell) for cell in cells[:len(ended)]] == pytest.approx(sorted(ended), abs=1e-5)
        assert len(cells) == len(sweep["trials"])
    assert page.ask(text.format("'tr.here th'")) == [[str(sweep["best"] + 1)] for sweep in sweeps]


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_no_sweep_is_wider_than_the_window(page, width, dark):
    page.set_view(width=width, dark=dark)
    assert page.ask("document.documentElement.scrollWidth") <= width
    ends = page.ask("[...document.querySelectorAll('#experiments .experiment svg')]"
                    ".map(svg => svg.getBoundingClientRect().right)")
    assert len(ends) >= 4 and max(ends) <= width


def test_a_flag_with_several_values_leaves_the_others_as_they_are():
    rest, swept = search_space.split_swept_flags(
        ["--lambda=1,2", "--home", "../a,b", "--mask-channel", "--steps", "5", "--width", "2..4"])
    assert rest == ["--home", "../a,b", "--mask-channel", "--steps", "5"]
    assert {name: str(values) for name, values in swept} == {"LAMBDA": "1,2", "width": "2..4"}


def test_two_points_are_a_range_only_between_numbers():
    words = ["--encoder-weights", "../w.weights.h5", "--init-from", "a..b"]
    assert search_space.split_swept_flags(words) == (words, ())
    assert search_space.split_swept_flags(["--encoder-weights", "../w.h5,none"])[1] == (
        ("encoder_weights", search_space.Choice(("../w.h5", "none"))),)


@pytest.mark.parametrize("model", ["pix2pix", "unet", "window_unet", "smooth"])
def test_settings_of_a_trial_are_those_of_its_own_command(tmp_path, model):
    words = ["--home", str(tmp_path), "--competition", "photo_reconstruction", "--steps", "7"]
    base = cli.read_settings("sweep", [*words, "--trials", "1"])
    trial = runner.make_run_settings(base, {"model": model, "width": 8})
    own = cli.read_settings("train", [*words, "--model", model, "--width", "8"])
    assert (trial.run, trial.tta, trial.predict_mode) == (own.run, own.tta, own.predict_mode)
    assert models.apply_model_defaults(trial).init_from == models.apply_model_defaults(own).init_from


def test_a_word_of_the_environment_is_in_the_winners_command(monkeypatch):
    base = flags.parse_flags(["--steps", "7"], environment={"LAMBDA": "400"} | os.environ)
    trial = runner.make_run_settings(base, {"width": 8})
    assert sweep_results.format_pipeline_command(trial) == "./run_pipeline.sh --width 8 --lambda 400 --steps 7"
