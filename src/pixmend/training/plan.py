"""Estimate how fast a run would train on several devices, from real steps that are measured on one device here.

The model is data parallelism with one task for each device, all of them like this one. With N devices each computes its share of
--batch-size, so a step takes

    max(compute(batch / N) + 2 (N - 1) / N * bytes of the gradients / --bandwidth, load(batch / N))

where compute and load are the measured times of training and of preparing a batch of that size, which overlap. The second term is
a ring's all-reduce. Evaluations, saving and waiting for the slowest task are left out. The last line of a plan says how near two
real processes came to this model when the benchmark `scaling` measured them.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pixmend import backend, models
from pixmend.config import UNLIMITED_STEPS, Settings
from pixmend.data import dataset as datasets
from pixmend.errors import FlagError, UserError
from pixmend.progress import format_size
from pixmend.training import run

WARM_UP = 2      # steps, of which the first one is compiled
SECONDS = 2.0    # of measuring for each batch size, but at least one step
GIGABIT = 1e9 / 8   # bytes
FLOAT_BYTES = 4
MEASURED_EFFICIENCY = 0.69   # of two processes that share a machine: the row `scaling` of benchmarks/results/SPEED.md


@dataclass(frozen=True)
class Estimate:
    """What one number of devices would do; seconds are those of one step."""

    devices: int
    images: int          # of a step on each device
    compute: float
    all_reduce: float
    load: float
    memory: int          # bytes that were used on the device, or on a CPU by the process, when this batch size was measured

    @property
    def seconds(self) -> float:
        return max(self.compute + self.all_reduce, self.load)

    @property
    def limit(self) -> str:
        """Return what takes most of a step."""
        if self.load >= self.compute + self.all_reduce:
            return "input"
        return "network" if self.all_reduce > self.compute else "computing"


def list_device_numbers(settings: Settings) -> list[int]:
    """Return 1, 2, 4 and so on up to --devices, as far as they divide the batch."""
    numbers = [2**power for power in range(settings.devices.bit_length())]
    return [number for number in numbers if settings.batch_size % number == 0]


def plan_run(settings: Settings) -> tuple[Settings, list[Estimate]]:
    """Measure steps of a run with the share of each number of devices; return its settings and the estimates.

    Numbers of devices whose share does not fit into the memory of this one are left out.
    """
    settings = models.apply_model_defaults(settings)
    check_plan(settings)
    dataset = datasets.open_dataset(settings)
    run.check_settings(settings, dataset)
    masks = run.prepare_data(settings, dataset)
    backend.start_keras()
    from pixmend.training import setup, trainer

    settings = setup.resolve_precision(settings)
    _, view = next(dataset.views())
    model = setup.build_trainable(settings)
    trainer.compile_model(model, settings)
    estimates = measure_shares(settings, model, lambda share: run.make_batches(share, view, masks))
    if not estimates:
        raise UserError(f"Even the smallest share of --batch-size {settings.batch_size} does not fit into the memory of this "
                        "device. Choose a smaller --batch-size or more --devices.")
    return settings, estimates


def check_plan(settings: Settings) -> None:
    if not models.is_trainable(settings.model):
        raise UserError(f"--model {settings.model} is not trained, so there is nothing to plan. Choose a network with --model.")
    if settings.batch_size == 0:
        raise FlagError("A plan needs a number for --batch-size, which the devices share.")


def measure_shares(settings: Settings, model: Any, make_batches: Callable[[Settings], Any]) -> list[Estimate]:
    """Return an estimate for each number of devices whose share fits into the memory of this one."""
    from pixmend.training import batch_size

    gradients = FLOAT_BYTES * sum(math.prod(variable.shape) for variable in model.trainable_variables)
    estimates: list[Estimate] = []
    for devices in reversed(list_device_numbers(settings)):   # the smallest share first, since a peak of memory never falls
        share = replace(settings, batch_size=settings.batch_size // devices)
        try:
            compute, load = measure_steps(model, make_batches(share))
        except Exception as error:
            if not backend.is_out_of_memory(error):
                raise
            break
        all_reduce = 2 * (devices - 1) / devices * gradients / (settings.bandwidth * GIGABIT)
        memory = backend.get_peak_device_memory() or batch_size.get_peak_memory()
        estimates.append(Estimate(devices, share.batch_size, compute, all_reduce, load, memory))
    return estimates[::-1]


def measure_steps(model: Any, batches: Any) -> tuple[float, float]:
    """Return the seconds of a training step, and those of preparing its batch."""
    from pixmend.training.optimizer import get_learning_rate
    from pixmend.training.steps import build_steps

    steps, rates = build_steps(model, batches), [get_learning_rate(batches.settings, 0, 0.0)]
    for step in range(WARM_UP):
        steps.run([steps.load(step)], rates)
    compute = load = 0.0
    count = 0
    while compute + load < SECONDS:
        began = time.perf_counter()
        batch = steps.load(count)
        loaded = time.perf_counter()
        steps.run([batch], rates)
        compute, load, count = compute + time.perf_counter() - loaded, load + loaded - began, count + 1
    return compute / count, load / count


def format_plan(settings: Settings, estimates: list[Estimate]) -> str:
    """Return the table of a plan and the model behind it; --minutes without --steps has no column of minutes."""
    is_limited = settings.steps < UNLIMITED_STEPS
    header = ["devices", "images each", "ms a step", "images/s", *(["minutes"] if is_limited else []), "memory", "limited by"]
    too_large = [[str(devices), str(settings.batch_size // devices), *["-"] * (len(header) - 3), "too little memory"]
                 for devices in list_device_numbers(settings) if devices < estimates[0].devices]
    rows = [header, *too_large, *(format_row(each, settings, is_limited) for each in estimates)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    steps = f"The minutes are those of {settings.steps:,} steps. " if is_limited else ""
    return "\n".join([*lines, f"{steps}Each device is one task and as fast as this one: {backend.describe_device()}.",
                      f"A step takes the measured time of a device's share of --batch-size {settings.batch_size}, and of the",
                      f"all-reduce of the gradients around a ring at --bandwidth {settings.bandwidth:g} Gbit/s; batches are",
                      "prepared meanwhile. Evaluations are left out. Memory is the peak of the device, on a CPU of the process.",
                      "Measured by `python -m benchmarks speed --rows scaling`: two real processes on one machine of two cores",
                      f"ran at {MEASURED_EFFICIENCY:.0%} of the speed that this model gives. Expect less than the table says."])


def format_row(estimate: Estimate, settings: Settings, is_limited: bool) -> list[str]:
    minutes = [f"{estimate.seconds * settings.steps / 60:.1f}"] if is_limited else []
    rate = settings.batch_size / estimate.seconds
    return [str(estimate.devices), str(estimate.images), f"{1000 * estimate.seconds:.1f}", f"{rate:.1f}", *minutes,
            format_size(estimate.memory), estimate.limit]
