"""What accuracy does not see: how lists treat the catalogue, how new, varied, fair to taste and good what they show is.

Everything is computed from the first k of each list against what was known when they were made.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.recommend import metrics
from avrec_dag.recommend.models.base import Interactions

CLASSES = 20
MAX_LISTS = 2000
"""Distances are measured within so many lists at most, drawn with the seed."""
_SMOOTHING = 0.01
_PULL = 5.0
"""The quality of an item is its mean rating, with so many ratings of the overall mean added."""


@dataclass(frozen=True)
class Background:
    """What the lists of every model are held against.

    Attributes:
        met: (users, items) ones: the histories that the lists were made from.
        support: (items,) int64: how many users met each item.
        classes: (items,) int64: a class of each item, from 0.
        classes_from: What the classes are: `content` or `popularity`.
        vectors: (items, d) unit rows, dense of content or sparse of audience; distances are 1 less their products.
        distances_from: `content` or `audience`.
        quality: (items,) float64 in [0, 1]; None where nobody rated.
    """

    met: sp.csr_matrix
    support: NDArray[np.int64]
    classes: NDArray[np.int64]
    classes_from: str
    vectors: NDArray[np.float32] | sp.csr_matrix
    distances_from: str
    quality: NDArray[np.float64] | None


def background(known: Interactions, ratings: NDArray[np.float32] | None, *, seed: int = 0) -> Background:
    """Gather what is known.

    Where items have content, distance is that of content and classes are clusters of it. Where they have none, two items are as near as
    the cosine of who met them, and the classes are by popularity: the head that draws a fifth of all events, the tail that draws the last
    fifth, and the middle (Abdollahpouri et al., "User-centered Evaluation of Popularity Bias in Recommender Systems", UMAP 2021).

    Args:
        known: Histories that lists are made from.
        ratings: (events of `known`,) what was given; None where nothing was.
        seed: Of the clusters.
    """
    met = known.met
    support = np.bincount(met.indices, minlength=len(known.items)).astype(np.int64)
    quality = None if ratings is None else _quality(known, ratings)
    if known.vectors is not None and known.vectors.any():
        return Background(met, support, _clusters(known.vectors, seed), "content", known.vectors, "content", quality)
    audience = sp.csr_matrix(met.T)
    norms = np.sqrt(np.maximum(support, 1)).astype(np.float32)
    audience = sp.csr_matrix(sp.diags_array(1 / norms) @ audience)
    return Background(met, support, _by_popularity(support), "popularity", audience, "audience", quality)


def _clusters(vectors: NDArray[np.float32], seed: int) -> NDArray[np.int64]:
    from scipy.cluster.vq import kmeans2

    described = np.flatnonzero(vectors.any(axis=1))
    k = min(CLASSES, max(1, len(described) // 5))
    classes = np.full(len(vectors), k, np.int64)
    with warnings.catch_warnings():
        # A cluster may run empty (titles that are all alike): then there is one class less.
        warnings.simplefilter("ignore", UserWarning)
        _, classes[described] = kmeans2(vectors[described].astype(np.float64), k, minit="++", rng=np.random.default_rng(seed))
    return classes


def _by_popularity(support: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(-support, kind="stable")
    share = (np.cumsum(support[order]) - support[order]) / max(int(support.sum()), 1)
    classes = np.empty(len(support), np.int64)
    classes[order] = np.where(share < 0.2, 0, np.where(share < 0.8, 1, 2))
    return classes


def _quality(known: Interactions, ratings: NDArray[np.float32]) -> NDArray[np.float64] | None:
    low, high = float(ratings.min(initial=np.inf)), float(ratings.max(initial=-np.inf))
    if not low < high:
        return None
    scaled = (ratings.astype(np.float64) - low) / (high - low)
    n = len(known.items)
    counts = np.bincount(known.columns, minlength=n)
    return (np.bincount(known.columns, weights=scaled, minlength=n) + _PULL * scaled.mean()) / (counts + _PULL)


def measured(
    lists: NDArray[np.int32], users: NDArray[np.int64], relevant: sp.csr_matrix, base: Background, k: int, *, seed: int
) -> dict[str, float]:
    """Means over lists.

    Args:
        lists: (m, >= k) columns, best first, -1 at the end of short ones.
        users: (m,) row of each list's user.
        relevant: (m, items) ones: what was to be found.
        base: From `background`.
        k: Places that count.
        seed: Of the lists in which distances are measured.

    Returns:
        `coverage@k` share of all items shown to anybody; `gini@k` how unevenly places go to items; `novelty@k` mean self-information in
        bits (Castells, Vargas and Wang 2011); `serendipity@k` (as RecTools defines it: relevant items by how much higher they stand than
        by popularity); `popularity@k` mean number of people who met what is shown; `popularity_bias@k` by what share that is more than in
        the histories (Abdollahpouri 2019; 0: none); `calibration_error@k` Kullback-Leibler divergence of the list's classes from the
        history's (Steck 2018), in nats; `intra_list_distance@k`; `quality@k` where items were rated.
    """
    lists = lists[:, :k]
    shown = lists >= 0
    n = len(base.support)
    counts = np.bincount(lists[shown], minlength=n)
    met = sp.csr_matrix(base.met[users])
    found = {
        f"coverage@{k}": float(np.count_nonzero(counts) / max(n, 1)),
        f"gini@{k}": metrics.gini(counts),
        f"novelty@{k}": _mean(_bits(base), lists, shown),
        f"serendipity@{k}": _serendipity(lists, shown, relevant, base.support),
        f"popularity@{k}": _mean(base.support.astype(np.float64), lists, shown),
        f"popularity_bias@{k}": _lift(lists, shown, met, base.support),
        f"calibration_error@{k}": _calibration_error(lists, shown, met, base.classes),
        f"intra_list_distance@{k}": _distance(lists, base.vectors, seed),
    }
    if base.quality is not None:
        found[f"quality@{k}"] = _mean(base.quality, lists, shown)
    return found


def _bits(base: Background) -> NDArray[np.float64]:
    """(items,) -log2 of the share of people with a history who met each; nobody counts as one."""
    people = max(1, np.count_nonzero(np.diff(base.met.indptr)))
    return 0.0 - np.log2(np.maximum(base.support, 1) / people)


def _per_list(values: NDArray[np.float64], lists: NDArray[np.int32], shown: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(shown, values[lists], 0.0).sum(axis=1) / np.maximum(shown.sum(axis=1), 1)


def _mean(values: NDArray[np.float64], lists: NDArray[np.int32], shown: NDArray[np.bool_]) -> float:
    return float(_per_list(values, lists, shown).mean()) if len(lists) else 0.0


def _serendipity(lists: NDArray[np.int32], shown: NDArray[np.bool_], relevant: sp.csr_matrix, support: NDArray[np.int64]) -> float:
    n = len(support)
    distinct = np.unique(support[support > 0])
    # Items of one popularity share a rank; 1 is the most popular, and what nobody met is expected nowhere.
    rank = len(distinct) - np.searchsorted(distinct, support)
    anybody = np.where(support > 0, (n + 1.0 - rank) / n, 0.0)
    own = (n + 1.0 - np.arange(1, lists.shape[1] + 1)) / n
    hit = np.zeros(lists.shape)
    rows = np.repeat(np.arange(len(lists)), lists.shape[1]).reshape(lists.shape)
    hit[shown] = np.asarray(relevant[rows[shown], lists[shown]]).ravel() > 0
    surprise = np.maximum(own - anybody[lists], 0.0) * hit
    return float((surprise.sum(axis=1) / np.maximum(shown.sum(axis=1), 1)).mean()) if len(lists) else 0.0


def _lift(lists: NDArray[np.int32], shown: NDArray[np.bool_], met: sp.csr_matrix, support: NDArray[np.int64]) -> float:
    """Mean popularity of what is shown against that of what the same users met; 0 where nobody has a history."""
    lengths = np.diff(met.indptr)
    known = lengths > 0
    if not known.any():
        return 0.0
    before = (met @ support.astype(np.float64))[known] / lengths[known]
    after = _per_list(support.astype(np.float64), lists, shown)[known]
    return float(after.mean() / before.mean() - 1.0)


def _calibration_error(lists: NDArray[np.int32], shown: NDArray[np.bool_], met: sp.csr_matrix, classes: NDArray[np.int64]) -> float:
    n = int(classes.max(initial=0)) + 1
    member = sp.csr_matrix((np.ones(len(classes)), (np.arange(len(classes)), classes)), shape=(len(classes), n))
    wanted = np.asarray((met @ member).todense(), np.float64)
    rows = np.repeat(np.arange(len(lists)), lists.shape[1]).reshape(lists.shape)
    given = np.bincount(rows[shown] * n + classes[lists[shown]], minlength=len(lists) * n).reshape(-1, n).astype(np.float64)
    told = (wanted.sum(axis=1) > 0) & (given.sum(axis=1) > 0)
    if not told.any():
        return 0.0
    p = wanted[told] / wanted[told].sum(axis=1, keepdims=True)
    q = given[told] / given[told].sum(axis=1, keepdims=True)
    smoothed = (1 - _SMOOTHING) * q + _SMOOTHING * p
    ratio = np.divide(p, smoothed, out=np.ones_like(p), where=p > 0)
    return float((p * np.log(ratio)).sum(axis=1).mean())


def _distance(lists: NDArray[np.int32], vectors: NDArray[np.float32] | sp.csr_matrix, seed: int) -> float:
    """Mean over lists of the mean distance of every two of their items; lists of fewer than two items are left out."""
    able = np.flatnonzero((lists >= 0).sum(axis=1) >= 2)
    if len(able) > MAX_LISTS:
        able = np.sort(np.random.default_rng([seed, 2]).choice(able, MAX_LISTS, replace=False))
    total = 0.0
    for row in able:
        chosen = lists[row][lists[row] >= 0]
        k = len(chosen)
        alike = _products(vectors, chosen)
        total += 1.0 - (alike.sum() - np.trace(alike)) / (k * (k - 1))
    return total / len(able) if len(able) else 0.0


def _products(vectors: NDArray[np.float32] | sp.csr_matrix, chosen: NDArray[np.int32]) -> NDArray[np.float64]:
    if isinstance(vectors, np.ndarray):
        some = vectors[chosen].astype(np.float64)
        return some @ some.T
    few = sp.csr_matrix(vectors[chosen])
    return np.asarray((few @ few.T).toarray(), np.float64)
