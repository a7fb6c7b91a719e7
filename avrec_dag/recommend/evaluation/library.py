"""How well the recommender would have done: everyone's last liked item held out, ranked among all they had not met.

The split is in time: of each person with at least two liked items, the newest one is the target, and the model learns from nothing that
this person did from then on. What is compared: every model of the blend alone, the blend, and lists as served (the blend with quality
and diversity).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from avrec_dag.recommend import metrics
from avrec_dag.recommend.blend import Views, blend, opinions
from avrec_dag.recommend.evaluation import told
from avrec_dag.recommend.evaluation.variety import Curve, measured
from avrec_dag.recommend.interactions import HALF_LIFE_DAYS, Histories
from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.models.blend import Blend
from avrec_dag.recommend.reranking.candidates import best
from avrec_dag.recommend.reranking.knobs import Knobs
from avrec_dag.recommend.reranking.listing import Reranker, Shelf

K = 10
MAX_PEOPLE = 5000
"""Of more, a seeded sample is ranked: the interval is narrow by then."""
_BATCH = 256


@dataclass(frozen=True)
class Split:
    """What may be learned from, and what is to be found.

    Attributes:
        train: Everyone's history without what came at or after their target.
        people: (m,) rows of the people who have a target.
        targets: (m,) the column of each target.
    """

    train: Histories
    people: np.ndarray
    targets: np.ndarray


def leave_last_out(histories: Histories, *, half_life_days: float = HALF_LIFE_DAYS) -> Split:
    """Split every history at the newest liked item; weights are those that folding the rest alone would have given."""
    weights, last_s = histories.weights, histories.last_s
    kept = np.ones(weights.nnz, dtype=bool)
    factor = np.ones(weights.nnz)
    people, targets = [], []
    for person, (start, end) in enumerate(zip(weights.indptr, weights.indptr[1:], strict=False)):
        liked = np.flatnonzero(weights.data[start:end] > 0)
        if len(liked) < 2:
            continue
        at = last_s.data[start:end]
        target = start + liked[np.lexsort((weights.indices[start:end][liked], at[liked]))[-1]]
        earlier = at < last_s.data[target]
        if not (earlier & (weights.data[start:end] > 0)).any():
            continue
        people.append(person)
        targets.append(int(weights.indices[target]))
        kept[start:end] = earlier
        newest = at[earlier & (weights.data[start:end] > 0)].max()
        younger_s = last_s.data[target] - np.maximum(at, newest)  # than they were when the target was the newest liked item
        factor[start:end] = 2.0 ** (np.maximum(younger_s, 0.0) / (86400.0 * half_life_days))
    return Split(_thinned(histories, kept, factor), np.array(people, dtype=np.int64), np.array(targets, dtype=np.int64))


def _thinned(histories: Histories, kept: np.ndarray, factor: np.ndarray) -> Histories:
    weights, last_s = histories.weights, histories.last_s
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))[kept]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=weights.shape[0]))])
    faded = np.clip(weights.data * factor, -1, 1).astype(np.float32)[kept]

    def matrix(data: np.ndarray) -> sp.csr_matrix:
        return sp.csr_matrix((data, weights.indices[kept], indptr), shape=weights.shape)

    return replace(histories, weights=matrix(faded), last_s=matrix(last_s.data[kept]))


@dataclass(frozen=True)
class Evaluation:
    """The result.

    Attributes:
        values: model -> metric -> value; `ndcg@10_low` and `ndcg@10_high` bound the mean at 95 %.
        n_people: How many people were ranked.
        n_items: Among how many items.
        variety: What variety costs, by every way of spreading a list.
    """

    values: dict[str, dict[str, float]]
    n_people: int
    n_items: int
    variety: Curve


def evaluate(
    unfitted: Blend, histories: Histories, vectors: np.ndarray, quality: np.ndarray, *, knobs: Knobs | None = None, seed: int = 0
) -> Evaluation:
    """Split, fit and compare.

    Args:
        unfitted: What is measured; it is fitted here.
        histories: Over the catalogue's items.
        vectors: (items, d) float32 unit vectors (not centred).
        quality: (items,) float32 in [0, 1].
        knobs: Of the lists as served.
        seed: Of the sample of people and of the bootstrap.
    """
    split = leave_last_out(histories)
    if len(split.people) > MAX_PEOPLE:
        sample = np.sort(np.random.default_rng(seed).choice(len(split.people), MAX_PEOPLE, replace=False))
        split = replace(split, people=split.people[sample], targets=split.targets[sample])
    train = split.train.interactions(vectors)
    unfitted.fit(train, seed=seed)
    views = Views(histories.items, unfitted, vectors, quality)
    reranker, values = Reranker.of(Shelf.of(histories.items, views.vectors), split.train.liked), {}
    knobs = knobs or Knobs()
    for name, rank in _contestants(views, reranker, knobs).items():
        ranks, lists = _ranked(train, split, rank)
        values[name] = _measure(ranks, lists, views, vectors, len(histories.users), seed)
    curve = measured(views, reranker, train, split.people.tolist(), split.targets.tolist(), K, knobs=knobs, seed=seed)
    return Evaluation(values, len(split.people), len(histories.items), curve)


_Rank = Callable[[Interactions, np.ndarray], tuple[np.ndarray, list[list[int]]]]


def _contestants(views: Views, reranker: Reranker, knobs: Knobs) -> dict[str, _Rank]:
    """Name -> from histories and targets to ranks and lists of `K`."""

    def scored(score: Callable[[Interactions], np.ndarray]) -> _Rank:
        def rank(histories: Interactions, targets: np.ndarray) -> tuple[np.ndarray, list[list[int]]]:
            scores = np.where(histories.met.toarray() > 0, -np.inf, score(histories))
            return metrics.fractional_ranks(scores, targets), [best(row, K)[:K].tolist() for row in scores]

        return rank

    def served(histories: Interactions, targets: np.ndarray) -> tuple[np.ndarray, list[list[int]]]:
        final = blend(views, histories, quality=knobs.quality_share).final
        rows = (opinions(histories.of([row])) for row in range(len(final)))
        lists = [[one.position for one in reranker.listed(row, own, K, knobs)] for row, own in zip(final, rows, strict=True)]
        ranks = [chosen.index(target) + 1.0 if target in chosen else np.inf for chosen, target in zip(lists, targets, strict=True)]
        return np.array(ranks), lists

    alone = {component.name: scored(component.score) for component in views.model.components}
    return {**alone, "blend": scored(views.model.score), "served": served}


def _ranked(train: Interactions, split: Split, rank: _Rank) -> tuple[np.ndarray, list[list[int]]]:
    ranks: list[np.ndarray] = []
    lists: list[list[int]] = []
    for start in _batches(len(split.people)):
        some = train.of(split.people[start : start + _BATCH])
        some_ranks, some_lists = rank(some, split.targets[start : start + _BATCH])
        ranks.append(some_ranks)
        lists += some_lists
    return np.concatenate([np.empty(0), *ranks]), lists


def _batches(n: int) -> Iterator[int]:
    yield from range(0, n, _BATCH)


def _measure(ranks: np.ndarray, lists: list[list[int]], views: Views, vectors: np.ndarray, n_users: int, seed: int) -> dict[str, float]:
    accuracy = metrics.of_ranks(ranks, K)
    low, high = metrics.bootstrap_interval(accuracy[f"ndcg@{K}"], seed=seed)
    full = [chosen for chosen in lists if chosen]
    return {
        **{name: float(per_person.mean()) if len(per_person) else 0.0 for name, per_person in accuracy.items()},
        f"ndcg@{K}_low": low,
        f"ndcg@{K}_high": high,
        f"coverage@{K}": metrics.coverage(lists, len(views.support)),
        f"novelty_bits@{K}": metrics.novelty(lists, views.support, n_users),
        f"intra_list_distance@{K}": float(np.mean([metrics.intra_list_distance(vectors[chosen]) for chosen in full])) if full else 0.0,
        f"quality@{K}": float(np.mean([views.quality[chosen].mean() for chosen in full])) if full else 0.0,
    }


def picture(evaluation: Evaluation) -> bytes:
    """NDCG@10 by model with its interval, as a PNG."""
    metric = f"ndcg@{K}"
    heights = {name: (found[metric], found[f"{metric}_low"], found[f"{metric}_high"]) for name, found in evaluation.values.items()}
    title = f"Last liked item of {evaluation.n_people} people, ranked among {evaluation.n_items} items (95 % intervals)"
    return told.bars(heights, label=metric.upper(), title=title)
