"""The smooth fill: the best linear prediction of missing pixels from the pixels around them (kriging).

Kriging is the mean of a Gaussian process. Near the border of a hole the harmonic fill is right; further inside, this fill
corrects it towards what the colours around the hole, distant ones too, predict. The covariance of two pixels falls with the
logarithm of their distance, as it does implicitly in the harmonic fill, but photos are alike over longer distances vertically and
horizontally than diagonally, most of all vertically. Three numbers describe that; they were chosen on training photos. So this
fill changes a little when an image is rotated.

Brightness and colour are filled separately. JPEG stores colour at half the resolution, so the black of a box bleeds into the
colour, not the brightness, of the pixels next to it; colour is taken from one pixel further out.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from pixmend.fills.harmonic import fill_planes

SCALE, ELONGATION, VERTICAL_SHARE = 3.4, 1.94, 0.70  # pixels; range along an axis, as a multiple of that across; vertical part
MEAN_VARIANCE, NOISE_VARIANCE = 20.0, 0.01  # of the image's unknown mean and of a sample, in units of the covariance
BLUR = 5  # pixels: samples are means over squares of this side
BORDER_STEP, STEP, REACH = 4, 10, 40  # pixels between samples at the border and further out; how far out they are taken
MIN_DEPTH, MAX_SAMPLES = 8, 1000  # pixels: holes less deep stay harmonic; samples of a hole
BLEEDING = np.ones((3, 3), np.uint8)  # how far the colour of a hole reaches into its border
RGB_TO_YCC = np.array([[0.299, 0.587, 0.114, 0], [-0.168736, -0.331264, 0.5, 0.5], [0.5, -0.418688, -0.081312, 0.5]], np.float32)
YCC_TO_RGB = np.linalg.inv(np.vstack([RGB_TO_YCC, [0, 0, 0, 1]]))[:3].astype(np.float32)   # both with the offset of colour
WIDE = 160  # pixels: for holes wider than this, samples are farther apart


def fill_smooth(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill deep holes by kriging and other holes harmonically."""
    return fill_smooth_images([image], mask)[0]


def fill_smooth_images(images: Sequence[np.ndarray], mask: np.ndarray) -> list[np.ndarray]:
    """Fill images in which the same pixels are missing; what depends on the mask alone is computed once for all."""
    deep, channels = find_deep_holes(mask), images[0].shape[2]
    if channels != 3 or not deep.any():
        planes = np.moveaxis(np.concatenate(images, -1), -1, 0)
        return np.split(np.moveaxis(fill_channels(planes, mask), 0, -1), len(images), -1)
    ycc = np.stack([cv2.split(cv2.transform(image, RGB_TO_YCC)) for image in images])   # images x 3 x height x width
    bled = cv2.dilate(deep.astype(np.uint8), BLEEDING) > 0
    ycc[:, 0] = fill_channels(ycc[:, 0], mask)
    ycc[:, 1:] = fill_channels(ycc[:, 1:].reshape(-1, *mask.shape), mask | bled).reshape(-1, 2, *mask.shape)
    filled = [cv2.transform(cv2.merge(planes), YCC_TO_RGB) for planes in ycc]
    return [np.where(mask[..., None], np.clip(new, 0, 1), image) for new, image in zip(filled, images, strict=True)]


def find_deep_holes(mask: np.ndarray) -> np.ndarray:
    """Return the mask of all holes that are deep somewhere."""
    number, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    is_deep = np.zeros(number, bool)
    is_deep[labels[cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_C, 3) >= MIN_DEPTH]] = True
    return is_deep[labels]


def fill_channels(planes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill the missing pixels of channels, which may be those of several images: channels x height x width."""
    filled = fill_planes(planes, mask)
    samples = np.stack([cv2.blur(plane, (BLUR, BLUR)) for plane in filled])
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for label in np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= MIN_DEPTH ** 2) + 1:
        left, top, width, height, _ = stats[label]
        spacing = -(-max(width, height) // WIDE)
        window = np.s_[max(top - REACH * spacing, 0):top + height + REACH * spacing,
                       max(left - REACH * spacing, 0):left + width + REACH * spacing]
        correct_hole(filled[:, *window], samples[:, *window], labels[window] == label, mask[window], spacing)
    return filled


def correct_hole(filled: np.ndarray, samples: np.ndarray, hole: np.ndarray, mask: np.ndarray, spacing: int) -> None:
    """Add to one hole, in place, the difference between kriging and the harmonic fill, computed on a lattice of pixels."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_C, 3)
    known, step = select_samples(hole, mask, spacing), STEP * spacing
    spans = [np.flatnonzero(hole.any(axis))[[0, -1]] for axis in (1, 0)]
    rows, columns = (np.arange(first + (last - first) % step // 2, last + 1, step) for first, last in spans)
    if depth.max() < MIN_DEPTH or known.size == 0:
        return
    inside = hole[np.ix_(rows, columns)]
    points = np.stack([np.repeat(rows, len(columns)), np.tile(columns, len(rows))])[:, inside.ravel()]
    correction = np.zeros((len(samples), *inside.shape), np.float32)
    correction[:, inside] = (krige(known, samples[:, *known].T, points) - samples[:, *points].T).T
    down, across = (compute_interpolation_weights(knots, span, step) for knots, span in zip((rows, columns), spans, strict=True))
    box = tuple(slice(first, last + 1) for first, last in spans)
    corrected = np.clip(filled[:, *box] + down @ correction @ across.T, 0, 1)
    np.copyto(filled[:, *box], corrected, where=hole[box])


def select_samples(hole: np.ndarray, mask: np.ndarray, spacing: int) -> np.ndarray:
    """Return rows and columns of known pixels, 2 x samples: along the border of the hole and on a lattice further out."""
    distance = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_C, 3)
    rows, columns = np.ogrid[:hole.shape[0], :hole.shape[1]]
    step = STEP * spacing
    border = (distance == 1) & ((rows + columns) % (BORDER_STEP * spacing) == 0)
    on_lattice = (rows % step == step // 2) & (columns % step == step // 2)
    further_out = (distance > BLUR) & (distance <= REACH * spacing) & on_lattice
    points = np.stack(np.nonzero((border | further_out) & ~mask))
    return points[:, ::max(1, -(-points.shape[1] // MAX_SAMPLES))]


def compute_interpolation_weights(knots: np.ndarray, span: np.ndarray, step: int) -> np.ndarray:
    """Return the matrix of linear interpolation between knots, zero one step beyond the outer ones: pixels x knots."""
    pixels = np.arange(span[0], span[1] + 1)[:, None]
    return np.maximum(1 - np.abs(pixels - knots) / np.float32(step), 0, dtype=np.float32)


def krige(known: np.ndarray, values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the expected values at some points (2 x n), given the values of known points (2 x m): n x channels."""
    variance = compute_covariance(known, known) + NOISE_VARIANCE * np.eye(known.shape[1])
    mean = values.mean(0, dtype=float)
    return mean + compute_covariance(points, known) @ np.linalg.solve(variance, values - mean)


def compute_covariance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the covariances of points (2 x n and 2 x m): n x m."""
    down, across = np.square((points[:, :, None] - others[:, None]).astype(np.float32) / np.float32(SCALE))
    vertical = np.log(1 + down / np.float32(ELONGATION ** 2) + across)
    horizontal = np.log(1 + down + across / np.float32(ELONGATION ** 2))
    return MEAN_VARIANCE - VERTICAL_SHARE * vertical - (1 - VERTICAL_SHARE) * horizontal
