"""Images (uint8, RGB or grey) encoded as the bytes of a PNG or JPEG file."""

from collections.abc import Sequence

import cv2
import numpy as np


def encode_png(image: np.ndarray) -> bytes:
    return _encode(image, ".png", [])


def encode_jpeg(image: np.ndarray, quality: int = 95) -> bytes:
    return _encode(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encode(image: np.ndarray, ending: str, options: Sequence[int]) -> bytes:
    blue_first = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.shape[2] == 3 else image
    return cv2.imencode(ending, blue_first, options)[1].tobytes()
