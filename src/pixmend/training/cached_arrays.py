"""Arrays that are computed once, before the first training that needs them, and stay in the dataset's folder for later runs."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import files
from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.data.dataset import Dataset


def build_cache_key(settings: Settings, dataset: Dataset, names: Iterable[str]) -> dict[str, Any]:
    """Return what decides such an array: the dataset's images, these settings, and those that shape the damage."""
    return ({name: dataset.made_from[name] for name in ("archive", "size", "broken")}
            | {name: getattr(settings, name) for name in (*names, *datasets.DAMAGE_SETTINGS)})


def write_once(paths: Sequence[Path], cache_key: dict[str, Any], write: Callable[[], None]) -> None:
    """Call `write`, which writes these files, unless they exist with this cache key; other processes wait meanwhile."""
    folder, manifest = paths[0].parent, paths[0].with_suffix(".json")
    folder.mkdir(exist_ok=True)
    with files.wait_for_lock(folder / ".lock"):
        if not files.manifest_matches(manifest, cache_key):
            write()
            files.write_manifest(manifest, cache_key, paths)


def write_array(path: Path, shape: tuple[int, ...], chunks: Iterable[np.ndarray]) -> None:
    """Write an array file of bytes, chunk after chunk; its disk space is reserved first, so that a full disk is noticed now."""
    with files.atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.flush()
        os.truncate(file.name, file.tell() + math.prod(shape))
        files.reserve_space(file.name)
        for chunk in chunks:
            file.write(chunk.tobytes())
