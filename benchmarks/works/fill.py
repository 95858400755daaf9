"""The harmonic fill of two boxes a picture: this project's, and SciPy's sparse direct solver; `fill SIDE COUNT`."""

import sys

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

from benchmarks import _data
from benchmarks._process import serve
from pixmend.data.damage import count_boxes
from pixmend.fills.harmonic import fill_harmonic


def solved(picture, mask):
    """Each missing pixel as the mean of its neighbours within the picture: one sparse system, one solve a channel."""
    height, width = mask.shape
    number = np.full((height, width), -1)
    number[mask] = np.arange(mask.sum())
    rows, columns = np.nonzero(mask)
    degree, known = np.zeros(len(rows)), np.zeros((len(rows), picture.shape[2]))
    links = []
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        y, x = rows + down, columns + right
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        here, y, x = np.flatnonzero(inside), y[inside], x[inside]
        degree += inside
        missing = mask[y, x]
        links.append((here[missing], number[y, x][missing]))
        known[here[~missing]] += picture[y, x][~missing]
    one, other = np.concatenate(links, axis=1)
    diagonal = np.arange(len(rows))
    matrix = coo_array((np.r_[degree, -np.ones(len(one))], (np.r_[diagonal, one], np.r_[diagonal, other]))).tocsc()
    filled = picture.astype(np.float64)
    filled[mask] = splu(matrix).solve(known)
    return filled


def main():
    side, count = map(int, sys.argv[1:])
    rng, damaged = np.random.default_rng(_data.SEED), []
    for picture in _data.pictures(count, side):
        seen, boxes = _data.damaged(rng, picture)
        damaged.append((seen / np.float32(255), count_boxes(boxes, seen.shape) > 0))

    def ours():
        return len([fill_harmonic(*one) for one in damaged])

    def scipy():
        return len([solved(*one) for one in damaged])

    def difference():
        """RMSE between both in the holes."""
        squares = [((fill_harmonic(*one) - solved(*one))[one[1]] ** 2).mean() for one in damaged]
        return float(np.sqrt(np.mean(squares)))

    with threadpool_limits(1):
        serve(ours=ours, scipy=scipy, difference=difference)


if __name__ == "__main__":
    main()
