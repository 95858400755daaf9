"""Completion as a shell does it: a real bash (and zsh, where there is one) is asked what may follow on a command line."""

import os
import select
import shutil
import subprocess
import sys

import pytest
from support.stages import ROOT, stage

from pixmend import config, models
from pixmend.cli import names
from pixmend.experiments import study_plans

# What a shell does on Tab: words and place are set, the function that is registered for the command is called.
ASK = """
source "$1"; shift
case $(complete -p "${1##*/}") in *_python*) function=_photo_reconstruction_python ;; *) function=_photo_reconstruction ;; esac
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
$function "$1" "${!#}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "script.sh"
    path.write_text(subprocess.run([sys.executable, "-m", "pixmend", "completion"], cwd=ROOT, capture_output=True, text=True,
                                   check=True).stdout)
    return path


def completed(script, *words, cwd=ROOT):
    asked = subprocess.run(["bash", "-c", ASK, "bash", str(script), *words], cwd=cwd, capture_output=True, text=True)
    assert asked.returncode == 0 and not asked.stderr, asked.stderr
    return asked.stdout.split()


def test_stages(script):
    assert completed(script, "python", "-m", "pixmend", "") == names("stages")
    assert completed(script, ".venv/bin/python", "-m", "pixmend", "se") == ["serialize"]


def test_the_names_of_studies(script):
    assert completed(script, "python", "-m", "pixmend", "study", "") == list(study_plans.PLANS)
    assert completed(script, "python", "-m", "pixmend", "study", "lo") == ["losses"]
    assert completed(script, "python", "-m", "pixmend", "study", "losses", "--opt") == ["--optimizer"]


@pytest.mark.parametrize("command", [("python3", "-m", "pixmend", "train"), ("./run_pipeline.sh",)])
def test_flags_and_their_values(script, command):
    flags = completed(script, *command, "--")
    assert {config.flag(name) for name in config.SETTINGS} | {"--no-internet"} <= set(flags)
    assert completed(script, *command, "--lam") == ["--lambda"]
    assert set(completed(script, *command, "--quiet", "")) == set(flags)
    assert completed(script, *command, "--model", "") == models.list_models()
    assert completed(script, *command, "--competition", "pho") == ["photo_reconstruction"]
    for typed in (("--augment", ""), ("--augment", "="), ("--augment", "=", "")):
        assert completed(script, *command, *typed) == ["none", "5x", "8x"]
    assert completed(script, *command, "--tta", "") == ["1", "8"]
    assert completed(script, *command, "--steps", "") == completed(script, *command, "--solution", "") == []


def test_runs_are_those_on_the_disk(script, tmp_path):
    for run in ("demo/pix2pix", "demo/smooth", "demo/ring", "photo_reconstruction/big"):
        (tmp_path / "checkpoints" / run).mkdir(parents=True)
    ask = ("python", "-m", "pixmend", "score", "--home", str(tmp_path))
    for naming_one in ("--run", "--init-from", "--mask-run"):
        assert completed(script, *ask, naming_one, "") == ["pix2pix", "ring", "smooth"]
    assert completed(script, *ask, "--competition", "photo_reconstruction", "--run", "") == ["big"]
    assert completed(script, *ask, "--competition", "=", "photo_reconstruction", "--run", "=", "b") == ["big"]
    assert completed(script, *ask, "--members", "smooth,r") == ["smooth,ring"]


def test_other_python_commands_are_left_alone(script, tmp_path):
    assert completed(script, "python", "-m", "http") == completed(script, "python", "") == []
    assert completed(script, "python", "-m", "pixmend", "", cwd=tmp_path) == []
    before = tmp_path / "before.sh"
    before.write_text(f"_theirs() {{ COMPREPLY=(theirs); }}\ncomplete -F _theirs python\n{script.read_text()}")
    assert completed(before, "python", "-m", "http") == ["theirs"]
    assert completed(before, "python", "-m", "pixmend", "dow") == ["download"]


def test_sourced_twice_it_is_the_same(script, tmp_path):
    twice = tmp_path / "twice.sh"
    twice.write_text(2 * script.read_text())
    assert completed(twice, "python", "-m", "http") == [] and completed(twice, "python", "-m", "pixmend", "dow") == ["download"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed here")
def test_zsh_takes_the_script_and_completes_at_its_prompt(script, tmp_path):
    """Typed into a zsh on a terminal of its own: Tab, then Return, and the completed words are echoed."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(shutil.which("zsh"), ["zsh", "-f"], {**os.environ, "HOME": str(tmp_path), "TERM": "dumb", "PS1": "% "})
    os.write(terminal, f"source {script}; python() {{ print -r said $*; }}; print re''ady\n".encode())
    read = _until(terminal, b"ready\r\n")
    os.write(terminal, b"python -m pixmend downl\t--mod\tpix2p\t\n")
    read += _until(terminal, b"\r\nsaid -m pixmend download --model pix2pix")
    os.write(terminal, b"exit\n")
    os.waitpid(pid, 0)


def _until(terminal, words):
    read = b""
    while words not in read:
        assert select.select([terminal], [], [], 60)[0], read
        read += os.read(terminal, 1 << 12)
    return read


def test_the_script_is_valid_without_the_project(tmp_path):
    result = stage("completion", tmp_path)
    assert result.returncode == 0 and subprocess.run(["bash", "-n"], input=result.stdout, text=True).returncode == 0
    assert "@" not in result.stdout.replace('"$@"', "")
