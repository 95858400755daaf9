"""Which training pictures are kept apart: whole sources at a time, the same share of every class, drawn by seed."""

from collections import Counter, defaultdict

import numpy as np


def choose(sources, kinds, share, seed):
    """The set of sources of the holdout. A class of one source alone stays in training."""
    sizes, kind_of = Counter(sources), {}
    for source, kind in zip(sources, kinds, strict=True):
        kind_of.setdefault(source, kind)
    by_kind = defaultdict(list)
    for source in sorted(sizes):
        by_kind[kind_of[source]].append(source)
    rng = np.random.default_rng(seed)
    chosen = [_of_one_class([group[i] for i in rng.permutation(len(group))], sizes, share)
              for _, group in sorted(by_kind.items())]
    return set().union(*chosen) or {min(sizes, key=lambda s: (sizes[s], s))}


def _of_one_class(group, sizes, share):
    """Sources in their drawn order, each taken where it brings the class nearer to its share."""
    wanted, taken, chosen = share * sum(sizes[s] for s in group), 0, set()
    for source in group:
        if len(chosen) < len(group) - 1 and abs(taken + sizes[source] - wanted) <= abs(taken - wanted):
            chosen.add(source)
            taken += sizes[source]
    return chosen
