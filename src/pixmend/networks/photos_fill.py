"""The fill `photos`: window_unet with weights that come with pixmend, computed by NumPy, without Keras and without training.

photographs/photos_fill.safetensors holds the weights as float16, and in its metadata the settings of the network;
photographs/PHOTOS_FILL.md is its model card. The network changes the smooth fill, in a window around each hole.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import files
from pixmend.config import Settings
from pixmend.data import windows
from pixmend.data.damage import Box, slice_box
from pixmend.fills.smooth import fill_smooth
from pixmend.networks.layers.sizes import count_box_pixels

CHANNELS, NAME = 3, "photos"   # NAME is of the fill, and of its weights in --init-from
WEIGHTS = Path(__file__).parents[1] / "photographs/photos_fill.safetensors"
CARD = WEIGHTS.with_name("PHOTOS_FILL.md")
DESKTOP_PHOTOGRAPHS = WEIGHTS.with_name("desktop_photographs.csv")   # from which it learned, besides those of the demo
SMALLEST, LEAST_SHARE = 8, 0.5       # side of a hole in pixels, and its share of the square around it: it learned squares
MARGIN, SLOPE, MIN_CONTRAST = 1, 0.2, 0.04   # as in window_unet.py and normalization.py

Layer = tuple[np.ndarray, np.ndarray]   # kernel and bias


@dataclass(frozen=True)
class Network:
    """The layers of the encoder, then those of the decoder, and the window that they were trained on."""

    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]
    window: float
    size: int


def fill_photos(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the smooth fill, changed by what the network predicts in each hole that is large and no line."""
    filled = fill_smooth(image, mask)
    holes = [] if mask.all() else windows.find_boxes(mask.astype(np.uint8), most=mask.size)
    boxes = [hole for hole in holes if is_compact(mask, hole)]
    changes = [predict_change(filled, mask, box) for box in boxes]
    changed = np.clip(windows.add_changes(filled, boxes, changes, load_network().window), 0, 1).astype(np.float32)
    return np.where(mask[..., None], changed, image)


def is_compact(mask: np.ndarray, hole: Box) -> bool:
    """Tell whether a hole is not too small, and fills much of the square around it."""
    *_, height, width = hole
    missing = mask[slice_box(hole)].sum()
    return min(height, width) >= SMALLEST and bool(missing >= LEAST_SHARE * max(height, width) ** 2)


def predict_change(filled: np.ndarray, mask: np.ndarray, box: Box) -> np.ndarray:
    """Return what to add to the window around a box; a grey image is given as a colourless one."""
    network, channels = load_network(), filled.shape[2]
    inputs, missing = windows.cut_network_input(filled, mask, box, network.window, network.size)
    residual = predict_residual(network, np.broadcast_to(inputs, (*inputs.shape[:2], CHANNELS)), missing[..., None])
    return residual if channels == CHANNELS else residual.mean(-1, keepdims=True)


@cache
def load_network() -> Network:
    settings, arrays = read_settings(), [array.astype(np.float32) for array in read_weights()]
    layers = tuple(zip(arrays[::2], arrays[1::2], strict=True))
    half = len(layers) // 2
    return Network(layers[:half], layers[half:], settings["window"], settings["work_size"])


def read_settings() -> dict[str, Any]:
    """Return the settings of the network that has these weights."""
    from safetensors import safe_open

    with safe_open(WEIGHTS, framework="numpy") as file:
        settings: dict[str, Any] = json.loads(file.metadata()["settings"])
    return settings


def fits(settings: Settings) -> bool:
    """Tell whether a network of these settings can begin with the weights, and works on the same windows."""
    return WEIGHTS.exists() and settings.channels == CHANNELS and all(
        getattr(settings, name) == value for name, value in read_settings().items())


@cache
def hash_weights() -> str:
    return files.hash_file(WEIGHTS)[:16]


def read_weights() -> list[np.ndarray]:
    """Return the weights in the order of the network's variables: kernel and bias of each layer, float16."""
    from safetensors.numpy import load_file

    arrays = load_file(WEIGHTS)
    return [arrays[name] for name in sorted(arrays, key=int)]


def predict_residual(network: Network, image: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return what to add to a window, height x width x 3; 0 outside the part that its box may touch."""
    mean, contrast = measure_contrast(image, 1 - missing)
    x, skips = np.concatenate([(image - mean) / contrast, missing], -1), []
    for layer in network.encoder:
        x = convolve_down(x, *layer)
        x = np.where(x < 0, SLOPE * x, x)
        skips.append(x)
    for layer, skip in zip(network.decoder[:-1], reversed(skips[:-1]), strict=True):
        x = convolve_up(x, *layer)
        side = min(len(x), count_box_pixels(len(skip), network.window, MARGIN))
        x = np.concatenate([np.maximum(crop_middle(x, side), 0), crop_middle(skip, side)], -1)
    x = convolve_up(x, *network.decoder[-1])
    x = crop_middle(x, count_box_pixels(network.size, network.window)) * contrast
    border = (network.size - len(x)) // 2
    return np.pad(x, ((border, border), (border, border), (0, 0)))


def measure_contrast(image: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mean colour of the known pixels, and their standard deviation, as `compute_contrast` does for networks."""
    count = max(known.sum(), 1.0)
    mean = (image * known).sum((0, 1)) / count
    variance = (np.square(image - mean) * known).sum() / (count * image.shape[-1])
    return mean, max(float(np.sqrt(variance + 1e-8)), MIN_CONTRAST)


def convolve_down(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return the 4x4 convolution with stride 2: half as high and wide."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), axis=(0, 1))[::2, ::2]   # rows, columns, channels, 4, 4
    return np.tensordot(patches, kernel, ([3, 4, 2], [0, 1, 2])) + bias


def convolve_up(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return the transposed convolution: twice as high and wide. The kernel is 4 x 4 x outputs x inputs."""
    height, width = x.shape[:2]
    parts = np.tensordot(x, kernel, ([2], [3]))   # rows, columns, 4, 4, outputs
    out = np.zeros((2 * height + 2, 2 * width + 2, kernel.shape[2]), np.float32)
    for down in range(4):
        for across in range(4):
            out[down:down + 2 * height:2, across:across + 2 * width:2] += parts[:, :, down, across]
    return out[1:-1, 1:-1] + bias


def crop_middle(x: np.ndarray, side: int) -> np.ndarray:
    border = (len(x) - side) // 2
    return x[border:border + side, border:border + side]
