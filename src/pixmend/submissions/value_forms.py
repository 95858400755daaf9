"""The forms that values of submissions can have: the order of the channels, and the scale.

In an image the channels are red, green and blue, and values are in 0..1. Each scale is `(value - offset) / factor` of that,
with an offset and a factor for each channel.
"""

from typing import NamedTuple

import numpy as np


class Form(NamedTuple):
    order: str   # rgb or bgr
    scale: str   # one of SCALES

    def __str__(self) -> str:
        return f"{'blue' if self.order == 'bgr' else 'red'} first, {SCALES[self.scale]}"


AS_IN_IMAGES = Form("rgb", "unit")
SCALES = {"unit": "values in 0..1", "minmax": "each channel stretched to 0..1 over the image", "bytes": "values in 0..255",
          "signed": "values in -1..1"}
LIMITS = {"unit": (0, 1), "minmax": (0, 1), "bytes": (0, 255), "signed": (-1, 1)}


def to_form(values: np.ndarray, form: Form, image: np.ndarray) -> np.ndarray:
    """Return values of an image, (..., channels), as a submission of this form has them."""
    if form.scale != "unit":
        offset, factor = get_offset_and_factor(form.scale, image)
        values = (values - offset) / factor
    return values[..., ::-1] if form.order == "bgr" else values


def from_form(values: np.ndarray, form: Form, image: np.ndarray) -> np.ndarray:
    """Return the values of an image, given those of a submission of this form."""
    values = values[..., ::-1] if form.order == "bgr" else values
    if form.scale == "unit":
        return values
    offset, factor = get_offset_and_factor(form.scale, image)
    return values * factor + offset


def get_offset_and_factor(scale: str, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return those of a scale; a stretched channel that is constant becomes 0."""
    if scale == "minmax":
        low, high = image.min((0, 1)), image.max((0, 1))
        return low, np.where(high > low, high - low, 1)
    least, most = LIMITS[scale]
    factor = np.full(image.shape[-1], 1 / (most - least), image.dtype)
    return -least * factor, factor
