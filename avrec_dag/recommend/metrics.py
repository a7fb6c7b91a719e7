"""How good lists are: accuracy against held-out behaviour, and what accuracy does not see.

Rank-based metrics take the rank of the one held-out item among all items (full ranking), ties counted half, so a model that gives
every item the same score ranks it in the middle. NDCG: Järvelin and Kekäläinen 2002, binary gain.
"""

from collections.abc import Collection, Sequence

import numpy as np


def fractional_ranks(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Rank of each row's target: 1 + items scored higher + half of the others scored the same.

    Args:
        scores: (m, n) float; -inf where an item cannot be recommended.
        targets: (m,) int, the column of each row's held-out item.

    Returns:
        (m,) float64, at least 1.
    """
    own = np.take_along_axis(scores, targets[:, None], axis=1)
    higher = (scores > own).sum(axis=1)
    same = (scores == own).sum(axis=1) - 1
    return 1.0 + higher + 0.5 * same


def of_ranks(ranks: np.ndarray, k: int = 10) -> dict[str, np.ndarray]:
    """Accuracy per person from the rank of their one held-out item (inf: not on the list).

    With one relevant item, recall equals the hit rate, and average precision the reciprocal rank.

    Returns:
        ndcg@k, recall@k, hit_rate@k, map and mrr, each (m,) float64 in [0, 1].
    """
    hit = (ranks <= k).astype(np.float64)
    return {
        f"ndcg@{k}": hit / np.log2(ranks + 1.0, where=np.isfinite(ranks), out=np.full(ranks.shape, np.inf)),
        f"recall@{k}": hit,
        f"hit_rate@{k}": hit,
        "map": 1.0 / ranks,
        "mrr": 1.0 / ranks,
    }


def precision(recommended: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Share of the first k places that hold a relevant item, in [0, 1]."""
    return sum(item in relevant for item in recommended[:k]) / k


def recall(recommended: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Share of the relevant items among the first k, in [0, 1]; 0 when nothing is relevant."""
    return sum(item in relevant for item in recommended[:k]) / max(len(relevant), 1)


def ndcg(recommended: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Discounted gain of the first k over that of a perfect list, in [0, 1]; 0 when nothing is relevant."""
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    gained = sum(discounts[place] for place, item in enumerate(recommended[:k]) if item in relevant)
    return float(gained / max(discounts[: len(relevant)].sum(), 1e-12))


def average_precision(recommended: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Mean over the relevant items (at most k) of the precision where each stands, in [0, 1]; 0 when nothing is relevant."""
    found, total = 0, 0.0
    for place, item in enumerate(recommended[:k], start=1):
        if item in relevant:
            found += 1
            total += found / place
    return total / max(min(len(relevant), k), 1)


def reciprocal_rank(recommended: Sequence[str], relevant: Collection[str]) -> float:
    """1 / the place of the first relevant item, in [0, 1]; 0 when there is none."""
    return next((1.0 / place for place, item in enumerate(recommended, start=1) if item in relevant), 0.0)


def coverage(lists: Sequence[Sequence[int]], n_items: int) -> float:
    """Share of all items that at least one list holds, in [0, 1]."""
    return len({item for chosen in lists for item in chosen}) / max(n_items, 1)


def novelty(lists: Sequence[Sequence[int]], support: np.ndarray, n_people: int) -> float:
    """Mean self-information of the recommended items in bits: -log2 of the share of people who liked each (one more counted)."""
    places = np.array([item for chosen in lists for item in chosen], dtype=np.int64)
    if not len(places):
        return 0.0
    return float(-np.log2((support[places] + 1.0) / (n_people + 1.0)).mean())


def intra_list_distance(vectors: np.ndarray) -> float:
    """Mean cosine distance over all pairs of one list: (k, d) unit vectors -> [0, 2]; 0 for fewer than two."""
    k = len(vectors)
    if k < 2:
        return 0.0
    similarity = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    return float(1.0 - (similarity.sum() - np.trace(similarity)) / (k * (k - 1)))


def gini(counts: np.ndarray) -> float:
    """How unevenly places go to items: 0 when all get as many, near 1 when one gets all. (n,) counts, at least 0."""
    ordered, n = np.sort(counts.astype(np.float64)), len(counts)
    total = ordered.sum()
    if n == 0 or total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def bootstrap_interval(values: np.ndarray, *, seed: int, draws: int = 2000, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over people (Efron 1979): (m,) -> low, high; (0, 0) when empty."""
    if not len(values):
        return 0.0, 0.0
    rng = np.random.default_rng(seed)
    means = np.array([values[rng.integers(0, len(values), len(values))].mean() for _ in range(draws)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
