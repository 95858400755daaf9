"""Simple fills: one mean colour, and OpenCV's inpainting. OpenCV works on bytes, so its fills have 256 levels."""

from functools import partial

import cv2
import numpy as np

RING = 4  # pixels: thickness of the ring around a hole
RADIUS = 3  # pixels: how far from a missing pixel OpenCV reads known ones


def fill_mean(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill all missing pixels with the mean of the known ones."""
    filled = image.copy()
    filled[mask] = 0.5 if mask.all() else image[~mask].mean(0)
    return filled


def fill_ring(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill each hole with the mean of the known pixels in a thin ring around it."""
    filled = image.copy()
    kernel = np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for label, (left, top, width, height, _) in enumerate(stats[1:], 1):
        window = np.s_[max(top - RING, 0):top + height + RING, max(left - RING, 0):left + width + RING]
        inside = labels[window] == label
        ring = cv2.dilate(inside.astype(np.uint8), kernel).astype(bool) & ~mask[window]
        filled[window][inside] = image[window][ring].mean(0) if ring.any() else 0.5
    return filled


def inpaint(image: np.ndarray, mask: np.ndarray, method: int) -> np.ndarray:
    if mask.all():
        return np.full_like(image, 0.5)
    known = np.where(mask[..., None], 0, image)
    inpainted = cv2.inpaint(np.rint(known * 255).astype(np.uint8), mask.astype(np.uint8), RADIUS, method)
    filled = image.copy()
    filled[mask] = inpainted.reshape(image.shape)[mask] / np.float32(255)
    return filled


fill_telea = partial(inpaint, method=cv2.INPAINT_TELEA)   # fast marching from the border inwards
fill_navier_stokes = partial(inpaint, method=cv2.INPAINT_NS)   # continues lines of equal brightness, as in a fluid
