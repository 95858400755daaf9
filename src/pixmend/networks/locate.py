"""A small U-Net that finds missing pixels in the damaged image alone: tiles, blur, black or white, in areas of any shape.

Damage shows in the differences of neighbouring pixels: a tile has none, blur has no large ones, one colour has none over a whole
area. The network works at half the size and below, where dilated convolutions reach far, and reads the differences again at the
end, which keeps edges exact. It ignores the mask that every network is given.
"""

from typing import Any

import keras
from keras import layers, ops

from pixmend.config import Settings
from pixmend.errors import FlagError
from pixmend.networks.layers.sizes import plan_channels

DILATIONS = (1, 2, 4, 1)
LAST_CHANNELS = 8   # at full size
GREY_LEVELS = 255


def build_locate(input_shape: tuple[int, int, int], settings: Settings) -> keras.Model:
    """Return the network; its output is the probability of each pixel to be missing."""
    check_settings(settings)
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    channels = [settings.width * (level + 1) for level in range(len(plan_channels(input_shape, settings)))]
    x = traces = compute_traces(image)
    skips = []
    for width in channels:
        x = convolve(convolve(x, width, 4, strides=2), width)
        skips.append(x)
    for dilation in DILATIONS:
        x = layers.Add()([x, convolve(x, channels[-1], dilation_rate=dilation)])
    for width, skip in zip(reversed(channels[:-1]), reversed(skips[:-1]), strict=True):
        x = layers.UpSampling2D()(layers.Conv2D(width, 1)(x))
        x = convolve(layers.Add()([x, skip]), width)
    x = layers.Concatenate()([layers.Conv2DTranspose(LAST_CHANNELS, 4, 2, "same")(x), traces])
    x = layers.Conv2D(1, 3, padding="same", activation="sigmoid", dtype="float32")(convolve(x, LAST_CHANNELS))
    return keras.Model([image, mask], x)


def check_settings(settings: Settings) -> None:
    """Raise an error for settings that would give the network the mask, or that make sense for images only."""
    is_wrong = {"start": settings.start not in ("none", "given"), "window": settings.window > 0,
                "loss_region": settings.loss_region != "all", "adversarial": settings.adversarial}
    for name in (name for name, wrong in is_wrong.items() if wrong):
        raise FlagError(f"--model {settings.model} finds masks in damaged images, so --{name.replace('_', '-')} "
                        f"{getattr(settings, name)} does not apply; leave it out.")


def compute_traces(image: Any) -> Any:
    """Return the colours, the differences to the right and below, and where a difference is 0 in every channel."""
    padded = ops.pad(image, ((0, 0), (0, 1), (0, 1), (0, 0)), "symmetric")   # the neighbour of a pixel at the edge is itself
    steps = [ops.abs(image - padded[:, :-1, 1:]), ops.abs(image - padded[:, 1:, :-1])]
    is_flat = [ops.cast(ops.equal(ops.max(step, -1, keepdims=True), 0.0), "float32") for step in steps]
    # On a logarithmic scale one grey level and two are far apart.
    return ops.concatenate([image, *(ops.log1p(GREY_LEVELS * step) / 2 for step in steps), *is_flat], -1)


def convolve(x: Any, channels: int, kernel_size: int = 3, **options: Any) -> Any:
    options = {"padding": "same", "activation": "relu", "kernel_initializer": "he_normal"} | options
    return layers.Conv2D(channels, kernel_size, **options)(x)
