"""How fast a compiled step runs, which share of the device's bfloat16 peak that is, and what its time goes to.

FLOPs are those of the matrix products and convolutions of one step as it is written, two for a multiplication and an addition;
what XLA itself counts is 0 on a GPU. Times are medians of blocks of steps.
"""

import math
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

import jax
import keras

PEAK = {"H100": 989e12, "H200": 989e12}   # dense bfloat16, operations a second
GROUPS = (("attention", ("fmha", "flash", "attention")), ("convolutions", ("convolve", "conv2d", "dgrad", "wgrad", "fprop")),
          ("matrix products", ("gemm", "xmma", "nvjet", "cutlass", "matmul", "dot")), ("reductions", ("reduce",)),
          ("layout changes", ("transpose", "copy", "nchw", "nhwc", "memcpy", "memset")))


def peak():
    kind = jax.devices()[0].device_kind
    return next((rate for name, rate in PEAK.items() if name in kind), None)


def measure(call, flops, samples, blocks=5):
    """Seconds a call, samples a second and share of the peak; the first call is not counted."""
    jax.block_until_ready(call())
    taken = []
    for _ in range(blocks):
        begun = time.perf_counter()
        jax.block_until_ready(call())
        taken.append(time.perf_counter() - begun)
    seconds = statistics.median(taken)
    told = {"seconds": seconds, "samples_per_s": samples / seconds, "tflops_per_s": flops / seconds / 1e12}
    return told | ({"share_of_peak": flops / seconds / peak()} if peak() else {})


def flops_of(function, *given):
    """FLOPs of one call; attention is counted as plain products."""
    keras.config.disable_flash_attention()
    try:
        return counted(jax.make_jaxpr(function)(*given).jaxpr)
    finally:
        keras.config.enable_flash_attention()


def counted(jaxpr):
    total = 0.0
    for equation in jaxpr.eqns:
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        total += times * sum(counted(inner) for inner in inner_of(equation)) + own_flops(equation)
    return total


def inner_of(equation):
    """The programs that an equation calls."""
    for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda value: hasattr(value, "eqns") or hasattr(value, "jaxpr")):
        inner = getattr(value, "jaxpr", value)
        if hasattr(inner, "eqns"):
            yield inner


def own_flops(equation):
    """Of a matrix product or a convolution, whose inserted zeros are not multiplied; of anything else none."""
    name, out = equation.primitive.name, equation.outvars[0].aval
    if name == "dot_general":
        (joined, _), _ = equation.params["dimension_numbers"]
        return 2.0 * out.size * math.prod(equation.invars[0].aval.shape[place] for place in joined)
    if name == "conv_general_dilated":
        filters = equation.invars[1].aval
        outputs = filters.shape[equation.params["dimension_numbers"].rhs_spec[0]]
        return 2.0 * out.size * filters.size / outputs / math.prod(equation.params["lhs_dilation"])
    return 0.0


def profile(call):
    """Shares of the device's busy time by kind of kernel, the busy share, and the longest kernels."""
    jax.block_until_ready(call())
    with tempfile.TemporaryDirectory() as folder:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = options.host_tracer_level = 0   # what they note took two minutes to read
        with jax.profiler.trace(folder, profiler_options=options):
            begun = time.perf_counter()
            jax.block_until_ready(call())
            passed = time.perf_counter() - begun
        paths = list(Path(folder).rglob("*.xplane.pb"))
        return summary(kernels(paths[0]), passed) if paths else {}


def kernels(path):
    """Seconds by kernel name on the device's streams."""
    seconds = Counter()
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        for line in plane.lines if plane.name.startswith("/device:GPU") else ():
            for event in line.events if line.name.startswith("Stream") else ():
                seconds[event.name] += event.duration_ns / 1e9
    return seconds


def summary(seconds, passed):
    busy, groups = sum(seconds.values()), Counter()
    for name, value in seconds.items():
        group = next((group for group, words in GROUPS if any(word in name.lower() for word in words)), "element by element")
        groups[group] += value
    return {"wall_seconds": passed, "busy_share": busy / passed,
            "shares": {group: value / busy for group, value in groups.most_common()},
            "longest": {name[:90]: value / busy for name, value in seconds.most_common(12)}}
