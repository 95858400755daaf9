"""Which training pictures are kept apart: whole sources at a time, the same share of every class, drawn by seed."""

from collections import Counter, defaultdict

import numpy as np


def choose_holdout(sources, kinds, share, seed):
    """The set of sources of the holdout. A class of one source alone stays in training."""
    sizes = Counter(sources)
    chosen = [_of_one_class(group, sizes, share) for group in _drawn(sources, kinds, seed)]
    return set().union(*chosen) or {min(sizes, key=lambda s: (sizes[s], s))}


def assign_folds(sources, kinds, count, seed):
    """Each source's fold, 1 to `count`. There must be as many sources as folds; then no fold is empty.

    The largest sources of a class come first, each to the fold that has the fewest pictures of that class, and of these to
    the one with the fewest pictures of all: a class's shares differ by its largest source at most.
    """
    sizes, fold_of, of_all = Counter(sources), {}, np.zeros(count, int)
    for group in _drawn(sources, kinds, seed):
        of_class = np.zeros(count, int)
        for source in sorted(group, key=lambda source: -sizes[source]):
            fold = np.lexsort((of_all, of_class))[0]
            fold_of[source] = int(fold) + 1
            of_class[fold] += sizes[source]
            of_all[fold] += sizes[source]
    return fold_of


def _drawn(sources, kinds, seed):
    """The sources of each class, in an order drawn by the seed."""
    by_kind, kind_of = defaultdict(list), {}
    for source, kind in zip(sources, kinds, strict=True):
        kind_of.setdefault(source, kind)
    for source in sorted(kind_of):
        by_kind[kind_of[source]].append(source)
    rng = np.random.default_rng(seed)
    return [[group[i] for i in rng.permutation(len(group))] for _, group in sorted(by_kind.items())]


def _of_one_class(group, sizes, share):
    """Sources in their drawn order, each taken where it brings the class nearer to its share."""
    wanted, taken, chosen = share * sum(sizes[s] for s in group), 0, set()
    for source in group:
        if len(chosen) < len(group) - 1 and abs(taken + sizes[source] - wanted) <= abs(taken - wanted):
            chosen.add(source)
            taken += sizes[source]
    return chosen
