"""Near-duplicates by perceptual hash: pictures that are the same photo, mirrored ones too, share one source.

A hash is 64 bits: which of the lowest frequencies of the grey 32x32 picture lie above their median. Two pictures are twins
where their hashes, or one's and the other's mirrored, differ in at most `NEAR` bits.
"""

from itertools import combinations

import cv2
import numpy as np

NEAR = 10   # unrelated photos differ in 12 bits or more, a re-encoded, brightened or slightly cropped twin in fewer
BANDS = 4   # of 16 bits: where 11 bits or fewer differ, some band differs in at most two
CHANGES = sorted({a ^ b for a, b in combinations([0, 0, *(1 << bit for bit in range(16))], 2)})


def hashes(picture):
    """The hashes of a picture and of its mirror image."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.shape[-1] == 3 else picture[..., 0]
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    return _hash(small), _hash(small[:, ::-1])


def _hash(small):
    low = cv2.dct(np.ascontiguousarray(small))[:8, :8].ravel()
    return np.packbits(low > np.median(low[1:])).view(np.uint64)[0]


def twins(straight, mirrored):
    """Pairs (i, j) of pictures whose hashes are near, straight or mirrored."""
    straight, mirrored = np.asarray(straight, np.uint64), np.asarray(mirrored, np.uint64)
    found = [pairs for other in (straight, mirrored) for pairs in _near(straight, other)]
    pairs = np.concatenate([np.empty((0, 2), np.int64), *found])
    return np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)


def _near(left, right):
    """For every band and every one or two changed bits of it: where the bands agree, and all bits nearly do."""
    for band in range(BANDS):
        keys = (right >> np.uint64(16 * band)).astype(np.uint16)
        order = np.argsort(keys, kind="stable")
        wanted = (left >> np.uint64(16 * band)).astype(np.uint16)
        for change in CHANGES:
            pairs = _equal(wanted ^ np.uint16(change), keys[order], order)
            near = np.bitwise_count(left[pairs[:, 0]] ^ right[pairs[:, 1]]) <= NEAR
            yield pairs[near]


def _equal(wanted, sorted_keys, order):
    first, last = np.searchsorted(sorted_keys, wanted, "left"), np.searchsorted(sorted_keys, wanted, "right")
    counts = last - first
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack([np.repeat(np.arange(len(wanted)), counts), order[np.repeat(first, counts) + offsets]], 1)


def join_sources(sources, pairs):
    """Sources with twins joined: each picture's source becomes the first name among those it is tied to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, number = np.unique(np.asarray(sources, dtype=object).astype(str), return_inverse=True)
    ties = number[pairs]
    graph = coo_array((np.ones(len(ties)), (ties[:, 0], ties[:, 1])), shape=(len(names),) * 2)
    group = connected_components(graph, directed=False)[1]
    first = {}
    for name, label in zip(names, group, strict=True):
        first.setdefault(label, str(name))
    return [first[group[n]] for n in number]
