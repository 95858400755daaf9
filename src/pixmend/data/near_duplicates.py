"""Near-duplicates by perceptual hash: images of the same photo, also mirrored, get one source.

A hash is 64 bits: which of the lowest frequencies of the grey 32x32 image lie above their median. Two images are near
duplicates if their hashes, or one's and the other's mirrored, differ in at most `NEAR` bits.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

import cv2
import numpy as np

NEAR = 10   # unrelated photos differ in 12 bits or more, a re-encoded, brightened or slightly cropped copy in fewer
NEAR_FILLED = 24   # a photo and the same with filled holes differ in 22 bits or fewer; of other photos, one in ten is as near
BANDS = 4   # of 16 bits: where 11 bits or fewer differ, some band differs in at most two
CHANGES = sorted({a ^ b for a, b in combinations([0, 0, *(1 << bit for bit in range(16))], 2)})


def hash_image(image: np.ndarray) -> tuple[np.uint64, np.uint64]:
    """Return the hashes of an image (uint8, height x width x channels) and of its mirror image."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[-1] == 3 else image[..., 0]
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = [cv2.dct(np.ascontiguousarray(view))[:8, :8].ravel() for view in (small, small[:, ::-1])]
    straight, mirrored = (np.packbits(values > np.median(values[1:])).view(np.uint64)[0] for values in low)
    return straight, mirrored


def find_near_duplicates(straight: Sequence[np.uint64], mirrored: Sequence[np.uint64]) -> Iterator[np.ndarray]:
    """Yield arrays of pairs (i, j) of images whose hashes are near, straight or mirrored; a pair may be repeated."""
    both = np.stack([np.asarray(straight, np.uint64), np.asarray(mirrored, np.uint64)], 1)
    distinct, first, which = np.unique(both, axis=0, return_index=True, return_inverse=True)
    yield _pairs(first[which.ravel()], np.arange(len(both)))   # of images with equal hashes, only the first is paired below
    for other in distinct.T:
        for band in range(BANDS):
            for left, right in _near(distinct[:, 0], other, band):
                yield _pairs(first[left], first[right])


def find_copies_of_filled(filled: np.ndarray, mask: np.ndarray, straight: np.ndarray, mirrored: np.ndarray,
                          read_image: Callable[[int], np.ndarray]) -> Iterator[int]:
    """Yield the number of each image, given by its hashes, that shows the same photo as an image whose holes were filled.

    For the comparison the same pixels of both are filled alike, so that only known ones can differ.
    """
    own, _ = hash_image(filled)
    distances = np.minimum(np.bitwise_count(straight ^ own), np.bitwise_count(mirrored ^ own))
    for number in np.flatnonzero(distances <= NEAR_FILLED).tolist():
        image = read_image(number)
        views = (np.where(mask[..., None], filled, view) for view in (image, image[:, ::-1]))
        if any(np.bitwise_count(hash_image(view)[0] ^ own) <= NEAR for view in views):
            yield number


def _pairs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the pairs with left < right, so that no image is paired with itself."""
    return np.stack([left, right], 1)[left < right]


def _near(left: np.ndarray, right: np.ndarray, band: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield indices of near hashes, for each change of zero to two bits with which this band agrees."""
    wanted, keys = ((hashes >> np.uint64(16 * band)).astype(np.uint16) for hashes in (left, right))
    order = np.argsort(keys, kind="stable")
    begin = np.concatenate([[0], np.bincount(keys, minlength=1 << 16).cumsum()])
    for change in CHANGES:
        key = (wanted ^ np.uint16(change)).astype(np.intp)
        counts = begin[key + 1] - begin[key]   # of the right hashes with this band, which stand together in `order`
        i = np.repeat(np.arange(len(left)), counts)
        j = order[np.repeat(begin[key] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())]
        near = np.bitwise_count(left[i] ^ right[j]) <= NEAR
        yield i[near], j[near]


def join_sources(sources: Sequence[str], pairs: Iterable[np.ndarray]) -> list[str]:
    """Return the source of each image, the first name of those that pairs connect; pairs are read in parts to save memory."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, number = np.unique(np.asarray(sources, dtype=object).astype(str), return_inverse=True)
    group = np.arange(len(names))
    for some in pairs:
        ties = group[number[some]]
        ties = ties[ties[:, 0] != ties[:, 1]]
        if len(ties):
            graph = coo_array((np.ones(len(ties)), (ties[:, 0], ties[:, 1])), shape=(len(names),) * 2)
            group = connected_components(graph, directed=False)[1][group]
    _, first, which = np.unique(group, return_index=True, return_inverse=True)
    return names[first[which[number]]].tolist()
