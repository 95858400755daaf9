"""The harmonic fill of two boxes per image: this project's, and SciPy's sparse direct solver; `fill SIDE COUNT`."""

import sys

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

from benchmarks import _data
from benchmarks._process import serve
from pixmend.data.damage import count_boxes
from pixmend.fills.harmonic import fill_harmonic

NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))   # rows and columns from a pixel


def fill_with_scipy(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Compute each missing pixel as the mean of its neighbours in the image: one sparse system, one solution per channel."""
    rows, columns = np.nonzero(mask)
    number = np.full(mask.shape, -1)   # of each missing pixel
    number[mask] = np.arange(len(rows))
    neighbour_count, known_sum = np.zeros(len(rows)), np.zeros((len(rows), image.shape[2]))
    pairs = []
    for row_step, column_step in NEIGHBOURS:
        y, x = rows + row_step, columns + column_step
        inside = (y >= 0) & (y < mask.shape[0]) & (x >= 0) & (x < mask.shape[1])
        pixels, y, x = np.flatnonzero(inside), y[inside], x[inside]
        neighbour_count += inside
        missing = mask[y, x]
        pairs.append((pixels[missing], number[y, x][missing]))
        known_sum[pixels[~missing]] += image[y, x][~missing]
    first, second = np.concatenate(pairs, axis=1)
    diagonal = np.arange(len(rows))
    values = np.r_[neighbour_count, -np.ones(len(first))]
    matrix = coo_array((values, (np.r_[diagonal, first], np.r_[diagonal, second]))).tocsc()
    filled = image.astype(np.float64)
    filled[mask] = splu(matrix).solve(known_sum)
    return filled


def make_examples(count: int, side: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return damaged images, float32 in 0..1, and their masks."""
    rng = np.random.default_rng(_data.SEED)
    examples = []
    for image in _data.cut_images(count, side):
        damaged, boxes = _data.damage_image(rng, image)
        examples.append((damaged / np.float32(255), count_boxes(boxes, damaged.shape) > 0))
    return examples


def compute_difference(examples: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the RMSE between both fills over the missing pixels."""
    squares = []
    for image, mask in examples:
        difference = fill_harmonic(image, mask) - fill_with_scipy(image, mask)
        squares.append((difference[mask] ** 2).mean())
    return float(np.sqrt(np.mean(squares)))


def main() -> None:
    side, count = map(int, sys.argv[1:])
    examples = make_examples(count, side)
    with threadpool_limits(1):
        serve(pixmend=lambda: len([fill_harmonic(*example) for example in examples]),
              scipy=lambda: len([fill_with_scipy(*example) for example in examples]),
              difference=lambda: compute_difference(examples))


if __name__ == "__main__":
    main()
