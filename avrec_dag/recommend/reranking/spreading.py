"""Spreading a list over content, by one of five methods whose knob means about the same."""

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.reranking.knobs import Method

_SAME: dict[Method, float] = {"mmr": 1.0, "msd": 0.45, "dpp": 4.0, "ssd": 1.2, "swap": 0.45}
"""By what the odds of variety against relevance are multiplied, so that a knob in the middle spreads a list about as far whatever the
method: found on made candidates of 20 classes, by the mean distance within lists of 20."""
_ROUNDS = 5
"""So many swaps for each place at most: a list settles after about one."""
_MOST_EXPONENT = 20.0
"""A larger one leaves float32 where the determinantal process squares it."""


def spread(relevance: NDArray[np.float32], vectors: NDArray[np.float32], k: int, *, diversity: float, method: Method = "mmr") -> list[int]:
    """Choose k items, each for what it is and for what the ones before it are not.

    Args:
        relevance: (m,) float32 in [0, 1], best first.
        vectors: (m, d) float32 unit content vectors, zeros for an item without content.
        k: How many at most.
        diversity: In [0, 1]: 0 takes the first k, 1 looks at content alone.
        method: See `Method`.

    Returns:
        Places in [0, m) in the order of choice, none twice.
    """
    k = min(k, len(relevance))
    if diversity == 0.0 or k <= 1:
        return list(range(k))
    if method == "swap":
        return swapped(relevance, vectors, k, odds=_SAME[method] * diversity / max(1.0 - diversity, 1e-6))
    from pyversity import diversify

    raw, more = _own_scale(relevance, diversity, k, method)
    chosen = diversify(vectors, relevance, k, strategy=method, diversity=raw, **more)
    return list(dict.fromkeys(chosen.indices.tolist()))


def swapped(relevance: NDArray[np.float32], vectors: NDArray[np.float32], k: int, *, odds: float) -> list[int]:
    """Max-sum dispersion by local search: from the first k on, the best swap of one chosen for one left out, while any helps.

    What is maximised is the relevance of the chosen, each discounted by its place as in NDCG, the best first, and for each its mean
    distance to the others times the odds. The lower places cost least, so that it is them that variety takes. Discounted relevance is
    monotone and submodular; no swap is better at the end, which is at least half of the best set (Borodin et al. 2017, local search under
    a matroid).

    Args:
        relevance: (m,) float32 in [0, 1], best first.
        vectors: (m, d) float32 unit content vectors, zeros for an item without content.
        k: How many, from 2 to m.
        odds: Of mean distance against relevance, at least 0.

    Returns:
        Places in [0, m), ascending.
    """
    worth, content, discount = relevance.astype(np.float64), vectors.astype(np.float64), discounts(k)
    apart = (2.0 * odds / (k - 1)) * (1.0 - content @ content.T)
    np.fill_diagonal(apart, 0.0)
    inside, outside = np.arange(k), np.arange(k, len(worth))
    to_list = apart[:, :k].sum(axis=1)
    for _ in range(_ROUNDS * k if len(outside) else 0):
        gain = _exchanged(worth, inside, outside, discount) + to_list[outside] - to_list[inside, None] - apart[np.ix_(inside, outside)]
        out, into = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[out, into] <= 1e-9 * (1.0 + odds):
            break
        leaves, comes = inside[out], outside[into]
        inside[out], outside[into] = comes, leaves
        inside.sort()
        to_list += apart[:, comes] - apart[:, leaves]
    return inside.tolist()


def discounts(k: int) -> NDArray[np.float64]:
    """(k,) what each place counts, as in NDCG (Järvelin and Kekäläinen 2002), 1 on average."""
    raw = 1.0 / np.log2(np.arange(2, k + 2))
    return raw / raw.mean()


def _exchanged(
    worth: NDArray[np.float64], inside: NDArray[np.int64], outside: NDArray[np.int64], discount: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(k, left out) what discounted relevance gains when one of `inside`, ascending, leaves for one of `outside`."""
    k = len(inside)
    stay = np.arange(k - 1) + (np.arange(k - 1) >= np.arange(k)[:, None])  # (k, k - 1) who is left when each leaves
    left, nobody = worth[inside[stay]], np.zeros((k, 1))
    above = np.hstack([nobody, np.cumsum(left * discount[:-1], axis=1)])  # of those that stand before a place
    below = np.hstack([np.cumsum((left * discount[1:])[:, ::-1], axis=1)[:, ::-1], nobody])  # of those that move down from it
    place = np.searchsorted(inside, outside) - (inside[:, None] < outside)
    return np.take_along_axis(above + below, place, axis=1) + worth[outside] * discount[place] - float(worth[inside] @ discount)


def _own_scale(relevance: NDArray[np.float32], diversity: float, k: int, method: Method) -> tuple[float, dict[str, float | bool]]:
    """What each method of pyversity calls as much: its own knob and what else it takes."""
    odds = _SAME[method] * diversity / max(1.0 - diversity, 1e-6)
    if method == "msd":  # which adds up distances to all that were chosen, half of k on average
        odds *= 2.0 / k
    if method == "dpp":  # whose relevance counts by an exponent: pyversity multiplies (1 - diversity) by the scale to get it
        highest = float((relevance.max() - relevance.mean()) / max(relevance.std(), 1e-6))
        exponent = min(1.0 / odds, _MOST_EXPONENT / max(highest, 1.0))
        return diversity, {"scale": exponent / max(1.0 - diversity, 1e-6)}
    return odds / (1.0 + odds), {"normalize_scores": False} if method == "ssd" else {}
