"""Splits that keep everything cut from one recording, made by one creator or looking the same on one side."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAR_DUPLICATE = 0.985
"""Correlation of two items' picture vectors from which on they count as one picture."""
_ROWS = 1024


def folds_of(classes: Sequence[int] | NDArray[np.int64], groups: Sequence[str], seed: int, most: int = 5) -> NDArray[np.int64]:
    """The fold of each example: whole groups, stratified by class as far as the groups allow, shuffled by seed.

    Args:
        classes: Class of each example.
        groups: What no split separates, as `groups_of` finds it.
        seed: Decides the shuffle.
        most: Folds at most; fewer when the middling class has fewer groups.

    Returns:
        int64 (n,), from 0 to the number of folds - 1, each of which has an example.

    Raises:
        ValueError: There are fewer than two groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    labels, numbers = np.asarray(classes, np.int64), np.unique(np.asarray(groups), return_inverse=True)[1]
    n_groups = len(np.unique(numbers))
    if n_groups < 2:
        raise ValueError(f"splitting {len(labels)} examples: found {n_groups} source, expected at least 2; label clips of more recordings")
    per_class = [len(np.unique(numbers[labels == one])) for one in np.unique(labels)]
    count = min(max(int(np.median(per_class)), 2), most, n_groups)
    if max(np.bincount(labels)) < count:  # no class is large enough to stratify by
        return (np.random.default_rng(seed).permutation(n_groups)[numbers] % count).astype(np.int64)
    fold = np.zeros(len(labels), np.int64)
    with warnings.catch_warnings():
        # A class with fewer examples than there are folds is missing from some of them, which grouping makes unavoidable.
        warnings.filterwarnings("ignore", message="The least populated class in y")
        splitter: Any = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        for number, (_, test) in enumerate(splitter.split(np.zeros((len(labels), 1)), labels, numbers)):
            fold[test] = number
    fold = np.unique(fold, return_inverse=True)[1].astype(np.int64)
    if not fold.any():
        fold[numbers == numbers[0]] = 1
    return fold


def groups_of(
    classes: Sequence[int] | NDArray[np.int64],
    sources: Sequence[str],
    creators: Sequence[str | None],
    alike: Iterable[tuple[int, int]] = (),
) -> tuple[tuple[str, ...], str]:
    """What no split may separate: examples joined by a common source, a common creator, or by being near-duplicates, directly or in turn.

    Creators are left aside where they would leave a class with a single group, or more than half of all examples in one: somebody who
    made everything must not glue the library together.

    Args:
        classes: Class of each example.
        sources: Source of each.
        creators: Creator of each; None or empty where nobody is named.
        alike: Pairs of positions that are near-duplicates.

    Returns:
        A group for each example, and what the groups stand for, in words.
    """
    pairs, labels = list(alike), np.asarray(classes, np.int64)
    by_source = _joined(len(sources), [*_common(sources), *pairs])
    named = list(_common(creators))
    also = "" if not pairs else " and near-duplicates"
    if not named:
        return _names(by_source), f"grouped by source{also}"
    by_both = _joined(len(sources), [*_common(sources), *pairs, *named])
    if _usable(labels, by_both, by_source):
        return _names(by_both), f"grouped by source, creator{also}"
    return _names(by_source), f"grouped by source{also}; not by creator, as too few made too much"


def _usable(labels: NDArray[np.int64], wanted: NDArray[np.int64], otherwise: NDArray[np.int64]) -> bool:
    if np.bincount(wanted).max() * 2 > len(wanted):
        return False
    return all(len(np.unique(wanted[labels == one])) >= min(2, len(np.unique(otherwise[labels == one]))) for one in np.unique(labels))


def _common(values: Sequence[str | None]) -> Iterator[tuple[int, int]]:
    """Pairs that join the positions of each value; those without a value are joined to none."""
    first: dict[str, int] = {}
    for place, value in enumerate(values):
        if value:
            yield first.setdefault(value, place), place


def _joined(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """Number of the connected component of each position."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array([*pairs], np.int64).reshape(-1, 2)
    edges = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(count, count))
    return connected_components(edges, directed=False)[1].astype(np.int64)


def _names(numbers: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(f"group {number}" for number in numbers)


def near_duplicates(vectors: NDArray[np.float32], least: float = NEAR_DUPLICATE) -> Iterator[tuple[int, int]]:
    """Pairs of positions whose vectors have a cosine of at least `least`, the first smaller than the second.

    Exact, a thousand rows at a time, so that memory stays within 1,024 x n numbers.

    Args:
        vectors: float32 (n, d), unit rows, or zeros for what has none.
        least: Cosine.
    """
    for start in range(0, len(vectors), _ROWS):
        near = vectors[start : start + _ROWS] @ vectors[start:].T >= least
        rows, columns = np.nonzero(np.triu(near, 1))
        yield from zip((rows + start).tolist(), (columns + start).tolist(), strict=True)


def apart(pairs: Iterable[tuple[int, int]], fold: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Those of the pairs that a split separates."""
    return [(one, other) for one, other in pairs if fold[one] != fold[other]]
