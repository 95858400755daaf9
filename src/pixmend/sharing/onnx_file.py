"""A network as an ONNX file, which is compared with the network before it is given away."""

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pixmend.data.decode import drop_stderr
from pixmend.progress import print_message
from pixmend.sharing.packages import import_quietly

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-4   # of values in 0..1
OPSET = 18
BATCH = 3


def write_onnx(path: Path, network: "keras.Model") -> float | None:
    """Write the file and return the largest difference from Keras; None, and no file, if the network cannot be converted."""
    inputs = make_inputs(network)
    expected = np.asarray(network(inputs))
    with import_quietly():
        import onnxruntime
    try:
        with contextlib.redirect_stdout(io.StringIO()), drop_stderr():
            network.export(str(path), format="onnx", verbose=False, opset_version=OPSET)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        by_name = {tensor.name: value for tensor, value in zip(network.inputs, inputs, strict=True)}
        difference = float(np.abs(session.run(None, by_name)[0] - expected).max())
    except Exception as error:   # of the converter or the runtime: anything
        leave_out(path, str(error).strip().partition("\n")[0] or type(error).__name__)
        return None
    if difference > TOLERANCE:
        leave_out(path, f"it differs by {difference:.2g} from Keras")
        return None
    return difference


def make_inputs(network: "keras.Model") -> list[np.ndarray]:
    """Return random images, and masks with about a fifth of the pixels missing."""
    rng = np.random.default_rng(0)
    image, mask = ((BATCH, *tensor.shape[1:]) for tensor in network.inputs)
    return [rng.random(image, np.float32), (rng.random(mask) < 0.2).astype(np.float32)]


def leave_out(path: Path, reason: str) -> None:
    path.unlink(missing_ok=True)
    print_message(f"export: no {path.name}, because this network cannot be converted: {reason[:300]}")
