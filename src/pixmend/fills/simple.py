"""The classical fills that learn nothing: the floor that every model has to beat.

Contract: a fill takes a picture (float32, height x width x channels, 0..1; 3 channels or 1) and a mask (bool, height x
width, True where missing), looks at known pixels only, and returns a new picture in which those are bit for bit as they
were. The picture that is passed in is never changed. Where nothing at all is known, the missing pixels become 0.5.
The harmonic fill, the best of them, has a file of its own.
"""

import cv2
import numpy as np

RING = 4  # pixels: thickness of the ring round a hole
RADIUS = 3  # pixels: how far OpenCV's fills look


def mean(picture, mask):
    """One colour for all: the mean of the known pixels."""
    return painted(picture, mask, picture[~mask].mean(0) if not mask.all() else 0.5)


def ring(picture, mask):
    """Each hole in the mean colour of a thin ring of known pixels around it."""
    filled = picture.copy()
    brush = np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)
    _, holes, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for hole, (left, top, width, height, _) in enumerate(stats[1:], 1):
        window = np.s_[max(top - RING, 0):top + height + RING, max(left - RING, 0):left + width + RING]
        inside = holes[window] == hole
        around = cv2.dilate(inside.astype(np.uint8), brush).astype(bool) & ~mask[window]
        filled[window][inside] = picture[window][around].mean(0) if around.any() else 0.5
    return filled


def telea(picture, mask):
    """Telea's fast marching: colours carried inwards from the border."""
    return by_opencv(picture, mask, cv2.INPAINT_TELEA)


def navier_stokes(picture, mask):
    """Bertalmio's fluid: lines of equal brightness carried on into the hole."""
    return by_opencv(picture, mask, cv2.INPAINT_NS)


def by_opencv(picture, mask, method):
    """OpenCV's fills work on bytes."""
    if mask.all():
        return painted(picture, mask, 0.5)
    known = np.where(mask[..., None], 0, picture)
    filled = cv2.inpaint(np.rint(known * 255).astype(np.uint8), mask.astype(np.uint8), RADIUS, method)
    return painted(picture, mask, filled.reshape(picture.shape)[mask] / np.float32(255))


def painted(picture, mask, colours):
    filled = picture.copy()
    filled[mask] = colours
    return filled
