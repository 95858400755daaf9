"""Read weights that PyTorch saved, without PyTorch and without executing what the file's pickle may name.

A pickle can call any function. Here it can only build dictionaries and arrays; whatever else it names is refused. The format is
that of PyTorch before version 1.6: five pickles, and then the values of each storage.
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np

from pixmend.errors import UserError

STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
HEADER_PICKLES = 3   # a magic number, the version of the format, and the sizes of types


class WeightsUnpickler(pickle.Unpickler):
    """Builds dictionaries, and arrays whose values are read later."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return view_storage
        if module == "torch" and name in STORAGES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> np.ndarray:
        _, kind, key, _, count = pid[:5]
        return self.storages.setdefault(key, np.zeros(count, STORAGES[kind]))


def view_storage(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> np.ndarray:
    """Return the tensor that a part of a storage is; strides count values."""
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if min(offset, *shape, *strides, 0) < 0 or last >= len(storage):
        raise pickle.UnpicklingError("a tensor is larger than its storage")
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, [stride * storage.itemsize for stride in strides])


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by their names."""
    try:
        with open(path, "rb") as file:
            for _ in range(HEADER_PICKLES):
                WeightsUnpickler(file).load()
            unpickler = WeightsUnpickler(file)
            arrays: dict[str, np.ndarray] = unpickler.load()
            for key in WeightsUnpickler(file).load():
                read_values(file, unpickler.storages[key])
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except (pickle.UnpicklingError, EOFError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is no file of PyTorch weights ({error}). Download it again.") from None
    return arrays


def read_values(file: IO[bytes], storage: np.ndarray) -> None:
    """Read the values of a storage, after their number."""
    count = int.from_bytes(file.read(8), "little")
    values = file.read(storage.nbytes)
    if count != len(storage) or len(values) != storage.nbytes:
        raise EOFError("it ends too early")
    storage[:] = np.frombuffer(values, storage.dtype)
