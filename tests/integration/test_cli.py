"""The command line: wrong flags and names are refused before anything is written, help fits a screen, runs are named."""

import re
import subprocess
import sys

import pytest
from support.stages import ROOT, clean_environment, done, stage, stage_process

from pixmend import config, models
from pixmend.cli import read_settings
from pixmend.commands import COMMANDS
from pixmend.errors import FlagError
from pixmend.evaluation import ledger
from pixmend.flags import OLD_FLAGS, parse_flags
from pixmend.run_identity import complete_settings
from pixmend.setting_values import format_flag


@pytest.mark.parametrize(("flags", "named"), [
    (["--lamda", "400"], "--lambda"),
    (["--lambda", "-1"], "--lambda"),
    (["--lambda", "nan"], "--lambda"),
    (["--steps", "many"], "--steps"),
    (["--augment", "6x"], "5x"),
    (["--model", "windowmlp"], "window_mlp"),
    (["--competition", "nowhere"], "demo"),
    (["--run", "../mine"], "--run"),
    (["--run", "=cmd"], "--run"),
    (["--run", "+cmd"], "--run"),
    (["--run=-cmd"], "--run"),
    (["--run", "@cmd"], "--run"),
    (["--run", " "], "--run"),
    (["--run", "leaderboard"], "leaderboard.csv"),
    (["--run", "submissions"], "submissions.csv"),
    (["--init-from", "checkpoints/demo/a"], "--init-from"),
    (["--mask-run", "a b"], "--mask-run"),
    (["--mask-run", ""], "--mask-run"),
    (["--epochs", "10"], "--steps"),
    (["LAMBDA=100"], "--lambda 100"),
    (["--lambda", "50,100"], "pixmend sweep"),
    (["--batch-size", "0"], "--batch-size"),
    (["--trials", "3"], "--trials"),
    (["--lam", "400"], "--lambda"),
    (["--holdout", "0.2", "--folds", "3"], "--folds"),
])
def test_wrong_flag_is_refused_and_nothing_is_written(tmp_path, flags, named):
    result = stage("download", tmp_path, *flags)
    assert result.returncode == 2
    assert named in result.stderr and "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_unknown_command_is_refused_with_the_nearest_one(tmp_path):
    result = stage("trian", tmp_path)
    assert result.returncode == 2 and "train" in result.stderr


@pytest.mark.parametrize("name", ["download", "train", "report", "doctor"])
def test_home_that_is_a_file_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("mine")
    result = stage(name, tmp_path / "file")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert str(tmp_path / "file") in result.stderr


def test_too_long_run_name_is_refused(tmp_path):
    result = stage("configure", tmp_path, "--model", "stable_diffusion", "--prompt", "a {class} " + "asleep " * 40)
    assert result.returncode == 1 and "--run" in result.stderr and "Traceback" not in result.stderr


def test_empty_run_name_is_refused(tmp_path):
    result = stage("predict", tmp_path, "--run=")
    assert result.returncode == 2 and "--run" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("value", ["100,400", "/opt/lambda"])
def test_a_variable_that_is_no_number_is_named(value):
    with pytest.raises(FlagError, match="environment variable LAMBDA"):
        parse_flags([], environment={"LAMBDA": value})
    assert parse_flags(["--lambda", "7"], environment={"LAMBDA": value}).LAMBDA == 7


def test_a_home_whose_name_is_no_text_is_refused_before_anything_starts():
    with pytest.raises(FlagError, match="--home is not UTF-8"):
        read_settings("predict", ["--home", "/x/\udcff"])


@pytest.mark.parametrize("run", ["a.holdout", "a.new-test-set", "a.rgb-unit", "A.BGR-minmax"])
def test_run_whose_file_another_run_would_replace_is_refused(tmp_path, run):
    result = stage("configure", tmp_path, "--run", run)
    assert result.returncode == 2 and f"{run}.csv" in result.stderr and not list(tmp_path.iterdir())


def test_letters_that_the_terminal_lacks_are_no_failure(tmp_path):
    ledger.add_event(tmp_path / "submissions/demo/submissions.csv", ledger.SENT, run="a", file="0123456789ab")
    result = stage_process("history", tmp_path, env={"PYTHONIOENCODING": "latin-1"})
    assert result.returncode == 0 and "0123456789ab" in result.stdout and result.stderr == ""


