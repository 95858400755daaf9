"""The processor of this machine: its name and what it can compute."""

import platform
from pathlib import Path

CPU_FILE = Path("/proc/cpuinfo")   # of Linux


def read_lines() -> list[str]:
    """Return the lines of the file that describes the processors; none on macOS."""
    return CPU_FILE.read_text(encoding="utf-8").splitlines() if CPU_FILE.exists() else []


def get_name() -> str:
    return next((line.split(":")[1].strip() for line in read_lines() if line.startswith("model name")), platform.machine())


def supports(feature: str) -> bool:
    """Tell whether the processor has a feature, such as amx_bf16."""
    return any(feature in line.split() for line in read_lines() if line.startswith(("flags", "Features")))
