"""Pictures, RGB, to the bytes of a PNG or JPEG file."""

import cv2


def encode_png(picture):
    return _encode(picture, ".png", [])


def encode_jpeg(picture, quality=95):
    return _encode(picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encode(picture, ending, options):
    blue_first = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.shape[2] == 3 else picture
    return cv2.imencode(ending, blue_first, options)[1].tobytes()