def test_empty_home_in_the_environment_is_none(tmp_path):
    program = "from pixmend.config import ROOT, Settings; print(Settings.home == str(ROOT))"
    ended = subprocess.run([sys.executable, "-c", program], env=clean_environment() | {"PIXMEND_HOME": ""}, capture_output=True,
                           text=True)
    assert ended.stdout == "True\n"


def test_ctrl_c_during_imports_ends_with_130(tmp_path):
    result = stage_process("download", tmp_path, env={"PYTHONPATH": str(ROOT / "tests" / "support" / "impatient")})
    assert result.returncode == 130 and "Traceback" not in result.stderr


def test_missing_packages_are_one_message(tmp_path):
    code = (f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); sys.argv = ['pixmend', '--help'];"
            "from pixmend.__main__ import main; sys.exit(main())")
    result = subprocess.run(["python3", "-S", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1 and "set_up.sh" in result.stderr and "Traceback" not in result.stderr


def test_help_lists_all_commands(tmp_path):
    shown = done(stage("--help", tmp_path))
    assert all(f" {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_fits_two_screens_and_has_no_other_flags(tmp_path, command):
    shown = done(stage(command, tmp_path, "--help"))
    groups = {"common", *COMMANDS[command].shows}
    assert len(shown.splitlines()) <= 100 or command == "configure"
    for spec in config.SETTINGS.values():
        assert bool(re.search(rf"  {config.flag(spec.name)}[ ,]", shown)) == (spec.group in groups), spec.name


def test_help_of_the_pipeline_is_that_of_configure(tmp_path):
    shown = subprocess.run(["./run_pipeline.sh", "--competition", "demo", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0 and shown.stdout == done(stage("configure", tmp_path, "--help"))


@pytest.mark.parametrize(("command", "is_stored"), [("train", True), ("predict", False), ("report", None), ("augment", False)])
def test_help_says_whether_flags_of_other_stages_are_stored(tmp_path, command, is_stored):
    shown = done(stage(command, tmp_path, "--help"))
    assert ("written into its run.toml" in shown, "accepted but not stored" in shown) == (is_stored is True, is_stored is False)


@pytest.mark.parametrize(("flags", "command"), [
    (["--processes", "a:1,b:2", "--process", "1"], "pixmend train"), (["--process", "0"], "pixmend train"),
    (["--submission", "a.csv"], "pixmend score"), (["--solution", "b.csv"], "pixmend score")])
def test_flag_that_would_not_be_stored_is_refused_by_configure(tmp_path, flags, command):
    result = stage("configure", tmp_path, *flags)
    assert result.returncode == 2 and flags[0] in result.stderr and command in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["loss=l2 and more steps", "lambda=5", "seed=3"])
def test_values_of_flags_are_not_taken_for_flags(value):
    assert parse_flags(["--message", value], environment={}).message == value
    assert parse_flags([f"--message={value}"], environment={}).message == value


@pytest.mark.parametrize(("word", "has_variable"), [("LAMBDA=5", True), ("lambda=5", True), ("loss=l2", False)])
def test_only_lambda_is_advised_as_a_variable_of_the_environment(word, has_variable):
    with pytest.raises(FlagError) as error:
        parse_flags([word], environment={})
    assert ("before the command" in str(error.value)) == has_variable


@pytest.mark.parametrize("old", OLD_FLAGS)
def test_old_flag_means_the_new_one(old, capsys):
    name = OLD_FLAGS[old].removeprefix("--").removeprefix("no-").replace("-", "_")
    kind = type(config.SETTINGS[name].default)
    value = [] if kind is bool else [{"competition": "demo", "broken_images": "skip", "hole_colour": "white", "ema_decay": "0.5",
                                      "weight_decay": "0.5"}.get(name, "2")]
    assert name in parse_flags([old, *value], environment={}).given


def test_a_tilde_in_the_value_of_a_path_is_the_users_home(monkeypatch):
    monkeypatch.setenv("HOME", "/somebody")
    settings = parse_flags(["--home=~/runs", "--photos", "~", "--message=~/x"], environment={})
    assert (settings.home, settings.photos, settings.message) == ("/somebody/runs", "/somebody", "~/x")


def test_lambda_comes_from_the_environment_unless_a_flag_gives_it():
    assert parse_flags([], environment={"LAMBDA": "400"}).LAMBDA == 400
    assert parse_flags(["--lambda", "200"], environment={"LAMBDA": "400"}).LAMBDA == 200
    assert parse_flags(["--lambda=200"], environment={"LAMBDA": "400"}).LAMBDA == 200
    assert "LAMBDA" not in parse_flags([], environment={"LAMBDA": ""}).given
    with pytest.raises(FlagError, match="lambda"):
        parse_flags([], environment={"LAMBDA": "plenty"})


def test_lambda_in_the_environment_is_for_commands_that_train(home, monkeypatch):
    monkeypatch.setenv("LAMBDA", "400")
    for command, is_read in (("configure", True), ("train", True), ("report", False), ("contests", False)):
        assert ("LAMBDA" in read_settings(command, ["--home", str(home)]).given) == is_read


def name_run(*flags, defaults=None, model_defaults=None):
    settings = parse_flags(list(flags), environment={})
    return complete_settings(settings, defaults or {}, lambda model: model_defaults or {}).run


def test_run_is_named_after_what_differs_from_the_defaults():
    assert name_run() == name_run("--quiet") == name_run("--width", "16", defaults={"width": 16}) == "window_unet"
    assert name_run("--lambda", "400", "--steps", "150000") == "pix2pix-lambda400-steps150000"
    assert name_run("--width", "64", "--start", "none", defaults={"width": 16}) == "window_unet-width64-start-none"
    assert name_run("--lambda", "400", "--run", "mine") == "mine"
    assert name_run("--lambda", "400", "--model", "unet") == "unet-lambda400"
    assert name_run("--evaluate-every", "100", "--evaluation-images", "8") == "window_unet-evaluate-every100-evaluation-images8"
    assert name_run("--batch-size", "auto") == "window_unet-batch-size-auto"
    prompt = ("--prompt", "a {class}, ../asleep")
    assert name_run("--model", "stable_diffusion", *prompt) == "stable_diffusion-prompt-a-class-..-asleep"


@pytest.mark.parametrize(("name", "value"), [
    ("batch_size", 0), ("batch_size", 8), ("learning_rate", 0.000123456789), ("LAMBDA", 1e6), ("adversarial", False),
    ("submit", True), ("prompt", "a {class}"), ("steps", 1234567)])
def test_words_of_a_flag_give_its_value_again(name, value):
    assert getattr(parse_flags(format_flag(name, value), environment={}), name) == value


def test_a_flag_without_a_value_takes_no_other_word():
    words = " ".join([*format_flag("init_from", ""), "--steps 5"]).split()
    assert parse_flags(words, environment={}).init_from == "" and parse_flags(words, environment={}).steps == 5


def test_flag_against_the_models_own_default_is_in_the_name():
    own = {"start": "none", "loss": "l2"}
    assert name_run("--model", "unet", model_defaults=own) == "unet"
    assert name_run("--model", "unet", "--start", "harmonic", model_defaults=own) == "unet-start-harmonic"
    assert name_run("--optimizer", "sgd", "--learning-rate", "2e-4") == "window_unet-optimizer-sgd-learning-rate0.0002"


def test_flags_override_the_defaults_of_a_competition():
    settings = complete_settings(parse_flags(["--steps", "7"], environment={}), {"steps": 100, "width": 16})
    assert (settings.steps, settings.width) == (7, 16)


@pytest.mark.parametrize(("words", "model"), [
    ([], "window_unet"), (["--lambda", "50"], "pix2pix"), (["--lambda", "50", "--model", "unet"], "unet"),
    (["--competition", "photo_reconstruction"], "window_unet"), (["--competition", "landscapes"], "pix2pix")])
def test_lambda_means_pix2pix_and_a_competition_has_its_model(words, model):
    assert read_settings("train", words).model == model


def test_minutes_alone_set_no_limit_of_steps(tmp_path):
    flags = ["--home", str(tmp_path), "--minutes", "1"]
    assert models.apply_model_defaults(read_settings("train", flags)).steps == config.UNLIMITED_STEPS
    assert models.apply_model_defaults(read_settings("train", [*flags, "--steps", "7"])).steps == 7
    without = ["--home", str(tmp_path), "--competition", "photo_reconstruction", "--minutes", "0"]
    assert models.apply_model_defaults(read_settings("train", without)).steps == 20000


def test_competition_changes_the_defaults_of_a_model():
    demo, real = (models.apply_model_defaults(read_settings("train", ["--competition", name, "--model", "window_mlp"]))
                  for name in ("demo", "photo_reconstruction"))
    assert (demo.start, demo.steps) == ("smooth", 200) and (real.start, real.steps) == ("harmonic", 20000)
    assert demo.window == real.window == 2.0
    given = models.apply_model_defaults(read_settings("train", ["--start", "telea", "--model", "window_mlp"]))
    assert given.start == "telea" and given.steps == 200
