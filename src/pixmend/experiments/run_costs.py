"""What a run cost: minutes and steps of training, the size of its weights, and the machine."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pixmend import processor, run_file, workers
from pixmend.training import checkpoints
from pixmend.training.history import History

UNKNOWN: dict[str, Any] = dict.fromkeys(("minutes", "steps", "best_step", "learning_rate", "parameters", "bytes"))


def measure_run_costs(folder: Path) -> dict[str, Any]:
    """Return what the files of a run tell of its costs; None for what a model that is not trained does not have."""
    rows, weights, costs = History(folder / "history.csv").rows, checkpoints.get_weights_path(folder), dict(UNKNOWN)
    if rows:
        costs |= {"minutes": float(rows[-1]["minutes"]), "steps": int(rows[-1]["step"]),
                  "learning_rate": (run_file.read_trained(folder) or {}).get("learning_rate")}
    if weights.exists():
        with checkpoints.open_checkpoint(weights) as (archive, metadata):
            arrays = (archive[name] for name in archive.files if name != "facts")   # one in memory at a time
            costs |= {"parameters": sum(array.size for array in arrays if array.dtype.kind == "f"),
                      "bytes": weights.stat().st_size, "best_step": metadata["step"]}
    return costs


def describe_hardware() -> str:
    """Return the processor, its cores, and the accelerators that the backend uses."""
    keras = sys.modules.get("keras")
    devices = Counter(device.split(":")[0] for device in (keras.distribution.list_devices() if keras else ()))
    others = [f"{count} {kind.upper()}" for kind, count in devices.items() if kind != "cpu"]
    return ", ".join([f"{workers.count_cores()} cores ({describe_processor()})", *others])


def describe_processor() -> str:
    """Return the processor's name, and AMX if it multiplies matrices in bfloat16, on which the speed of training depends."""
    return f"{processor.get_name()}, AMX" if processor.supports("amx_bf16") else processor.get_name()
