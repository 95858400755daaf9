"""OpenCV's inpainting as fills. OpenCV works on bytes, so filled pixels have 256 levels."""

from functools import partial

import cv2
import numpy as np

RADIUS = 3  # pixels: how far from a missing pixel OpenCV reads known ones


def inpaint(image: np.ndarray, mask: np.ndarray, method: int) -> np.ndarray:
    filled = image.copy()
    if mask.all():
        filled[mask] = 0.5
        return filled
    known = np.where(mask[..., None], 0, image)
    inpainted = cv2.inpaint(np.rint(known * 255).astype(np.uint8), mask.astype(np.uint8), RADIUS, method)
    filled[mask] = inpainted.reshape(image.shape)[mask] / np.float32(255)
    return filled


fill_telea = partial(inpaint, method=cv2.INPAINT_TELEA)   # fast marching from the border inwards
fill_navier_stokes = partial(inpaint, method=cv2.INPAINT_NS)   # continues lines of equal brightness, as in a fluid
