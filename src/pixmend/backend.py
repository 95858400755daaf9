"""The one place where Keras is started and where a backend is named: its compiler, operations, devices and other processes."""

import contextlib
import glob
import importlib.util
import logging
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pixmend.errors import FlagError, UserError

BACKENDS = "tensorflow", "jax"
CUDA_PACKAGE = "jax_cuda12_plugin"
NVIDIA_DEVICES = ("/dev/nvidia[0-9]*", "/dev/dxg")   # on Linux, and on Linux inside Windows
START_SECONDS = 600      # until all processes of a run are there
HEARTBEAT_SECONDS = 30   # without a sign of life, after which a process counts as dead
END_SECONDS = 20         # for the others to end, too
JAX_CLUSTERS = {"Slurm": "slurm", "Open MPI": "ompi"}   # names of cluster detection methods; it finds TPU pods without one
BFLOAT16_SINCE = 8.0     # NVIDIA's compute capability
ALIGNED = 64             # bytes; TensorFlow uses memory that begins at a multiple of them without copying it


def start_keras(join: Callable[[], object] | None = None) -> None:
    """Import Keras on the chosen backend, before any network; `join` lets processes find each other before devices are listed."""
    os.environ["KERAS_BACKEND"] = name = get_name()
    if name not in BACKENDS:
        raise FlagError(f"KERAS_BACKEND is {name!r}; pixmend trains on {' or '.join(BACKENDS)}.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # With more, oneDNN splits its sums by whichever thread an operation happens to run on: a loaded machine then ends
    # with other bits than an idle one, and a resumed run with other bits than an undisturbed one.
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    try:
        with delay_stderr():
            keras = importlib.import_module("keras")
            # A program that uses several networks would be warned of each compilation.
            logging.getLogger("tensorflow").setLevel(logging.ERROR)
            if join:
                join()
            keras.distribution.list_devices()
    except ModuleNotFoundError as error:
        raise UserError(f"The backend {name} is not installed ({error}); `pip install {name}` in .venv, or choose "
                        f"another one with KERAS_BACKEND.") from None


def get_name() -> str:
    """Return the backend of KERAS_BACKEND; without it JAX if an NVIDIA device and JAX's CUDA packages exist, else TensorFlow."""
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    return "jax" if importlib.util.find_spec(CUDA_PACKAGE) and any(map(glob.glob, NVIDIA_DEVICES)) else "tensorflow"


def list_accelerators() -> list[str]:
    """Return the names of the backend's devices besides the CPU."""
    if get_name() == "jax":
        import jax
        return [device.device_kind for device in jax.devices() if device.platform != "cpu"]
    import tensorflow
    return [d.name for kind in ("GPU", "TPU") for d in tensorflow.config.list_physical_devices(kind)]


def describe_device() -> str:
    """Return the name of the accelerator, or that it is a CPU."""
    return (list_accelerators() or ["the CPU of this machine"])[0]


def get_peak_device_memory() -> int:
    """Return the most bytes that were used at once on an accelerator, where the backend says so; otherwise 0."""
    if get_name() != "jax":
        return 0
    import jax
    return int((jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0))


def is_on_cpu() -> bool:
    """Tell whether Keras sees no accelerator."""
    import keras
    return all(device.startswith("cpu") for device in keras.distribution.list_devices())


def supports_bfloat16() -> bool:
    """Tell whether the accelerator computes in it; NVIDIA's before Ampere only convert."""
    if get_name() != "jax":
        from tensorflow import config
        details = map(config.experimental.get_device_details, config.list_physical_devices("GPU"))
        return all(found.get("compute_capability", (BFLOAT16_SINCE,))[0] >= BFLOAT16_SINCE for found in details)
    import jax
    return float(getattr(jax.local_devices()[0], "compute_capability", BFLOAT16_SINCE)) >= BFLOAT16_SINCE


def is_tensorflow() -> bool:
    """Tell whether the backend has batch norm and Adam as one operation each; on others XLA fuses Keras's dozen."""
    return get_name() == "tensorflow"


def normalize_batch(x: Any, scale: Any, offset: Any, given: Sequence[Any] | None, epsilon: float) -> tuple[Any, Any, Any]:
    """Return images normalized by their own mean and variance, or by given ones, and the mean and the variance."""
    import tensorflow as tf
    mean, variance = given or ([], [])
    result = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=given is None)
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    return result.y, result.batch_mean, result.batch_variance * tf.maximum(count - 1, 1) / count


