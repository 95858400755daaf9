"""The eight flips and turns of a picture; the first five are the published 5x: as is, 90, 180, 270, left-right."""

import numpy as np

NAMES = ("as-is", "90", "180", "270", "left-right", "left-right-90", "left-right-180", "left-right-270")
COUNT = {"none": 1, "5x": 5, "8x": 8}


def turn(picture, variant):
    """A view of height x width (x channels): flipped left-right for variants 4..7, then turned anticlockwise."""
    flipped = picture[:, ::-1] if variant >= 4 else picture
    return np.rot90(flipped, variant % 4)


def turn_back(picture, variant):
    """The inverse of `turn`."""
    straight = np.rot90(picture, -(variant % 4))
    return straight[:, ::-1] if variant >= 4 else straight
