"""The smooth fill: the best linear guess, from how alike two pixels of a photo are at a distance, aslant or upright.

It is kriging, the mean of a Gaussian process: the harmonic fill is right near the border of a hole; further in it is
moved to what the colours around the hole, far ones too, lead one to expect. The harmonic fill believes in a likeness
that falls with the logarithm of the distance. So does this one, but photos keep their colour longer up and down and
from side to side than aslant, longest up and down; how much, three numbers say, chosen on training photos. Turning a
picture therefore changes this fill a little.

Brightness and colour are filled apart. JPEG keeps colour at half size, so the black of a box bleeds into the colour, not
the brightness, of the pixels beside it: colour is taken from one pixel further out.
"""

import cv2
import numpy as np

from pixmend.fills.harmonic import fill_harmonic

GRAIN, LONGER, UPRIGHT = 3.4, 1.94, 0.70  # pixels; how much longer likeness lasts the long way; share of the upright
LEVEL, NOISE = 20.0, 0.01  # variances, in units of the likeness: of the picture's unknown mean colour, of a sample
BLUR = 5  # pixels: samples are means over squares of this side
RING, STEP, REACH = 4, 10, 40  # pixels between samples at the border, further out, and how far out they are taken
DEEP, MANY = 8, 1000  # holes less deep are left harmonic; samples at most
BLED = np.ones((3, 3), np.uint8)  # how far the colour of a hole reaches into its border
BRIGHTNESS_AND_COLOUR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
MIDDLE = np.array([0, 0.5, 0.5], np.float32)
WIDE = 160  # pixels: for holes wider than this, samples are farther apart


def fill_smooth(picture, mask):
    """Fill the missing pixels; small or thin holes are harmonic."""
    bled = deep(mask)
    if picture.shape[2] != 3 or not bled.any():
        return kriged(picture, mask)
    parts = picture @ BRIGHTNESS_AND_COLOUR.T + MIDDLE
    brightness, colour = kriged(parts[..., :1], mask), kriged(parts[..., 1:], mask | (cv2.dilate(bled, BLED) > 0))
    parts = np.concatenate([brightness[mask], colour[mask]], -1) - MIDDLE
    mended = picture.copy()
    mended[mask] = np.clip(parts @ np.linalg.inv(BRIGHTNESS_AND_COLOUR).T, 0, 1)
    return mended


def deep(mask):
    """The holes that are deep enough to be kriged, as 1 in 0."""
    _, holes = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_C, 3)
    return np.isin(holes, np.unique(holes[depth >= DEEP])).astype(np.uint8) * mask


def kriged(picture, mask):
    """Every channel by itself."""
    filled = fill_harmonic(picture, mask)
    if mask.all():
        return filled
    samples = cv2.blur(filled, (BLUR, BLUR)).reshape(picture.shape)
    _, holes, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for hole in np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= DEEP ** 2) + 1:
        left, top, width, height, _ = stats[hole]
        scale = -(-max(width, height) // WIDE)
        around = np.s_[max(top - REACH * scale, 0):top + height + REACH * scale,
                       max(left - REACH * scale, 0):left + width + REACH * scale]
        correct(filled[around], samples[around], holes[around] == hole, mask[around], scale)
    return filled


def correct(filled, samples, hole, mask, scale):
    """Add to one hole, in place, what kriging expects more or less than the harmonic fill."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_C, 3)
    known, (rows, columns) = known_points(hole, mask, scale), lattice(hole, STEP * scale)
    if depth.max() < DEEP or known.size == 0:
        return
    inner = hole[np.ix_(rows, columns)]
    places = np.stack([np.repeat(rows, len(columns)), np.tile(columns, len(rows))])[:, inner.ravel()]
    correction = np.zeros((*inner.shape, samples.shape[2]))
    correction[inner] = krige(known, samples[*known], places) - samples[*places]
    down, across = hats(rows, len(hole), STEP * scale), hats(columns, hole.shape[1], STEP * scale)
    added = np.moveaxis(down @ np.moveaxis(correction, -1, 0) @ across.T, 0, -1)
    filled[hole] = np.clip(filled[hole] + added[hole], 0, 1)


def known_points(hole, mask, scale):
    """Rows and columns of the samples: along the border of the hole, and on a lattice further out."""
    distance = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_C, 3)
    rows, columns = np.ogrid[:hole.shape[0], :hole.shape[1]]
    step = STEP * scale
    border = (distance == 1) & ((rows + columns) % (RING * scale) == 0)
    on_lattice = (rows % step == step // 2) & (columns % step == step // 2)
    further = (distance > BLUR) & (distance <= REACH * scale) & on_lattice
    points = np.stack(np.nonzero((border | further) & ~mask))
    return points[:, ::max(1, -(-points.shape[1] // MANY))]


def lattice(hole, step):
    """Rows and columns, a step apart, on which a hole is corrected."""
    spans = [np.flatnonzero(hole.any(axis))[[0, -1]] for axis in (1, 0)]
    return [np.arange(first + (last - first) % step // 2, last + 1, step) for first, last in spans]


def hats(knots, length, step):
    """Linear interpolation between knots, and down to zero one step beyond the last."""
    return np.maximum(1 - np.abs(np.arange(length)[:, None] - knots) / step, 0)


def krige(known, colours, places):
    """The expected colours at some places, given those of known points."""
    covariance = likeness(known, known) + NOISE * np.eye(known.shape[1])
    mean = colours.mean(0, dtype=float)
    return mean + likeness(places, known) @ np.linalg.solve(covariance, colours - mean)


def likeness(some, others):
    """Covariance of points: it falls with the logarithm of their distance, measured in an upright and a lying way."""
    down, across = ((some[:, :, None] - others[:, None]) / GRAIN) ** 2
    upright = np.log(1 + down / LONGER ** 2 + across)
    lying = np.log(1 + down + across / LONGER ** 2)
    return LEVEL - UPRIGHT * upright - (1 - UPRIGHT) * lying
