"""From scores to a list: the best items, spread out over content."""

from typing import Literal

import numpy as np

Method = Literal["mmr", "msd", "dpp", "ssd"]
"""Maximal marginal relevance (Carbonell and Goldstein 1998), max-sum dispersion (Borodin et al. 2017), greedy determinantal point process
(Chen et al. 2018), sliding spectrum decomposition (Huang et al. 2021); all by pyversity."""
POOL_PER_ITEM = 5
"""Diversity may choose among so many times k of the best items: whatever lies deeper is not worth showing for variety's sake."""


def rerank(scores: np.ndarray, vectors: np.ndarray, k: int, *, diversity: float = 0.0, method: Method = "mmr") -> list[int]:
    """Choose at most k items.

    Args:
        scores: (n,) float; -inf means never.
        vectors: (n, d) float32 content vectors.
        k: How many at most.
        diversity: 0 orders by score (equal ones by position), 1 spreads regardless of it.
        method: See `Method`.

    Returns:
        Positions of the chosen items, best first, none twice.

    Raises:
        ValueError: When diversity is outside [0, 1] or k is negative.
    """
    if not 0.0 <= diversity <= 1.0 or k < 0:
        raise ValueError(f"diversity must lie in [0, 1] and k be at least 0, found {diversity} and {k}")
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    if diversity == 0.0 or len(order) <= 1 or k == 0:
        return order[:k].tolist()
    from pyversity import diversify

    pool = order[: max(k * POOL_PER_ITEM, 50)]
    relevance = scores[pool].astype(np.float32)
    spread = float(relevance[0] - relevance[-1])
    relevance = (relevance - relevance[-1]) / spread if spread > 0 else np.ones_like(relevance)
    chosen = diversify(vectors[pool], relevance, min(k, len(pool)), strategy=method, diversity=diversity)
    return list(dict.fromkeys(pool[chosen.indices].tolist()))
