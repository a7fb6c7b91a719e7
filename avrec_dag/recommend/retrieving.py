"""Candidate retrieval: of a library too large to score whole for every answer, what any part of the score may bring to the top.

Two stages as in Covington, Adams and Sargin, Deep Neural Networks for YouTube Recommendations, RecSys 2016, section 3. Each part of the
score brings what it likes best: behaviour by its own scores, content by the index of vectors, popularity and quality by orders that are
the same for everybody, whom the person follows and what their context says by the items that fit; and new items are drawn to be tried.
What is retrieved is scored exactly; `bench/serve.py` measures how much of the exact lists is found.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.blend import Views
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.context import Context
from avrec_dag.recommend.history import History
from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.models.content import Content
from avrec_dag.recommend.models.popularity import Popularity
from avrec_dag.recommend.pool import Pool

MOST_SCORED = 10_000
"""Up to so many items every one is scored for every list."""
EACH, PER_PLACE = 300, 10
"""Every part of the score brings at least so many items, and so many for each place of the list; what is the same for all, half of it."""
SAMPLE, NEW = 512, 256
"""So many items stand for the rest, and so many new ones are drawn to be tried."""
Columns = NDArray[np.int64]
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Retriever:
    """Over one library.

    Attributes:
        catalogue: The items.
        views: What is known of them.
        new: (items,) bool: hardly anybody has met it (`exploring.Explorer`).
        stamp: Seeds the draws of new items, with the person.
    """

    catalogue: Catalogue
    views: Views
    new: NDArray[np.bool_]
    stamp: str

    def pool(self, known: History, history: Interactions, context: Context, k: int, n_left_out: int = 0) -> Pool | None:
        """What a list is chosen among; None: everything.

        Args:
            known: Of the person.
            history: The same as models read it.
            context: As `Context.within` leaves it.
            k: Places of the list.
            n_left_out: So many items are left out of it besides those met.
        """
        n = len(self.views.items)
        each = max(EACH, PER_PLACE * k) + n_left_out + len(history)
        if n <= MOST_SCORED or 4 * each > n:
            return None
        model, raw, found = self.views.model, {}, [self._usual[:, : each // 2].ravel(), self._drawn(history.users[0])]
        for component in model.components:
            if isinstance(component, Content):
                found.append(self._near(component.profiles(history)[0], each))
            elif not isinstance(component, Popularity):  # which is the same for all
                raw[component.name] = model.raw_of(component, history)
                found.append(_best(raw[component.name][0], each))
        found += [self._members(self._by_creator, one, each) for one in known.creators]
        found += self._of_context(context, each)
        return Pool.of(np.concatenate(found), self._sample, n, raw)

    def among(self, columns: Columns) -> Pool | None:
        """These items and the sample, for who must know how they suit; None where all are scored."""
        n = len(self.views.items)
        return None if n <= MOST_SCORED else Pool.of(columns, self._sample, n)

    def _near(self, wanted: NDArray[np.float32], each: int) -> Columns:
        length = float(np.linalg.norm(wanted))
        return self.catalogue.index.coarse("fused", wanted / length, each) if length > 1e-9 else _NONE

    def _drawn(self, user_id: str) -> Columns:
        seed = int.from_bytes(hashlib.sha256(f"{self.stamp}|pool|{user_id}".encode()).digest()[:8])
        new = self._new
        return new[np.random.default_rng(seed).integers(0, len(new), min(NEW, len(new)))] if len(new) else _NONE

    def _of_context(self, context: Context, each: int) -> list[Columns]:
        found = [self._members(self._by_class, name, each) for name in context.interests]
        if context.language:
            found.append(self._members(self._by_language, context.language, each))
        if context.referrer is not None:
            found.append(self._near(self.views.vectors[self.catalogue.index.place[context.referrer]], each))
        return found

    def _members(self, groups: Mapping[str, Columns], name: str, each: int) -> Columns:
        return groups.get(name, _NONE)[:each]

    @cached_property
    def _new(self) -> Columns:
        return np.flatnonzero(self.new)

    @cached_property
    def _sample(self) -> Columns:
        n = len(self.views.items)
        return np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64))

    @cached_property
    def _usual(self) -> NDArray[np.int64]:
        """(3, items) columns by support, by quality and by both, best first: what suits somebody of whom nothing is known."""
        support, quality = np.log1p(self.views.support.astype(np.float64)), self.views.quality.astype(np.float64)
        both = support / max(support.std(), 1e-9) + quality / max(quality.std(), 1e-9)
        return np.stack([np.argsort(-one, kind="stable") for one in (support, quality, both)])

    @cached_property
    def _by_creator(self) -> Mapping[str, Columns]:
        return self._grouped({one: (name,) for one, name in self.catalogue.creators.items()})

    @cached_property
    def _by_class(self) -> Mapping[str, Columns]:
        return self._grouped({one: tuple(shares) for one, shares in self.catalogue.classes.items()})

    @cached_property
    def _by_language(self) -> Mapping[str, Columns]:
        return self._grouped({one: (name,) for one, name in self.catalogue.languages.items()})

    def _grouped(self, names: Mapping[str, tuple[str, ...]]) -> Mapping[str, Columns]:
        """Name -> the columns of its items, those first that suit most people."""
        found: dict[str, list[int]] = {}
        for column in self._usual[2].tolist():
            for name in names.get(self.views.items[column], ()):
                found.setdefault(name, []).append(column)
        return {name: np.array(columns, np.int64) for name, columns in found.items()}


def _best(scores: NDArray[np.float32], each: int) -> Columns:
    """Columns of the highest scores above the commonest, 0 for what behaviour does not link to the person."""
    above = np.flatnonzero(scores > 0)
    return above if len(above) <= each else above[np.argpartition(-scores[above], each - 1)[:each]]