def apply_adam(variable: Any, momentum: Any, velocity: Any, gradient: Any, step: Any, rate: Any,
               beta_1: float, beta_2: float, epsilon: float) -> None:
    """Do a step of Adam on a variable and its two moments."""
    import tensorflow as tf
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle, m=momentum.value.handle, v=velocity.value.handle, beta1_power=beta_1**step,
        beta2_power=beta_2**step, lr=rate, beta1=beta_1, beta2=beta_2, epsilon=epsilon, grad=gradient)


def convolve_down(bigger: Any, kernel: Any) -> Any:
    """Return the convolution with stride 2; its kernel's gradient is computed as a matrix product."""
    import tensorflow as tf
    @tf.custom_gradient
    def convolved(bigger: Any, kernel: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
        def gradient(of_smaller: Any) -> tuple[Any, Any]:
            of_bigger = tf.nn.conv2d_transpose(of_smaller, kernel, tf.shape(bigger), 2, "SAME")
            return of_bigger, _kernel_gradient(bigger, of_smaller, kernel.shape)
        return tf.nn.conv2d(bigger, kernel, 2, "SAME"), gradient

    return convolved(bigger, tf.convert_to_tensor(kernel))


def convolve_up(smaller: Any, kernel: Any) -> Any:
    """Return the transposed convolution with stride 2."""
    import tensorflow as tf
    @tf.custom_gradient
    def convolved(smaller: Any, kernel: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
        def gradient(of_bigger: Any) -> tuple[Any, Any]:
            return tf.nn.conv2d(of_bigger, kernel, 2, "SAME"), _kernel_gradient(of_bigger, smaller, kernel.shape)
        count, rows, columns, _ = tf.unstack(tf.shape(smaller))
        return tf.nn.conv2d_transpose(smaller, kernel, [count, 2 * rows, 2 * columns, kernel.shape[2]], 2, "SAME"), gradient

    return convolved(smaller, tf.convert_to_tensor(kernel))


def _kernel_gradient(bigger: Any, smaller: Any, shape: Any) -> Any:
    import tensorflow as tf
    rows, columns, channels, others = shape
    patches = tf.image.extract_patches(bigger, [1, rows, columns, 1], [1, 2, 2, 1], [1, 1, 1, 1], "SAME")
    product = tf.matmul(tf.reshape(patches, (-1, rows * columns * channels)), tf.reshape(smaller, (-1, others)), transpose_a=True)
    return tf.reshape(product, shape)


def compile_graph(function: Callable[..., Any], xla: bool) -> Callable[..., Any]:
    """Return the function as TensorFlow's graph, traced once for all batches of a shape."""
    import tensorflow as tf
    # This optimizer drops dependencies that make the update of a weight wait for a reading of it without gradients: now and then
    # a step would then read weights that are updated already.
    tf.config.optimizer.set_experimental_options({"dependency_optimization": False})
    return tf.function(function, jit_compile=xla or None, reduce_retracing=True)


def allocate_aligned(shape: Sequence[int]) -> np.ndarray:
    """Return an uninitialized float32 array in memory that `to_tensor` need not copy."""
    size = 4 * math.prod(shape)
    memory = np.empty(size + ALIGNED, np.uint8)
    first = -memory.ctypes.data % ALIGNED
    return memory[first:first + size].view(np.float32).reshape(shape)


def to_tensor(array: np.ndarray) -> Any:
    """Return a tensor that shares the array's memory if that is aligned: do not write to the array afterwards."""
    import tensorflow as tf
    is_aligned = array.flags.c_contiguous and array.ctypes.data % ALIGNED == 0
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__()) if is_aligned else tf.convert_to_tensor(array)


def compile_step(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of (state, ...) that returns (losses, state); every device gets all that it returns."""
    import jax
    import keras
    distribution = keras.distribution.distribution()
    copied = distribution and jax.sharding.NamedSharding(distribution.device_mesh.backend_mesh, jax.sharding.PartitionSpec())
    return jax.jit(function, donate_argnums=0, out_shardings=copied)


def get_device_copier() -> Callable[[Any], Any]:
    """Return a function for any thread that copies an array to the device, or this process's share of it to the devices."""
    import jax
    import keras
    distribution = keras.distribution.distribution()   # Keras keeps it by thread
    if distribution is None:
        return jax.device_put
    return lambda array: jax.make_array_from_process_local_data(distribution.get_data_layout(array.shape).backend_layout, array)


def copy_to_host(values: Any) -> Any:
    import jax
    return jax.device_get(values)


def is_out_of_memory(error: BaseException) -> bool:
    return type(error).__name__ in ("MemoryError", "ResourceExhaustedError") or "RESOURCE_EXHAUSTED" in str(error)


def join_processes(address: str, cluster: str, count: int, number: int) -> None:
    """Find the other processes at an address or through a cluster; from here on the backend counts all their devices."""
    import jax
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(address or None, count, number, cluster_detection_method=JAX_CLUSTERS.get(cluster),
                                   initialization_timeout=START_SECONDS, heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                                   shutdown_timeout_seconds=END_SECONDS)
    except (RuntimeError, ValueError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if cluster:
            raise UserError(f"Task {number} of {count} did not find the others through the environment variables of {cluster} "
                            f"({reason}). Give their addresses with --processes instead.") from None
        raise UserError(f"--processes: process {number} of {count} did not find the others at {address} within {START_SECONDS} "
                        f"seconds ({reason}); start all of them with the same list, of an address and a port that "
                        f"are free and can be reached.") from None


def leave_processes() -> None:
    """Disconnect; errors of the libraries at the end say nothing that was not reported."""
    import jax
    with contextlib.suppress(Exception):
        jax.distributed.shutdown()


def gather_from_processes(numbers: Sequence[float]) -> np.ndarray:
    """Return these few numbers of every process: float64, (processes, numbers)."""
    from jax.experimental import multihost_utils
    gathered = multihost_utils.process_allgather(np.array(numbers, np.float64).view(np.uint8))
    return np.ascontiguousarray(gathered).view(np.float64)


def broadcast_from_first_process(arrays: Any) -> Any:
    """Return process 0's arrays; the others pass arrays of the same shapes."""
    from jax.experimental import multihost_utils
    return multihost_utils.broadcast_one_to_all(arrays)


def is_device_error(error: BaseException) -> bool:
    """Tell whether a device or the way to another process failed; some calls of JAX say so by a ValueError with a status."""
    import jax
    has_status = isinstance(error, ValueError) and re.match("[A-Z_]+: ", str(error))
    return isinstance(error, jax.errors.JaxRuntimeError) or bool(has_status)


@contextlib.contextmanager
def delay_stderr() -> Iterator[None]:
    """Show what C++ libraries write to stderr only if something fails that is not a UserError."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as delayed:
        os.dup2(delayed.fileno(), 2)
        try:
            yield
        except BaseException as error:
            if not isinstance(error, UserError):
                delayed.seek(0)
                os.write(stderr, delayed.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def silence_libraries() -> None:
    """Drop what C++ libraries write to the screen from now on, but not what Python writes."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        stream.flush()
        setattr(sys, name, os.fdopen(os.dup(stream.fileno()), "w", buffering=1))
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
