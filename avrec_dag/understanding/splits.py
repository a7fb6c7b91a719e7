"""Splits that keep everything cut from one recording on one side."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def folds_of(classes: Sequence[int] | NDArray[np.int64], sources: Sequence[str], seed: int, most: int = 5) -> NDArray[np.int64]:
    """The fold of each example: grouped by source, stratified by class as far as the groups allow, shuffled by seed.

    Args:
        classes: Class of each example.
        sources: Source of each example.
        seed: Decides the shuffle.
        most: Folds at most; fewer when the middling class has fewer sources.

    Returns:
        int64 (n,), from 0 to the number of folds - 1, each of which has an example.

    Raises:
        ValueError: There are fewer than two sources.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    labels, groups = np.asarray(classes, np.int64), np.unique(np.asarray(sources), return_inverse=True)[1]
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise ValueError(f"splitting {len(labels)} examples: found {n_groups} source, expected at least 2; label clips of more recordings")
    per_class = [len(np.unique(groups[labels == one])) for one in np.unique(labels)]
    count = min(max(int(np.median(per_class)), 2), most, n_groups)
    if max(np.bincount(labels)) < count:  # no class is large enough to stratify by
        return (np.random.default_rng(seed).permutation(n_groups)[groups] % count).astype(np.int64)
    fold = np.zeros(len(labels), np.int64)
    with warnings.catch_warnings():
        # A class with fewer examples than there are folds is missing from some of them, which grouping makes unavoidable.
        warnings.filterwarnings("ignore", message="The least populated class in y")
        splitter: Any = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        for number, (_, test) in enumerate(splitter.split(np.zeros((len(labels), 1)), labels, groups)):
            fold[test] = number
    fold = np.unique(fold, return_inverse=True)[1].astype(np.int64)
    if not fold.any():
        fold[groups == groups[0]] = 1
    return fold
