"""The eight flips and turns of a picture; the first five are the published 5x: as is, 90, 180, 270, left-right."""

import cv2
import numpy as np

TRANSFORM_NAMES = ("as-is", "90", "180", "270", "left-right", "left-right-90", "left-right-180", "left-right-270")
QUARTERS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}
TRANSFORMS_PER_MODE = {"none": 1, "5x": 5, "8x": 8}


def apply_transform(picture, variant):
    """A view of height x width (x channels): flipped left-right for variants 4..7, then turned anticlockwise."""
    flipped = picture[:, ::-1] if variant >= 4 else picture
    return np.rot90(flipped, variant % 4)


def transform_bytes(picture, variant):
    """As `turn`, of bytes and as an array of its own, several times as fast as NumPy can copy such a view."""
    flipped = cv2.flip(picture, 1) if variant >= 4 else picture
    return (cv2.rotate(flipped, QUARTERS[variant % 4]) if variant % 4 else flipped).reshape(apply_transform(picture, variant).shape)


def invert_transform(picture, variant):
    """The inverse of `turn`."""
    straight = np.rot90(picture, -(variant % 4))
    return straight[:, ::-1] if variant >= 4 else straight
