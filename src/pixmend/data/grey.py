"""Colour to grey in two ways: by light, as an eye adds it up, and by the coded values, as most programs do."""

import cv2
import numpy as np

LIGHT = np.array([0.2126, 0.7152, 0.0722])   # Rec. 709
BEND, SLOPE, POWER, OFFSET = 0.0031308, 12.92, 2.4, 0.055   # of the sRGB curve


def convert_to_grey(picture):
    """Rec. 601 weights of the coded values; height x width x 1."""
    return picture if picture.shape[2] == 1 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]


def convert_to_grey_by_light(picture):
    """The sRGB curve undone, Rec. 709 weights, the curve put on again; height x width x 1."""
    if picture.shape[2] == 1:
        return picture
    return np.rint(encode_light(compute_linear_light()[picture] @ LIGHT) * 255).astype(np.uint8)[..., None]


def compute_linear_light():
    """The light of each of the 256 coded values."""
    values = np.arange(256) / 255
    return np.where(values <= SLOPE * BEND, values / SLOPE, ((values + OFFSET) / (1 + OFFSET)) ** POWER)


def encode_light(light):
    return np.where(light <= BEND, SLOPE * light, (1 + OFFSET) * light ** (1 / POWER) - OFFSET)


def convert_to_colour(picture):
    return picture if picture.shape[2] == 3 else np.repeat(picture, 3, 2)
