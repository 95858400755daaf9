"""Kaggle's kernels as the `kaggle` command sees them: pushes are kept, and run here in Kaggle's folders where a test says so."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from support.kaggle_server import DATE, KaggleServer, Refused

DENIED = "Permission 'kernels.get' was denied"
A_PAGE = 3  # files of an output that one answer lists, whatever was asked for


@dataclass
class Kernel:
    """One kernel: every version that was pushed, how its newest session stands, and what that left."""

    versions: list = field(default_factory=list)
    states: list = field(default_factory=lambda: ["COMPLETE"])  # as looked at; the last one stays
    failure: str = ""
    files: dict = field(default_factory=dict)
    log: str = ""


@dataclass
class KernelServer(KaggleServer):
    """The competition's server with kernels; `kernels` are listed by owner/name."""

    kernels: dict = field(default_factory=dict)
    states: list = field(default_factory=lambda: ["COMPLETE"])
    refusal: str = ""
    gpu_hours: float = 30  # left of 30 this week
    lines: list = field(default_factory=list)  # of every session's output as it runs; 404 where there are none
    not_attached: dict = field(default_factory=dict)  # sources that it does not attach to a push, as its answer names them

    def SaveKernel(self, asked):
        ref = asked["slug"]
        if self.refusal:
            return {"error": self.refusal}
        kernel = self.kernels.setdefault(ref, Kernel(states=list(self.states)))
        kernel.versions.append(asked)
        return {"ref": f"/code/{ref}", "url": f"https://www.kaggle.com/code/{ref}", "versionNumber": len(kernel.versions),
                **self.not_attached}

    def GetKernel(self, asked):
        ref, kernel = self.found(asked)
        return {"metadata": {"ref": ref, "title": ref, "slug": ref.split("/")[1], "currentVersionNumber": len(kernel.versions)},
                "blob": {"source": kernel.versions[-1]["text"], "language": "python", "kernelType": "script",
                         "slug": ref.split("/")[1]}}

    def GetKernelSessionStatus(self, asked):
        kernel = self.found(asked)[1]
        state = kernel.states.pop(0) if len(kernel.states) > 1 else kernel.states[0]
        return {"status": state, **({"failureMessage": kernel.failure} if kernel.failure else {})}

    def ListKernelSessionOutput(self, asked):
        ref, kernel = self.found(asked)
        start = int(asked.get("pageToken") or 0)
        names = sorted(kernel.files)
        more = {"nextPageToken": str(start + A_PAGE)} if start + A_PAGE < len(names) else {}
        listed = [{"fileName": name, "url": f"http://localhost/output/{ref}/{name}"} for name in names[start:start + A_PAGE]]
        return {"files": listed, "log": kernel.log, **more}

    def GetAcceleratorQuotaStatistics(self, asked):
        used = {"timeUsed": f"{int(3600 * (30 - self.gpu_hours))}s", "totalTimeAllowed": "108000s"}
        return {"quotaRefreshTime": "2026-12-05T00:00:00.000Z", "gpuQuota": used, "tpuQuota": used | {"timeUsed": "0s"}}

    def log_lines(self, ref):
        if not self.lines or ref not in self.kernels:
            return super().log_lines(ref)
        return self.lines

    def found(self, asked):
        ref = f"{asked['userName']}/{asked['kernelSlug']}"
        if ref not in self.kernels:
            raise Refused(403, DENIED)
        return ref, self.kernels[ref]

    def output_file(self, name):
        owner, slug, path = name.split("/", 2)
        return self.kernels[f"{owner}/{slug}"].files[path]

    @property
    def pushes(self):
        return [version for kernel in self.kernels.values() for version in kernel.versions]


class Folders:
    """Kaggle's folders on this machine: /kaggle/input, read-only by custom, and /kaggle/working."""

    def __init__(self, folder):
        self.input, self.working = folder / "input", folder / "working"
        self.input.mkdir(parents=True)
        self.working.mkdir()

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAGGLE", "LAMBDA", "PIP"))}
        return kept | {"KAGGLE_WORKING_DIR": str(self.working), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def run(self, text, python=sys.executable, environment=None):
        """A session of a script: exit code and log."""
        script = self.working.parent / "src" / "script.py"
        script.parent.mkdir()
        script.write_text(text)
        return subprocess.run([str(python), str(script)], cwd=self.working, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env=self.environment() | (environment or {}), timeout=600)

    def left(self):
        """What Kaggle keeps: the files of working, by their names."""
        return {str(path.relative_to(self.working)): path.read_bytes() for path in self.working.rglob("*")
                if path.is_file() and not path.is_symlink()}


def run_session(server, ref, folder, *, unpacked=None, **options):
    """Run the newest version of a kernel as Kaggle would, with what it names attached, and keep status, log and output."""
    kernel, folders = server.kernels[ref], Folders(Path(folder))
    asked = kernel.versions[-1]
    for slug in asked.get("competitionDataSources", []):
        shutil.copytree(unpacked, folders.input / slug)
    for source in asked.get("kernelDataSources", []):
        for name, data in server.kernels[source].files.items():
            path = folders.input / source.split("/")[1] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    ended = folders.run(asked["text"], **options)
    kernel.log = json.dumps([{"stream_name": "stdout", "time": 1.0, "data": line} for line in ended.stdout.splitlines(True)])
    kernel.states = ["COMPLETE" if ended.returncode == 0 else "ERROR"]
    kernel.files = folders.left()
    return ended


def order_of(text):
    return json.loads(re.search(r"^ORDER = json.loads\('(.*)'\)$", text, re.M)[1])


__all__ = ["DATE", "Folders", "Kernel", "KernelServer", "order_of", "run_session"]
