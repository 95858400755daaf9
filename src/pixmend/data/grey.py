"""Colour converted to grey in two ways: by linear light, as an eye does, and by the coded values, as most programs do.

Images are uint8, height x width x channels (1 or 3).
"""

import cv2
import numpy as np

LIGHT = np.array([0.2126, 0.7152, 0.0722])   # Rec. 709
BEND, SLOPE, POWER, OFFSET = 0.0031308, 12.92, 2.4, 0.055   # of the sRGB curve


def convert_to_grey(image: np.ndarray) -> np.ndarray:
    """Weight the coded values as Rec. 601 does; return height x width x 1."""
    return image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]


def convert_to_grey_by_light(image: np.ndarray) -> np.ndarray:
    """Decode the sRGB curve, weight as Rec. 709 does, and encode the curve again; return height x width x 1."""
    if image.shape[2] == 1:
        return image
    values = np.arange(256) / 255
    linear = np.where(values <= SLOPE * BEND, values / SLOPE, ((values + OFFSET) / (1 + OFFSET)) ** POWER)
    light = linear[image] @ LIGHT
    encoded = np.where(light <= BEND, SLOPE * light, (1 + OFFSET) * light ** (1 / POWER) - OFFSET)
    return np.rint(encoded * 255).astype(np.uint8)[..., None]


def convert_to_colour(image: np.ndarray) -> np.ndarray:
    return image if image.shape[2] == 3 else np.repeat(image, 3, 2)
