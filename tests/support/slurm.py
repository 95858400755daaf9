"""A Slurm cluster of one node for tests: its three daemons in a folder of their own, on free ports, and gone afterwards."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
TIMEOUT = 60   # seconds for a daemon to start
UNFINISHED = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED")
# A requeued job waits for cred_expire, of which 5 seconds is the least. The node has more cores than this machine may have.
CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
KillWait=30
NodeName=localhost NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def find_missing():
    """Return why no cluster can be started here; empty if one can."""
    missing = [name for name in DAEMONS if not find_daemon(name)]
    return f"{', '.join(missing)} are not installed here" if missing else "" if os.geteuid() == 0 else "Slurm's daemons need root"


def find_daemon(name):
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")


def find_ports(count):
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


class Cluster:
    """Commands of a cluster, whose environment is `environment`."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}

    def run(self, *words):
        """Run a command of Slurm and return what it prints."""
        ended = subprocess.run([*map(str, words)], env=self.environment, cwd=self.folder, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def read_job(self, job):
        """Return the fields of a job, such as JobState, ExitCode and Restarts."""
        return dict(word.split("=", 1) for word in self.run("scontrol", "show", "job", "--oneliner", job).split() if "=" in word)

    def kill(self, job):
        """Kill the processes of a job's first step, as a machine does whose memory is full."""
        number = self.read_job(job)["JobId"]
        for process in re.findall(rf"^(\d+) +{number} ", self.run("scontrol", "listpids", f"{number}.0"), re.M):
            os.kill(int(process), signal.SIGKILL)

    def wait_for_end(self, job, seconds=300):
        """Wait until a job has ended, requeues included; return its state and its exit code."""
        end = time.monotonic() + seconds
        while (found := self.read_job(job))["JobState"] in UNFINISHED:
            assert time.monotonic() < end, found
            time.sleep(0.2)
        return found["JobState"], found["ExitCode"]


@contextlib.contextmanager
def start_cluster():
    """`with start_cluster() as cluster`: a cluster whose node accepts jobs."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    controller, node = find_ports(2)
    (folder / "slurm.conf").write_text(CONFIGURATION.format(folder=folder, controller=controller, node=node))
    folder.chmod(0o755)
    munge = [f"--{name}={folder}/munge.{end}" for name, end in (
        ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"))]
    cluster = Cluster(folder)
    options = {"munged": ["--foreground", "--force", *munge], "slurmctld": ["-D"], "slurmd": ["-D", "-N", "localhost"]}
    daemons = []
    try:
        for name in DAEMONS:
            log = open(folder / f"{name}.out", "wb")  # noqa: SIM115 (the daemon writes into it)
            daemons.append(subprocess.Popen([find_daemon(name), *options[name]], env=cluster.environment, stdout=log, stderr=log))
            wait_until_ready(cluster, name, daemons[-1])
        yield cluster
    finally:
        subprocess.run(["scancel", "--user", "root"], env=cluster.environment, capture_output=True)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_ready(cluster, name, daemon):
    """Wait until a daemon answers."""
    end = time.monotonic() + TIMEOUT
    while not is_ready(cluster, name):
        output = "".join(path.read_text() for path in cluster.folder.glob(f"{name}.[ol]*"))
        assert daemon.poll() is None and time.monotonic() < end, output
        time.sleep(0.1)


def is_ready(cluster, name):
    if name == "munged":
        return (cluster.folder / "munge.socket").exists()
    asked = {"slurmctld": ["scontrol", "ping"], "slurmd": ["sinfo", "--noheader", "--format=%t"]}[name]
    answer = subprocess.run(asked, env=cluster.environment, capture_output=True, text=True).stdout
    return ("UP" if name == "slurmctld" else "idle") in answer
