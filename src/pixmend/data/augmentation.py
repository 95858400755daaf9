"""The eight flips and rotations of an image; the first five are the published 5x: as is, 90, 180, 270, left-right.

An image is height x width (x channels), of any dtype; a transform is its index in TRANSFORM_NAMES.
"""

import cv2
import numpy as np

TRANSFORM_NAMES = ("as-is", "90", "180", "270", "left-right", "left-right-90", "left-right-180", "left-right-270")
QUARTERS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}
TRANSFORMS_PER_MODE = {"none": 1, "5x": 5, "8x": 8}


def apply_transform(image: np.ndarray, variant: int) -> np.ndarray:
    """Return a view of an image: flipped left-right for transforms 4..7, then rotated anticlockwise."""
    flipped = image[:, ::-1] if variant >= 4 else image
    return np.rot90(flipped, variant % 4)


def transform_bytes(image: np.ndarray, variant: int) -> np.ndarray:
    """Return a transformed uint8 image as a new array, several times faster than NumPy copies the view."""
    flipped = cv2.flip(image, 1) if variant >= 4 else image
    return (cv2.rotate(flipped, QUARTERS[variant % 4]) if variant % 4 else flipped).reshape(apply_transform(image, variant).shape)


def invert_transform(image: np.ndarray, variant: int) -> np.ndarray:
    """Return the image whose transform is the given one."""
    straight = np.rot90(image, -(variant % 4))
    return straight[:, ::-1] if variant >= 4 else straight
