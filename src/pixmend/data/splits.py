"""The choice of holdout images: all images of a source together, the same share of each class, drawn by a seed."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np


def choose_holdout(sources: Sequence[str], labels: Sequence[str], share: float, seed: int) -> set[str]:
    """Return the sources of the holdout, given source and label of each image. A class with one source stays in training."""
    sizes = Counter(sources)
    holdout: set[str] = set()
    for group in _shuffle_by_class(sources, labels, seed):
        wanted, taken, most = share * sum(sizes[s] for s in group), 0, len(holdout) + len(group) - 1
        for source in group:   # each that brings the class nearer to its share
            if len(holdout) < most and abs(taken + sizes[source] - wanted) <= abs(taken - wanted):
                holdout.add(source)
                taken += sizes[source]
    return holdout or {min(sizes, key=lambda s: (sizes[s], s))}


def assign_folds(sources: Sequence[str], labels: Sequence[str], count: int, seed: int) -> dict[str, int]:
    """Return the fold of each source, 1 to `count`. With at least as many sources as folds, no fold is empty.

    Each source, the largest first, goes to the fold with the fewest images of its class; among equal folds, to the one with
    the fewest images in total. So the folds' shares of a class differ by its largest source at most.
    """
    sizes, of_all = Counter(sources), np.zeros(count, int)
    fold_of: dict[str, int] = {}
    for group in _shuffle_by_class(sources, labels, seed):
        of_class = np.zeros(count, int)
        for source in sorted(group, key=lambda source: -sizes[source]):
            fold = np.lexsort((of_all, of_class))[0]
            fold_of[source] = int(fold) + 1
            of_class[fold] += sizes[source]
            of_all[fold] += sizes[source]
    return fold_of


def _shuffle_by_class(sources: Sequence[str], labels: Sequence[str], seed: int) -> list[list[str]]:
    """Return the sources of each class, in an order drawn by the seed."""
    by_label: dict[str, list[str]] = defaultdict(list)
    label_of = dict(zip(reversed(sources), reversed(labels), strict=True))   # the first label of each source
    for source, label in sorted(label_of.items()):
        by_label[label].append(source)
    rng = np.random.default_rng(seed)
    return [[group[i] for i in rng.permutation(len(group))] for _, group in sorted(by_label.items())]
