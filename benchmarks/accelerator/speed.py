"""How fast a compiled step runs, its share of the device's bfloat16 peak, and what its time is spent on.

FLOPs are those of the matrix products and convolutions of one step as it is written, two for a multiplication and an addition;
XLA's own count is 0 on a GPU. Times are medians of blocks of steps.
"""

import math
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import keras

PEAK_FLOPS = {"H100": 989e12, "H200": 989e12}   # dense bfloat16, operations per second
KERNEL_GROUPS = (
    ("attention", ("fmha", "flash", "attention")),
    ("convolutions", ("convolve", "conv2d", "dgrad", "wgrad", "fprop")),
    ("matrix products", ("gemm", "xmma", "nvjet", "cutlass", "matmul", "dot")),
    ("reductions", ("reduce",)),
    ("layout changes", ("transpose", "copy", "nchw", "nhwc", "memcpy", "memset")))   # the name contains one of the words
OTHER_KERNELS = "element by element"


def get_peak_flops() -> float | None:
    device = jax.devices()[0].device_kind
    for name, flops in PEAK_FLOPS.items():
        if name in device:
            return flops
    return None


def measure_speed(call: Callable[[], Any], flops: float, samples: int, blocks: int = 5) -> dict[str, float]:
    """Return seconds per call, samples per second and the share of the peak; the first call is not counted."""
    jax.block_until_ready(call())
    durations = []
    for _ in range(blocks):
        start = time.perf_counter()
        jax.block_until_ready(call())
        durations.append(time.perf_counter() - start)
    seconds, peak = statistics.median(durations), get_peak_flops()
    speed = {"seconds": seconds, "samples_per_s": samples / seconds, "tflops_per_s": flops / seconds / 1e12}
    return speed | {"share_of_peak": flops / seconds / peak} if peak else speed


def count_flops(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the FLOPs of one call; attention is counted as plain products."""
    keras.config.disable_flash_attention()
    try:
        return count_jaxpr_flops(jax.make_jaxpr(function)(*arguments).jaxpr)
    finally:
        keras.config.enable_flash_attention()


def count_jaxpr_flops(jaxpr: Any) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        repetitions = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        inner = sum(count_jaxpr_flops(inner) for inner in list_inner_jaxprs(equation))
        total += repetitions * inner + count_equation_flops(equation)
    return total


def list_inner_jaxprs(equation: Any) -> Iterator[Any]:
    """Yield the programs that an equation calls."""
    def is_jaxpr(value: Any) -> bool:
        return hasattr(value, "eqns") or hasattr(value, "jaxpr")

    for value in jax.tree.leaves(list(equation.params.values()), is_leaf=is_jaxpr):
        jaxpr = getattr(value, "jaxpr", value)
        if hasattr(jaxpr, "eqns"):
            yield jaxpr


def count_equation_flops(equation: Any) -> float:
    """Return the FLOPs of a matrix product, or of a convolution without its inserted zeros; 0 for anything else."""
    name, output = equation.primitive.name, equation.outvars[0].aval
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2.0 * output.size * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        filters = equation.invars[1].aval
        output_channels = filters.shape[equation.params["dimension_numbers"].rhs_spec[0]]
        return float(2.0 * output.size * filters.size / output_channels / math.prod(equation.params["lhs_dilation"]))
    return 0.0


def profile_call(call: Callable[[], Any]) -> dict[str, Any]:
    """Return the shares of the device's busy time by kind of kernel, the busy share, and the longest kernels."""
    jax.block_until_ready(call())
    with tempfile.TemporaryDirectory() as folder:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = options.host_tracer_level = 0   # reading their events took two minutes
        with jax.profiler.trace(folder, profiler_options=options):
            start = time.perf_counter()
            jax.block_until_ready(call())
            elapsed = time.perf_counter() - start
        paths = list(Path(folder).rglob("*.xplane.pb"))
        return summarize_kernels(read_kernel_seconds(paths[0]), elapsed) if paths else {}


def read_kernel_seconds(path: Path) -> Counter[str]:
    """Return the seconds of each kernel on the streams of the device."""
    seconds: Counter[str] = Counter()
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        if not plane.name.startswith("/device:GPU"):
            continue
        for line in plane.lines:
            if line.name.startswith("Stream"):
                for event in line.events:
                    seconds[event.name] += event.duration_ns / 1e9
    return seconds


def summarize_kernels(seconds: Counter[str], elapsed: float) -> dict[str, Any]:
    busy, groups = sum(seconds.values()), Counter[str]()
    for name, value in seconds.items():
        groups[find_kernel_group(name)] += value
    return {"wall_seconds": elapsed, "busy_share": busy / elapsed,
            "shares": {group: value / busy for group, value in groups.most_common()},
            "longest": {name[:90]: value / busy for name, value in seconds.most_common(12)}}


def find_kernel_group(name: str) -> str:
    for group, words in KERNEL_GROUPS:
        if any(word in name.lower() for word in words):
            return group
    return OTHER_KERNELS
