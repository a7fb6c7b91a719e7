"""One person's list, from their scores of all items: candidates, variety, the mix of classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.recommend.pool import Pool
from avrec_dag.recommend.reranking.calibrating import calibrated, lift, smoothed
from avrec_dag.recommend.reranking.candidates import Candidates, of_scores
from avrec_dag.recommend.reranking.knobs import Knobs
from avrec_dag.recommend.reranking.personal import Population, strength, taste_mix
from avrec_dag.recommend.reranking.spreading import spread

Because = Literal["score", "variety", "mix", "new"]
"""Why an item is on a list: its score alone would have put it there; it differs from what stands above it; its class was missing; hardly
anybody has met it, and it was its turn to be tried (`exploring`)."""
_MORE = 3
"""The mix of classes is chosen from so many times the places."""
_POPULAR = 0.2
"""So much of anybody's chances goes by what is popular, where chances are calibrated before the search: 0.1 to 0.3 did about as well."""
_LEAST_LIFT = 1e-3
"""Rounding of the probabilities of classes must not shut an item out."""


@dataclass(frozen=True, eq=False)
class Shelf:
    """What re-ranking knows of the items, in one order.

    Attributes:
        vectors: (items, d) float32 unit content vectors, zeros for an item without content.
        groups: (items,) int64, the group of copies of each.
        creators: (items,) int64, the creator of each, -1 where nobody named one.
        all_classes: (items, classes) float32 probabilities, summing to at most 1.
        class_names: One per column of `classes`.
        columns: Where the items stand in `vectors` and `all_classes`, where those are of more items.
    """

    vectors: NDArray[np.float32]
    groups: NDArray[np.int64]
    creators: NDArray[np.int64]
    all_classes: sp.csr_matrix
    class_names: tuple[str, ...]
    columns: NDArray[np.int64] | None = None

    def among(self, columns: NDArray[np.int64]) -> "Shelf":
        """Some of all items, ascending; their vectors stay where they are, and so do their classes until somebody asks for them."""
        return Shelf(self.vectors, self.groups[columns], self.creators[columns], self.all_classes, self.class_names, columns)

    @cached_property
    def classes(self) -> sp.csr_matrix:
        """(items, classes) float32 probabilities of the items."""
        return self.all_classes if self.columns is None else sp.csr_matrix(self.all_classes[self.columns])

    @cached_property
    def copied(self) -> NDArray[np.int64]:
        """Positions of the items that stand here more than once, ascending."""
        _, group, counts = np.unique(self.groups, return_inverse=True, return_counts=True)
        return np.flatnonzero(counts[group] > 1)

    def content(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, d) float32 vectors of the items at some positions."""
        return self.vectors[positions if self.columns is None else self.columns[positions]]

    @classmethod
    def of(
        cls,
        items: Sequence[str],
        vectors: NDArray[np.float32],
        *,
        groups: NDArray[np.int64] | None = None,
        creators: Mapping[str, str] | None = None,
        classes: Mapping[str, Mapping[str, float]] | None = None,
    ) -> "Shelf":
        """From what is known by id; unknown items are ignored, and what is not given is not known of any item."""
        makers, kinds = creators or {}, classes or {}
        number = {name: place for place, name in enumerate(sorted(set(makers.values())))}
        names = tuple(sorted({name for one in kinds.values() for name in one}))
        column = {name: place for place, name in enumerate(names)}
        cells = [(row, column[name], prob) for row, one in enumerate(items) for name, prob in kinds.get(one, {}).items()]
        rows, columns, probs = (np.array(part) for part in zip(*cells, strict=True)) if cells else (np.zeros(0, int),) * 3
        return cls(
            vectors,
            np.arange(len(items)) if groups is None else groups,
            np.array([number[makers[one]] if one in makers else -1 for one in items], dtype=np.int64),
            sp.csr_matrix((probs.astype(np.float32), (rows, columns)), shape=(len(items), len(names))),
            names,
        )


@dataclass(frozen=True)
class Listed:
    """One place of a list.

    Attributes:
        position: The item.
        because: See `Because`.
        missing: The class whose share of the list it raises most, where it stands there for the mix.
        beyond_cap: It is one more of its creator than allowed, as nothing else was left.
    """

    position: int
    because: Because = "score"
    missing: str | None = None
    beyond_cap: bool = False


@dataclass(frozen=True, eq=False)
class Reranker:
    """Makes lists over one shelf.

    Attributes:
        shelf: The items.
        usual: What is usual among the people.
        whole: What histories are of, where the shelf holds some of it.
        stands_for: (items,) float32: for how many items each of the shelf stands; None: for itself.
    """

    shelf: Shelf
    usual: Population
    whole: Shelf | None = None
    stands_for: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, shelf: Shelf, liked: sp.csr_matrix) -> "Reranker":
        """Over (people, items) positive weights of everyone."""
        return cls(shelf, Population.of(liked, shelf.vectors, shelf.classes))

    def diversity(self, liked: sp.csr_matrix, knobs: Knobs) -> float:
        """How much variety one person gets, in [0, 1]."""
        return strength(knobs.variety_share, liked, self.shelf.vectors, self.usual, personal=knobs.personal)

    def among(self, pool: Pool) -> "Reranker":
        """Over the items of a pool; histories stay over all."""
        return Reranker(self.shelf.among(pool.columns), self.usual, self.shelf, pool.stands_for)

    def listed(self, scores: NDArray[np.floating], liked: sp.csr_matrix, k: int, knobs: Knobs) -> list[Listed]:
        """Choose at most k items.

        Args:
            scores: (items,) float, -inf where an item must not be shown.
            liked: (1, items) weights of the person's own history.
            k: How many at most.
            knobs: What counts how much.

        Returns:
            Chosen for variety, in the order of the scores, which calibration moves where the method is `swap`; no item and no group of
                copies twice; as many as there are groups to show, up to k.

        Raises:
            ValueError: k is negative.
        """
        if k < 0:
            raise ValueError(f"k must be at least 0, found {k}")
        diversity, cap, whole = self.diversity(liked, knobs), knobs.per_creator, self.whole or self.shelf
        wanted = taste_mix(liked, whole.classes, self.usual) if knobs.calibration > 0 and whole.class_names else None
        lifted, moved, chances = None, scores, scores
        if wanted is not None and knobs.method == "swap":
            lifted = lift(scores, self.shelf.classes, wanted, self.stands_for) ** knobs.calibration
            moved = self._moved(scores, lifted)
            chances = self._smoothed(moved, knobs.calibration) if diversity > 0 else moved
        found = self._found(chances, k, knobs, diversity)
        calibrate = wanted is not None and lifted is None
        order = np.argsort(-found.relevance, kind="stable")
        vectors, reach = self.shelf.content(found.positions[order]), k * (_MORE if calibrate else 1)
        varied = order[spread(found.relevance[order], vectors, reach, diversity=diversity, method=knobs.method)].tolist()
        chosen = self._calibrated(varied, found.positions, wanted, k, knobs) if calibrate and wanted is not None else varied[:k]
        # Which items are chosen makes the list varied, not their order: the best first costs no variety, and gains accuracy.
        chosen.sort()
        if lifted is None:
            because = [_because(place, range(k), varied[:k]) for place in chosen]
        else:
            by_score, by_mix = (self._found(one, k, knobs, diversity).positions[:k] for one in (scores, moved))
            by_variety = np.flatnonzero(~np.isin(found.positions, by_mix)).tolist()
            because = [_because(place, np.flatnonzero(np.isin(found.positions, by_score)).tolist(), by_variety) for place in chosen]
        towards = lifted > 1.0 if lifted is not None else None if wanted is None else wanted > 0
        raised = [self._raised(int(found.positions[place]), towards) for place in chosen]
        return [
            Listed(int(found.positions[place]), why, missing if why == "mix" else None, bool(found.nth[place] >= cap))
            for place, why, missing in zip(chosen, because, raised, strict=True)
        ]

    def _found(self, scores: NDArray[np.floating], k: int, knobs: Knobs, decay: float) -> Candidates:
        cap, chances = knobs.per_creator, knobs.method == "swap"
        return of_scores(scores, self.shelf.groups, self.shelf.creators, k, per_creator=cap, decay=decay, chances=chances)

    def _moved(self, scores: NDArray[np.floating], lifted: NDArray[np.float64]) -> NDArray[np.floating]:
        """The scores with the chances of each class moved; what has no class, or is none, keeps its chance.

        Which copy is shown is for the scores to say: what is called something else is not better for it.
        """
        moved = scores + np.log(np.maximum(1.0 + self.shelf.classes @ (lifted - 1.0), _LEAST_LIFT))
        copied, groups = self.shelf.copied, self.shelf.groups
        best_first = copied[np.lexsort((-scores[copied], groups[copied]))]
        moved[best_first[1:][groups[best_first[1:]] == groups[best_first[:-1]]]] = -np.inf
        return moved

    def _smoothed(self, moved: NDArray[np.floating], calibration: float) -> NDArray[np.float64]:
        """Chances that know what is popular: which of the things far from a person's taste variety takes, their scores do not say."""
        columns = slice(None) if self.shelf.columns is None else self.shelf.columns
        return smoothed(moved, self.usual.popularity[columns], _POPULAR * calibration, self.stands_for)

    def _calibrated(self, varied: list[int], positions: NDArray[np.int64], wanted: NDArray[np.float32], k: int, knobs: Knobs) -> list[int]:
        mix = sp.csr_matrix(self.shelf.classes[positions[varied]]).toarray()
        return [varied[place] for place in calibrated(mix, wanted, k, strength=knobs.calibration)] if len(varied) > 1 else varied[:k]

    def _raised(self, position: int, towards: NDArray[np.bool_] | None) -> str | None:
        """The class that an item has most of, among those that lists are moved towards."""
        if towards is None:
            return None
        held = sp.csr_matrix(self.shelf.classes[[position]]).toarray()[0] * towards
        return self.shelf.class_names[int(held.argmax())] if held.any() else None


def _because(place: int, by_score: Sequence[int], by_variety: Sequence[int]) -> Because:
    if place in by_score:
        return "score"
    return "variety" if place in by_variety else "mix"
