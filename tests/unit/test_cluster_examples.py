"""The job scripts in examples/ and their page: each is valid, shows where to adapt it, and the page shows its commands."""

import re
import shlex
import subprocess

import pytest
import yaml
from support.stages import ROOT

from pixmend.cli import read_settings
from pixmend.commands import COMMANDS
from pixmend.errors import Preempted
from pixmend.training.distributed import resolve_processes

SCRIPTS = sorted((ROOT / "examples/slurm").glob("*.sbatch"))
PAGE = (ROOT / "docs/clusters.md").read_text()


def find_page_commands():
    return re.findall(r"^(?:sbatch|bash) examples/slurm/.*$", PAGE, re.M)


def test_the_page_shows_each_script_with_the_command_in_its_head():
    commands = [re.search(r"^#     ((?:sbatch|bash) examples/slurm/.*)$", path.read_text(), re.M)[1] for path in SCRIPTS]
    assert sorted(find_page_commands()) == sorted(commands) and len(commands) == 3
    assert set(re.findall(r"examples/slurm/\w+\.sbatch", PAGE)) == {str(path.relative_to(ROOT)) for path in SCRIPTS}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_valid_and_marks_at_most_three_places_to_adapt(path):
    assert subprocess.run(["bash", "-n", path], capture_output=True, text=True).stderr == ""
    text = path.read_text()
    assert 2 <= len(re.findall(r"^# SITE: ", text, re.M)) <= 3
    assert re.findall(r'"\$code" -eq (\d+)', text) == [str(Preempted.exit_code)]
    assert {"--requeue", "--open-mode=append", "--signal=USR1@120"} <= set(re.findall(r"^#SBATCH (\S+)", text, re.M))


@pytest.mark.parametrize("command", find_page_commands())
def test_the_flags_of_a_command_are_accepted(command, tmp_path):
    _, script, *flags = shlex.split(command)
    stage = {"train": "train", "sweep": "sweep", "journey": "configure"}[re.search(r"(\w+)\.sbatch", script)[1]]
    read_settings(stage, [*flags, "--home", str(tmp_path)])


def test_the_stages_of_the_journey_are_those_of_the_pipeline_up_to_the_score():
    pipeline = re.findall(r"^pixmend (\w+)\s+--config", (ROOT / "run_pipeline.sh").read_text(), re.M)
    journey = re.findall(r"^    run_stage (\w+)$", (ROOT / "examples/slurm/journey.sbatch").read_text(), re.M)
    assert journey == pipeline[:len(journey)] and journey[-1] == "score" and set(journey) <= set(COMMANDS)


def test_the_page_names_the_exit_code_of_a_preempted_run():
    codes = dict(re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.M))
    assert "taken away" in codes[str(Preempted.exit_code)] and {"0", "1", "2", "130"} <= set(codes)


def test_the_pods_of_the_kubernetes_job_train_one_run_together(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    service, job = yaml.safe_load_all((ROOT / "examples/kubernetes/train.yaml").read_text())
    pod, name = job["spec"]["template"]["spec"], job["metadata"]["name"]
    container, = pod["containers"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    settings = read_settings("train", [*container["command"][2:], "--home", str(tmp_path)])
    tasks = [resolve_processes(settings, variables | {"KERAS_DISTRIBUTION_PROCESS_ID": str(number)})
             for number in range(job["spec"]["completions"])]
    assert [task.process for task in tasks] == [0, 1] and {task.of_processes for task in tasks} == {job["spec"]["parallelism"]}
    assert {task.processes for task in tasks} == {f"{name}-0.{service['metadata']['name']}:9911"}   # the name of pod 0
    assert pod["subdomain"] == service["metadata"]["name"]
    codes = [rule["onExitCodes"]["values"] for rule in job["spec"]["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert codes == [[Preempted.exit_code]] and pod["restartPolicy"] == "Never"   # which podFailurePolicy requires
