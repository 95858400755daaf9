"""The job scripts of examples/slurm on a real Slurm, at toy size: preempted, requeued and killed jobs end as undisturbed ones."""

import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support import slurm
from support.crashes import newest_state
from support.stages import JAX, ROOT, SMALL, done, stage_process

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(bool(slurm.find_missing()), reason=slurm.find_missing())]
CNN = (*SMALL, "--model", "cnn", "--precision", "float32", "--steps", "120", "--run", "a")
TINY = ("--model", "pix2pix_published", "--size", "32", "--width", "1", "--levels", "2", "--batch-size", "1",
        "--evaluation-images", "2", "--precision", "float32")
SWEEP = (*TINY, "--steps", "24", "--evaluate-every", "4", "--save-minutes", "0", "--no-prune", "--lambda", "1,2,3,4,5,6")
JOURNEY = (*TINY, "--steps", "4", "--evaluate-every", "2", "--run", "j")


@pytest.fixture(scope="module")
def cluster():
    with slurm.start_cluster() as cluster:
        yield cluster


def adapt(name, folder, home):
    """Write a script of the examples with this site's lines in place of those that are marked, and return its path."""
    site = {"#SBATCH --gres": "", "cpu_job=": "cpu_job=(--cpus-per-task=1)\ngpu_job=(--cpus-per-task=1)\n",
            "source ": f'export PATH="{Path(sys.executable).parent}:$PATH"\nexport PIXMEND_HOME="{home}"\n'}

    def replace(marked):
        return next(lines for start, lines in site.items() if marked[1].startswith(start))

    text = (ROOT / "examples/slurm" / name).read_text()
    path = folder / name
    path.write_text(re.sub(r"^# SITE: .*\n((?:(?!# SITE|set -|$).*\n)+)", replace, text, flags=re.M))
    assert "SITE" not in path.read_text()
    return path


def submit(cluster, script, *words):
    return cluster.run("sbatch", "--parsable", *words[:1], script, *words[1:])


def count_evaluations(home):
    path = home / "checkpoints/demo/a/history.csv"
    return len(path.read_text().splitlines()) if path.exists() else 0


def preempt(cluster, job, home, number, restarts):
    """Send a signal to a job that has made another evaluation, and wait until the job was requeued."""
    before = count_evaluations(home)
    while count_evaluations(home) <= before:
        assert cluster.read_job(job)["JobState"] in slurm.UNFINISHED
        time.sleep(0.05)
    cluster.run("scancel", f"--signal={number}", job)
    while cluster.read_job(job)["Restarts"] != str(restarts):
        assert cluster.read_job(job)["JobState"] in slurm.UNFINISHED
        time.sleep(0.05)


def read_weights(home):
    with np.load(max((home / "checkpoints/demo/a").glob("state-*.npz"))) as archive:
        return [archive[name].astype(np.float64) for name in archive.files if name.startswith("model/")]


def test_two_tasks_that_are_preempted_three_times_end_with_the_bits_of_an_undisturbed_job(cluster, home, tmp_path):
    undisturbed, alone = (shutil.copytree(home, tmp_path / name) for name in ("undisturbed", "alone"))
    job = submit(cluster, adapt("train.sbatch", tmp_path, undisturbed), "--cpus-per-task=4", *CNN)
    assert cluster.wait_for_end(job) == ("COMPLETED", "0:0")
    printed = (cluster.folder / f"pixmend-train-{job}.log").read_text()
    assert "2 connects to the others through Slurm" in printed and printed.count("step 120.") == 1

    job = submit(cluster, adapt("train.sbatch", tmp_path, home), "--cpus-per-task=4", *CNN)
    for restarts, number in enumerate(("USR1", "TERM", "USR1"), 1):
        preempt(cluster, job, home, number, restarts)
    assert cluster.wait_for_end(job) == ("COMPLETED", "0:0")
    printed = (cluster.folder / f"pixmend-train-{job}.log").read_text()
    assert printed.count("continues from here") == 3 and "Traceback" not in printed
    run = Path("checkpoints/demo/a")
    assert newest_state(home / run) == newest_state(undisturbed / run)

    done(stage_process("train", alone, *CNN, env=JAX))
    differences = [np.abs(left - right).max() for left, right in zip(read_weights(home), read_weights(alone), strict=True)]
    assert max(differences) < 1e-3   # of 120 steps, whose sums are rounded in another order


def test_an_array_of_four_shares_a_sweep_on_a_journal_while_two_of_its_tasks_are_killed(cluster, home, tmp_path):
    script = adapt("sweep.sbatch", tmp_path, home)
    job = cluster.run("sbatch", "--parsable", "--array=0-3", "--cpus-per-task=1", script, *SWEEP)
    logs = [cluster.folder / f"pixmend-sweep-{job}_{task}.log" for task in range(4)]
    for task in range(2):
        while not (logs[task].exists() and re.search(r"trial \d of 6:", logs[task].read_text())):
            assert cluster.read_job(f"{job}_{task}")["JobState"] in slurm.UNFINISHED
            time.sleep(0.05)
        cluster.kill(f"{job}_{task}")
    assert [cluster.wait_for_end(f"{job}_{task}")[0] for task in range(4)] == ["FAILED", "FAILED", "COMPLETED", "COMPLETED"]
    assert (home / "journal/journal.log").exists() and not list((home / "checkpoints/demo").glob("*.db"))
    table = logs[3].read_text()
    assert sorted(re.findall(r"--lambda (\d) +done at step", table, re.M)) == ["1", "2", "3", "4", "5", "6"], table
    assert len(list((home / "checkpoints/demo").glob("pix2pix_published-*/best.npz"))) == 6


def test_the_journey_makes_a_submission_in_three_jobs_that_wait_for_each_other(cluster, tmp_path):
    home = tmp_path / "home"
    printed = cluster.run("bash", adapt("journey.sbatch", tmp_path, home), *JOURNEY)
    jobs = re.search(r"prepare (\d+), train (\d+), finish (\d+)", printed).groups()
    assert [cluster.wait_for_end(job) for job in jobs] == 3 * [("COMPLETED", "0:0")]
    assert (home / "submissions/demo/j.csv").stat().st_size > 0
    assert "holdout" in (cluster.folder / f"pixmend-finish-{jobs[2]}.log").read_text()
