"""What a run has cost: minutes and steps of training, the size of its weights, and the machine that did it."""

import json
import platform
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from pixmend import run_file, workers
from pixmend.training import checkpoints
from pixmend.training.history import History

NOTHING = dict.fromkeys(("minutes", "steps", "best_step", "learning_rate", "parameters", "bytes"))


def measure_run_costs(folder):
    """As its files tell; unknown of what learns nothing."""
    rows, weights = History(folder / "history.csv").rows, checkpoints.get_weights_path(folder)
    trained = {"minutes": float(rows[-1]["minutes"]), "steps": int(rows[-1]["step"])} if rows else {}
    if rows:
        trained["learning_rate"] = (run_file.read_trained(folder) or {})["learning_rate"]
    return NOTHING | trained | (measure_weights(weights) if weights.exists() else {})


def measure_weights(path):
    with np.load(path, allow_pickle=False) as kept:
        arrays = (kept[name] for name in kept.files if name != "facts")
        return {"parameters": sum(array.size for array in arrays if array.dtype.kind == "f"), "bytes": path.stat().st_size,
                "best_step": json.loads(kept["facts"].tobytes())["step"]}


def describe_hardware():
    """The cores, and what the backend computes on besides."""
    keras = sys.modules.get("keras")
    devices = Counter(device.split(":")[0] for device in keras.distribution.list_devices()) if keras else {}
    others = [f"{count} {kind.upper()}" for kind, count in devices.items() if kind != "cpu"]
    return ", ".join([f"{workers.count_cores()} cores ({describe_processor()})", *others])


def describe_processor():
    """Its name, and whether it multiplies matrices in bfloat16 by itself, on which the speed of training depends."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        told = []
    name = next((line.split(":")[1].strip() for line in told if line.startswith("model name")), platform.machine())
    return f"{name}, AMX" if any("amx_bf16" in line for line in told) else name
