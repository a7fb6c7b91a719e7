"""What an update of a classifier learns from besides the news, and which fold an example stays in for good."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def herded(features: Matrix, count: int) -> NDArray[np.int64]:
    """The positions whose mean is closest to the mean of all, chosen one after the other (herding; iCaRL, Rebuffi et al. 2017).

    Args:
        features: float32 (n, d), one class.
        count: How many at most.

    Returns:
        int64 (min(n, count),), in the order chosen: any beginning of it is the best of its length that the greedy choice finds.
    """
    unit = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    mean, total = unit.mean(axis=0), np.zeros(unit.shape[1], unit.dtype)
    left = np.ones(len(unit), bool)
    chosen = []
    for number in range(1, min(count, len(unit)) + 1):
        distance = np.linalg.norm(mean - (total + unit) / number, axis=1)
        best = int(np.where(left, distance, np.inf).argmin())
        chosen.append(best)
        left[best] = False
        total = total + unit[best]
    return np.array(chosen, np.int64)


def replayed(features: Matrix, classes: NDArray[np.int64], known: NDArray[np.int64], per_class: int) -> NDArray[np.int64]:
    """Positions of known examples to learn again beside new ones: `per_class` of each class, or all where it has fewer.

    Args:
        features: float32 (n, ...), one row per example.
        classes: int64 (n,).
        known: int64, the positions a model has learned from before.
        per_class: Exemplars of each class at most, chosen by herding.
    """
    kept = []
    for one in np.unique(classes[known]):
        mine = known[classes[known] == one]
        kept.append(mine if len(mine) <= per_class else mine[herded(features[mine].reshape(len(mine), -1), per_class)])
    return np.sort(np.concatenate(kept)) if kept else np.empty(0, np.int64)


def kept_folds(
    media_ids: Sequence[str], groups: Sequence[str], classes: NDArray[np.int64], before: Mapping[str, int], count: int
) -> NDArray[np.int64] | None:
    """The fold of each example where old ones stay in theirs, so that no model is ever judged on what it or its forebears saw.

    A new group goes to the fold with the fewest examples of its class, and among those to the smallest.

    Args:
        media_ids: One per example.
        groups: What no split separates, one per example.
        classes: int64 (n,).
        before: Item -> fold of those known before; others may be in it that have no example any more.
        count: Folds.

    Returns:
        int64 (n,); None where a group has come to join examples of different folds: only folds made anew keep it on one side.
    """
    fold = np.array([before.get(media_id, -1) for media_id in media_ids], np.int64)
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    n_classes = int(classes.max()) + 1
    filled = np.zeros((count, n_classes), np.int64)
    waiting = []
    for group in np.unique(numbers):
        mine = np.flatnonzero(numbers == group)
        seen = np.unique(fold[mine][fold[mine] >= 0])
        if len(seen) > 1:
            return None
        if len(seen):
            fold[mine] = seen[0]
            np.add.at(filled[seen[0]], classes[mine], 1)
        else:
            waiting.append(mine)
    for mine in sorted(waiting, key=lambda rows: (-len(rows), media_ids[rows[0]])):
        needed = filled[:, np.unique(classes[mine])].sum(axis=1)
        place = int(np.lexsort((np.arange(count), filled.sum(axis=1), needed))[0])
        fold[mine] = place
        np.add.at(filled[place], classes[mine], 1)
    return fold
