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


def hash_image(picture):
    """The hashes of a picture and of its mirror image."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.shape[-1] == 3 else picture[..., 0]
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    return _hash(small), _hash(small[:, ::-1])


def _hash(small):
    low = cv2.dct(np.ascontiguousarray(small))[:8, :8].ravel()
    return np.packbits(low > np.median(low[1:])).view(np.uint64)[0]


def find_near_duplicates(straight, mirrored):
    """Yield pairs (i, j) of pictures whose hashes are near, straight or mirrored, some at a time; a pair may come again.

    Of pictures whose hashes are the same all are paired with the first, and the others with nothing else.
    """
    both = np.stack([np.asarray(straight, np.uint64), np.asarray(mirrored, np.uint64)], 1)
    (straight, mirrored), first, which = _different(both)
    yield _pairs(first[which], np.arange(len(both)))
    for other in (straight, mirrored):
        for band in range(BANDS):
            for left, right in _near(straight, other, band):
                yield _pairs(first[left], first[right])


def _different(both):
    """The different ones of pairs of hashes, where each comes first, and which of them each picture has."""
    different, first, which = np.unique(both, axis=0, return_index=True, return_inverse=True)
    return different.T, first, which.ravel()


def _pairs(left, right):
    """Each pair once, and no picture with itself."""
    return np.stack([left, right], 1)[left < right]


def _near(left, right, band):
    """For every one or two changed bits of a band, and none: where the bands agree, and all bits nearly do."""
    wanted, keys = ((hashes >> np.uint64(16 * band)).astype(np.uint16) for hashes in (left, right))
    order = np.argsort(keys, kind="stable")
    begin = np.concatenate([[0], np.bincount(keys, minlength=1 << 16).cumsum()])
    for change in CHANGES:
        key = (wanted ^ np.uint16(change)).astype(np.intp)
        i, j = _spread(begin[key], begin[key + 1])
        near = np.bitwise_count(left[i] ^ right[order[j]]) <= NEAR
        yield i[near], order[j[near]]


def _spread(first, last):
    """(n, place) of every place from first[n] up to last[n]."""
    counts = last - first
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(np.arange(len(counts)), counts), np.repeat(first, counts) + offsets


def join_sources(sources, pairs):
    """Sources with twins joined: each picture's source becomes the first name among those it is tied to.

    Pairs come some at a time, so that the many of a set of near-duplicates are never held all at once.
    """
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
    first = {}
    for name, label in zip(names, group, strict=True):
        first.setdefault(label, str(name))
    return [first[group[n]] for n in number]
