"""The script that Kaggle runs, here in folders like Kaggle's: what it writes, how it continues, what it reports as missing."""

import contextlib
import csv
import hashlib
import importlib.metadata
import io
import json
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.kaggle_home import CONTEST, SLUG, Machine, make_tiny_competition
from support.kaggle_kernels import Folders, KernelServer, order_of, run_session

from pixmend.kaggle import kernel_main

TINY = make_tiny_competition()
SMALL = ("--model", "pix2pix_published", "--size", "32", "--width", "4", "--batch-size", "2", "--evaluate-every", "2",
         "--evaluation-images", "4", "--run", "a")


def script_of(machine, *flags, competition=CONTEST):
    """The script as it would be sent."""
    code, read = machine.run("kernel", *SMALL, *flags, "--dry-run", competition=competition)
    assert code == 0, read
    return (machine.home / f"checkpoints/{competition}/a/.kernel/1/kernel.py").read_text()


def read_report(files):
    """Return the session's report; each hash in it is that of its file."""
    report = json.loads(files["session.json"])
    assert {name: was["sha256"] for name, was in report["files"].items()} == \
        {name: hashlib.sha256(files[name]).hexdigest() for name in report["files"]}
    return report


@pytest.mark.slow
def test_session_of_a_synthetic_competition_without_internet_writes_all_files_of_a_run(tmp_path):
    folders = Folders(tmp_path / "kaggle")
    text = script_of(Machine(tmp_path / "mine", token=False), "--steps", "3", "--no-internet", competition="landscapes")
    ended = folders.run(text)
    assert ended.returncode == 0 and "installed already" in ended.stdout, ended.stdout
    left = folders.left()
    report = read_report(left)
    inside, submissions = "checkpoints/landscapes/a/", "submissions/landscapes/"
    names = {inside + name for name in ("run.toml", "history.csv", "best.npz", "holdout.npz", "test.npz", "score.json")}
    assert names | {submissions + "a.csv", submissions + "a.holdout.csv"} <= set(report["files"])
    assert (report["step"], report["finished"], report["failed"], report["tag"]) == (3, True, "", order_of(text)["tag"])
    assert re.search(r"RMSE on the holdout .*\n +\w+", ended.stdout) and float(report["score"]["holdout_rmse"]) > 0
    assert {name.split("/")[0] for name in left} == {"checkpoints", "submissions", "session.json"}
    sample = (folders.working.parent / "temp/home/competition/landscapes/files/sample_submission.csv").read_text().splitlines()
    sent = left[submissions + "a.csv"].decode().splitlines()
    assert [line.split(",")[0] for line in sent] == [line.split(",")[0] for line in sample]


@pytest.fixture
def server():
    with KernelServer(SLUG, TINY.archive, TINY.solution) as server:
        yield server


@pytest.fixture
def unpacked(tmp_path):
    zipfile.ZipFile(io.BytesIO(TINY.archive)).extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def arrays(path):
    with np.load(path) as archive:
        return {name: archive[name].tobytes() for name in archive.files if name != "facts"}


@pytest.mark.slow
def test_two_sessions_equal_one_training_and_the_result_is_submitted(tmp_path, server, unpacked):
    """Sent, run, brought home, continued, scored here and submitted."""
    machine = Machine(tmp_path / "mine", server)
    machine.put_archive(TINY.archive)
    for stage in ("download", "augment"):
        assert machine.run(stage, *SMALL)[0] == 0
    for number, steps in ((1, "4"), (2, "8")):
        server.states = ["RUNNING"]
        assert machine.run("kernel", *SMALL, "--steps", steps, "--follow-minutes", "0")[0] == 0
        ref = list(server.kernels)[-1]
        ended = run_session(server, ref, tmp_path / f"kaggle{number}", unpacked=unpacked)
        assert ended.returncode == 0 and read_report(server.kernels[ref].files)["step"] == int(steps), ended.stdout
        assert ("from step 4" in ended.stdout) == (number == 2)
        code, read = machine.run("kernel", *SMALL, "--steps", steps, *(["--submit"] if number == 2 else []))
        assert code == 0 and "RMSE on the holdout" in read, read
    assert len(server.pushes) == 2 and len(server.submissions) == 1 and "public" in read
    for stage in ("predict", "serialize"):
        code, read = machine.run(stage, *SMALL, "--steps", "8")
        assert code == 0, read
    assert machine.run("report", *SMALL, "--steps", "8")[0] == 0
    undisturbed = tuple(flag if flag != "a" else "b" for flag in SMALL)
    assert machine.run("train", *undisturbed, "--steps", "8")[0] == 0
    home = machine.home / "checkpoints" / CONTEST
    state, other = (next((home / run).glob("state-000000008-*.npz")) for run in ("a", "b"))
    assert arrays(state) == arrays(other) and arrays(home / "a/best.npz") == arrays(home / "b/best.npz")
    assert history(home / "a") == history(home / "b")


