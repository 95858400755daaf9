"""Fills of one colour: the mean of all known pixels, or of those next to each hole."""

import cv2
import numpy as np

RING = 4  # pixels: thickness of the ring around a hole


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
