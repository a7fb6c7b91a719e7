"""Accuracy per user from where the relevant items stand: standard definitions for any number of relevant items.

Järvelin and Kekäläinen 2002 (NDCG, binary gain, log2 discount, ideal over min(k, relevant)); Manning, Raghavan and Schütze 2008, chapter 8
(precision, recall, average precision, reciprocal rank).
"""

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.evaluation.ranking import Ranked

CUTOFFS = (5, 10, 20)


def per_user(ranked: Ranked, k: int) -> dict[str, NDArray[np.float64]]:
    """Metrics at a cutoff.

    Args:
        ranked: Ranks at least up to `k`.
        k: Places that count.

    Returns:
        Each (users,) float64 in [0, 1]: `hit@k` (1 when any relevant item is found), `ndcg@k`, `recall@k` (over all relevant items),
        `precision@k` (over k places), `map@k` (average precision over min(k, relevant) items), `mrr@k` (0 when nothing is found).
    """
    m = len(ranked.n_relevant)
    inside = ranked.ranks <= k
    users, ranks = ranked.users[inside], ranked.ranks[inside]
    found = np.bincount(users, minlength=m)
    # Ranks ascend within a user, so a found item's number among them is how many relevant ones stand up to it.
    nth = np.arange(len(users)) - (np.cumsum(found) - found)[users] + 1
    best = np.minimum(ranked.n_relevant, k)
    ideal = np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))[best - 1]
    first = np.zeros(m)
    first[users[nth == 1]] = 1.0 / ranks[nth == 1]
    return {
        f"hit@{k}": (found > 0).astype(np.float64),
        f"ndcg@{k}": np.bincount(users, weights=1.0 / np.log2(ranks + 1.0), minlength=m) / ideal,
        f"recall@{k}": found / ranked.n_relevant,
        f"precision@{k}": found / k,
        f"map@{k}": np.bincount(users, weights=nth / ranks, minlength=m) / best,
        f"mrr@{k}": first,
    }


def all_cutoffs(ranked: Ranked) -> dict[str, NDArray[np.float64]]:
    """`per_user` at each of `CUTOFFS`."""
    return {name: values for k in CUTOFFS for name, values in per_user(ranked, k).items()}
