"""All items ranked for everyone who has something to be found, in batches: places of what was to be found, and lists.

Full ranking: every item of the file that the user has not met is a candidate, none is sampled (Krichene and Rendle, "On Sampled Metrics
for Item Recommendation", KDD 2020). Ties count half: of t candidates with one score, r of them to be found, the j-th of those stands at
j (t + 1) / (r + 1) of the t places, where it is on average when ties are broken at random.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.errors import AvrecError
from avrec_dag.recommend.models.base import Interactions

K = 20
"""Places that are looked at; what stands further back has not been found."""
CELLS = 1 << 22
"""Scores held at once: 16 MB of float32, and a few times that while they are sorted."""
MAX_ROWS = 1024

Score = Callable[[Interactions], NDArray[np.float32]]


@dataclass(frozen=True)
class Wanted:
    """Who is to be ranked, and what is to be found for each.

    Attributes:
        users: (m,) rows of the histories, ascending.
        relevant: (m, items) ones: what is to be found, none of it met before.
        n_met: Events left out because the user had met the item before.
    """

    users: NDArray[np.int64]
    relevant: sp.csr_matrix
    n_met: int


@dataclass(frozen=True)
class Ranked:
    """What one model made of it.

    Attributes:
        n_relevant: (m,) int64, at least 1: how many items were to be found for each user.
        users: (f,) place in `n_relevant` of each found item.
        ranks: (f,) float64 in [1, K]: where each stands, ascending within a user.
        lists: (m, K) int32 columns, best first; -1 where there are fewer candidates.
    """

    n_relevant: NDArray[np.int64]
    users: NDArray[np.int64]
    ranks: NDArray[np.float64]
    lists: NDArray[np.int32]


def wanted(histories: Interactions, targets: Interactions) -> Wanted:
    """What is to be found: every item of the targets that is not in the user's history.

    Args:
        histories: What is known of each user.
        targets: Events to be found, of the same users and items.
    """
    sought = targets.met
    fresh = sp.csr_matrix(sought - sought.multiply(histories.met))
    fresh.eliminate_zeros()
    users = np.flatnonzero(np.diff(fresh.indptr))
    return Wanted(users, sp.csr_matrix(fresh[users]), int(sought.nnz - fresh.nnz))


def ranked(
    score: Score, histories: Interactions, sought: Wanted, *, seed: int = 0, told: Callable[[int, int], None] | None = None
) -> Ranked:
    """Rank all items for the users who have something to be found.

    Args:
        score: From histories to (users, items) scores.
        histories: Of everybody, by the rows that `sought.users` names.
        sought: From `wanted`.
        seed: Of the order in which lists show items of one score.
        told: Called with the users done and the users there are.

    Raises:
        AvrecError: The scores have another shape, or are not finite.
    """
    n = len(histories.items)
    rows = int(np.clip(CELLS // max(n, 1), 1, MAX_ROWS))
    shuffled = np.random.default_rng(seed).permutation(n)
    parts = []
    for start in range(0, len(sought.users), rows):
        users = sought.users[start : start + rows]
        some = histories.of(users)
        scores = _checked(score(some), (len(users), n))
        scores[some.rows, some.columns] = -np.inf
        relevant = sp.csr_matrix(sought.relevant[start : start + rows])
        least = _least(scores)
        at, ranks = _places(scores, least, relevant)
        parts.append((at + start, ranks, _lists(scores, least, shuffled)))
        if told:
            told(min(start + rows, len(sought.users)), len(sought.users))
    empty = (np.empty(0, np.int64), np.empty(0), np.empty((0, K), np.int32))
    at, ranks, lists = (np.concatenate(column) for column in zip(empty, *parts, strict=True))
    return Ranked(np.diff(sought.relevant.indptr).astype(np.int64), at, ranks, lists)


def _checked(scores: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    if scores.shape != shape:
        raise AvrecError(f"the model gave scores of shape {scores.shape} where {shape} (users, items) were asked for")
    if not np.isfinite(scores).all():
        raise AvrecError("the model gave scores that are NaN or infinite")
    # A copy: what is written into it must not reach an array that the model keeps.
    return np.array(scores, dtype=np.float32)


def _least(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, 1) the K-th best score of each row; -inf where there are no more than K items."""
    n = scores.shape[1]
    if n <= K:
        return np.full((len(scores), 1), -np.inf, np.float32)
    return -np.partition(-scores, K - 1, axis=1)[:, K - 1, None]  # from the top: numpy takes 15 times as long from below where most are 0


def _places(
    scores: NDArray[np.float32], least: NDArray[np.float32], relevant: sp.csr_matrix
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Row and rank of every relevant item that stands among the first `K`, by row and then rank."""
    rows = np.repeat(np.arange(len(scores)), np.diff(relevant.indptr))
    own = scores[rows, relevant.indices]
    # What is below the K-th best score of its row cannot be among the first K.
    near = own >= least[rows, 0]
    rows, own = rows[near], own[near]
    order = np.lexsort((-own, rows))
    rows, own = rows[order], own[order]
    higher, same = _compared(scores, rows, own)
    first = np.ones(len(rows), np.bool_)
    first[1:] = (rows[1:] != rows[:-1]) | (own[1:] != own[:-1])
    group = np.cumsum(first) - 1
    sizes = np.bincount(group)
    nth = np.arange(len(rows)) - np.flatnonzero(first)[group] + 1
    ranks = higher + nth * (same + 1) / (sizes[group] + 1)
    found = ranks <= K
    return rows[found], ranks[found]


def _compared(
    scores: NDArray[np.float32], rows: NDArray[np.int64], own: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many candidates of each row score higher than `own`, and how many the same (itself included)."""
    higher, same = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    step = max(1, CELLS // max(scores.shape[1], 1))
    for start in range(0, len(rows), step):
        some = slice(start, start + step)
        there, mine = scores[rows[some]], own[some, None]
        higher[some] = np.count_nonzero(there > mine, axis=1)
        same[some] = np.count_nonzero(there == mine, axis=1)
    return higher, same


def _lists(scores: NDArray[np.float32], least: NDArray[np.float32], shuffled: NDArray[np.int64]) -> NDArray[np.int32]:
    """The first `K` items of each row; of equal scores, those that come first in `shuffled`."""
    rows, columns = np.nonzero((scores >= least) & (scores > -np.inf))
    order = np.lexsort((shuffled[columns], -scores[rows, columns], rows))
    counts = np.bincount(rows, minlength=len(scores))
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = place < K
    lists = np.full((len(scores), K), -1, np.int32)
    lists[rows[kept], place[kept]] = columns[order][kept]
    return lists