def history(run):
    """The rows of a run's history without the clock."""
    with open(run / "history.csv", newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name != "minutes"} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_training_stops_in_time_and_keeps_what_it_reached(tmp_path):
    folders = Folders(tmp_path / "kaggle")
    machine = Machine(tmp_path / "mine", token=False)
    text = script_of(machine, "--steps", "1000000", "--kernel-hours", "0.03", competition="landscapes")
    ended = folders.run(text)
    report = read_report(folders.left())
    assert ended.returncode == 0 and "time is up" in ended.stdout
    assert 0 < report["step"] < 1_000_000 and report["finished"] is False and "submissions/landscapes/a.csv" in report["files"]


@pytest.mark.slow
def test_session_without_time_for_anything_fails(tmp_path, unpacked):
    text = script_of(Machine(tmp_path / "mine", token=False), "--steps", "10", "--kernel-hours", "0.01")
    folders = Folders(tmp_path / "kaggle")
    unpacked.rename(folders.input / SLUG)
    ended = folders.run(text.replace('"hours": 0.01', '"hours": 0.0'))
    assert ended.returncode == 1 and "--kernel-hours" in ended.stdout and "Traceback" not in ended.stdout


@pytest.mark.slow
def test_training_that_fails_before_its_first_state_is_no_lack_of_time(tmp_path, unpacked):
    text = script_of(Machine(tmp_path / "mine", token=False), "--steps", "10")
    folders = Folders(tmp_path / "kaggle")
    unpacked.rename(folders.input / SLUG)
    ended = folders.run(text.replace('"flags": [', '"flags": ["--init-from", "nobody", '))
    assert ended.returncode == 1 and "nobody" in ended.stdout and "The stage train failed" in ended.stdout
    assert "--kernel-hours" not in ended.stdout and "Traceback" not in ended.stdout


def test_session_without_its_wheels_ends_at_once(tmp_path):
    """The machine that sent it has reported the missing wheels and stopped, so the session must end by itself."""
    kernel_main.check_wheels("", tmp_path)
    for attached in ("wheels", "datasets/someone/other"):
        (tmp_path / attached / "input").mkdir(parents=True)
    kernel_main.check_wheels("someone/wheels", tmp_path)
    kernel_main.check_wheels("someone/other", tmp_path)
    with pytest.raises(SystemExit, match="--wheels"):
        kernel_main.check_wheels("someone/torn", tmp_path)


@pytest.mark.slow
def test_changed_state_is_not_continued(tmp_path):
    text = script_of(Machine(tmp_path / "mine", token=False), "--steps", "4")
    text = text.replace('"previous": ""', '"previous": "0123456789abcdef"')
    ended = Folders(tmp_path / "without").run(text)
    assert ended.returncode == 1 and "no output of the previous session" in ended.stdout
    name = f"checkpoints/{CONTEST}/a/run.toml"
    folders = Folders(tmp_path / "with")
    (folders.input / "before" / name).parent.mkdir(parents=True)
    (folders.input / "before" / name).write_text("")
    (folders.input / "before/session.json").write_text(json.dumps(
        {"tag": "0123456789abcdef", "step": 2, "files": {name: {"sha256": "0", "mtime_ns": 0}}}))
    ended = folders.run(text)
    assert ended.returncode == 1 and "run.toml" in ended.stdout and "Traceback" not in ended.stdout


def environment_without(package, folder):
    """An interpreter that has all of this one's packages but one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not path.name.startswith((package, "__pycache__")):
            with contextlib.suppress(FileExistsError):
                (site / path.name).symlink_to(path)
    return folder / "bin" / "python"


def wheel_of(package, folder):
    """The installed package as the wheel it came from."""
    found = importlib.metadata.distribution(package)
    tag = re.search(r"^Tag: (.*)", found.read_text("WHEEL"), re.M)[1]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{package}-{found.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file in found.files:
            if "__pycache__" not in str(file) and not str(file).startswith(".."):
                wheel.write(file.locate(), str(file))
    return path


PIP_CASES = [("--no-internet", None, "lacks simplejpeg==1.9.0, and internet is off"),
             ("--no-internet", "input/my-wheels", "no files of"),
             ("--internet", "index", "no files of"),
             ("--internet", None, "lacks simplejpeg==1.9.0, and pip could not install it")]


@pytest.mark.slow
@pytest.mark.parametrize(("internet", "wheels", "words"), PIP_CASES)
def test_missing_package_is_installed_or_named(tmp_path, internet, wheels, words):
    """Without the competition's files a session ends right after its packages."""
    folders = Folders(tmp_path / "kaggle")
    if wheels:
        wheel_of("simplejpeg", tmp_path / "kaggle" / wheels)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "kaggle/index")} if internet == "--internet" else {}
    ended = folders.run(script_of(Machine(tmp_path / "mine", token=False), internet),
                        python=environment_without("simplejpeg", tmp_path / "venv"), environment=offline)
    assert ended.returncode == 1 and words in ended.stdout and "Traceback" not in ended.stdout, ended.stdout
    assert "Installing simplejpeg==1.9.0" in ended.stdout
