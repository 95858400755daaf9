"""Completion as a shell does it: a real bash (and zsh, where there is one) is asked what may follow on a command line."""

import os
import select
import shutil
import subprocess
import sys

import pytest
from support.stages import ROOT, stage

from pixmend import config, models
from pixmend.commands import COMMANDS, PIPELINE
from pixmend.experiments import study_plans

# What a shell does on Tab: words and place are set, the function that is registered for the command is called.
ASK = r"""
source "$1"; shift
function=$(complete -p "${1##*/}" | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
$function "$1" "${!#}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
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


def test_commands(script):
    assert completed(script, "pixmend", "") == list(COMMANDS)
    assert completed(script, "pixmend", "seri") == ["serialize"]


def test_names_of_studies(script):
    assert completed(script, "pixmend", "study", "") == list(study_plans.PLANS)
    assert completed(script, "pixmend", "study", "lo") == ["losses"]
    assert completed(script, "pixmend", "study", "losses", "--opt") == ["--optimizer"]


@pytest.mark.parametrize("command", [("pixmend", "train"), ("./run_pipeline.sh",)])
def test_flags_and_their_values(script, command):
    flags = completed(script, *command, "--")
    assert {config.flag(name) for name, spec in config.SETTINGS.items() if spec.group in PIPELINE} <= set(flags)
    assert "--trials" not in flags and "--contest" not in flags
    assert completed(script, *command, "--lam") == ["--lambda"]
    assert set(completed(script, *command, "--quiet", "")) == set(flags)
    assert completed(script, *command, "--model", "") == models.list_models()
    assert completed(script, *command, "--competition", "pho") == ["photo_reconstruction"]
    for typed in (("--augment", ""), ("--augment", "="), ("--augment", "=", "")):
        assert completed(script, *command, *typed) == ["none", "5x", "8x"]
    assert completed(script, *command, "--tta", "") == ["1", "8"]
    assert completed(script, *command, "--steps", "") == completed(script, *command, "--message", "") == []


def test_runs_are_those_on_the_disk(script, tmp_path):
    for run in ("demo/pix2pix", "demo/smooth", "demo/ring", "photo_reconstruction/big"):
        (tmp_path / "checkpoints" / run).mkdir(parents=True)
    ask = ("pixmend", "score", "--home", str(tmp_path))
    for naming_one in ("--run", "--init-from", "--mask-run"):
        assert completed(script, *ask, naming_one, "") == ["pix2pix", "ring", "smooth"]
    assert completed(script, *ask, "--competition", "photo_reconstruction", "--run", "") == ["big"]
    assert completed(script, *ask, "--competition", "=", "photo_reconstruction", "--run", "=", "b") == ["big"]
    assert completed(script, *ask, "--members", "smooth,r") == ["smooth,ring"]


def test_a_folders_name_is_never_run(script, tmp_path):
    for name in ("$(touch${IFS}made)", "`touch made`", "fine@2"):
        (tmp_path / "checkpoints/demo" / name).mkdir(parents=True)
    for typed in (("--run", ""), ("--members", "a,")):
        assert completed(script, "pixmend", "score", "--home", str(tmp_path), *typed, cwd=tmp_path)[-1].endswith("fine@2")
    assert not (tmp_path / "made").exists()


def test_script_can_be_sourced_twice(script, tmp_path):
    twice = tmp_path / "twice.sh"
    twice.write_text(2 * script.read_text())
    assert completed(twice, "pixmend", "dow") == ["download"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed here")
def test_zsh_takes_the_script_and_completes_at_its_prompt(script, tmp_path):
    """Typed into a zsh on a terminal of its own: Tab, then Return, and the completed words are echoed."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(shutil.which("zsh"), ["zsh", "-f"], {**os.environ, "HOME": str(tmp_path), "TERM": "dumb", "PS1": "% "})
    os.write(terminal, f"source {script}; pixmend() {{ print -r said $*; }}; print re''ady\n".encode())
    read = _until(terminal, b"ready\r\n")
    os.write(terminal, b"pixmend downl\t--mod\tpix2p\t\n")
    read += _until(terminal, b"\r\nsaid download --model pix2pix")
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
