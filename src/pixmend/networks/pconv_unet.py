"""The partial convolution U-Net (Liu et al. 2018): convolutions read known pixels only, and holes close layer by layer.

At 256x256 in colour with width 64 and 7 levels it is the published network: 25,255,508 trainable parameters.
"""

from typing import Any

import keras
from keras import layers, ops

from pixmend.config import NetworkSettings
from pixmend.networks.layers.normalization import BatchNormalization
from pixmend.networks.layers.sizes import plan_channels

KERNEL_SIZES = {0: 7, 1: 5}   # of the first levels of the encoder; 3 elsewhere


@keras.saving.register_keras_serializable("pixmend")
class PartialConv(layers.Layer):
    """A convolution over pairs of features and the mask of known pixels (one channel, 1 or 0); it returns such a pair.

    The result is divided by the known share of its window. A window without known pixels gives 0 and stays unknown; every other
    becomes known. Several pairs are convolved as if their features were concatenated.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int = 1, use_bias: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.channels, self.kernel_size, self.stride, self.use_bias = channels, kernel_size, stride, use_bias

    def get_config(self) -> dict[str, Any]:
        names = ("channels", "kernel_size", "stride", "use_bias")
        return super().get_config() | {name: getattr(self, name) for name in names}

    def build(self, shapes: Any) -> None:
        channels = sum(features[-1] for features, _ in shapes)
        self.kernel = self.add_weight(shape=(self.kernel_size, self.kernel_size, channels, self.channels),
                                      initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.channels,), initializer="zeros", name="bias") if self.use_bias else None
        self.window_values = self.kernel_size**2 * channels

    def call(self, pairs: Any) -> tuple[Any, Any]:
        """Convolve the known features and return them with the new mask of known pixels."""
        features = ops.concatenate([features * known for features, known in pairs], -1)
        known = sum(ops.cast(known, "float32") * features.shape[-1] for features, known in pairs)  # bfloat16 cannot count so far
        known = ops.conv(known, ops.ones((self.kernel_size, self.kernel_size, 1, 1)), self.stride, "same")
        is_known = ops.cast(known > 0, features.dtype)
        x = ops.conv(features, ops.cast(self.kernel, features.dtype), self.stride, "same")
        x = x * ops.cast(self.window_values / ops.maximum(known, 1), x.dtype)
        x = x if self.bias is None else x + ops.cast(self.bias, x.dtype)
        return x * is_known, is_known


def build_pconv_unet(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the network; its output is an image without bounds."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    channels = plan_channels(input_shape, settings)
    pairs = [(image, 1.0 - mask)]
    for level, width in enumerate(channels):
        x, known = PartialConv(width, KERNEL_SIZES.get(level, 3), stride=2)(pairs[-1:])
        x = BatchNormalization()(x) if level else x
        pairs.append((layers.ReLU()(x), known))
    x, known = pairs.pop()
    for width in reversed(channels[:-1]):
        x, known = PartialConv(width, 3)([upsample(x, known), pairs.pop()])
        x = layers.LeakyReLU(0.2)(BatchNormalization()(x))
    x, _ = PartialConv(input_shape[-1], 3, use_bias=True, dtype="float32")([upsample(x, known), pairs.pop()])
    return keras.Model([image, mask], x)


def upsample(features: Any, known: Any) -> tuple[Any, Any]:
    """Double the sides of a pair."""
    return layers.UpSampling2D()(features), layers.UpSampling2D()(known)
