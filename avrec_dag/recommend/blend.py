"""One score of an item for a person: the blend of trained models on the person's own scale, and quality beside it.

relevance = z(sum of the parts of the trained blend), see `models.blend`
score     = (1 - q) * (relevance + signals) + q * z(quality)

Signals (`signals`) are what else is known of one person: whom they follow, what they passed over, where they come from.
z() standardises over the items that the person has not met, so that the two can be added: a blend's score has no unit of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.models.blend import Blend
from avrec_dag.recommend.models.content import Content, centred
from avrec_dag.recommend.models.weighing import Array, standardise
from avrec_dag.recommend.pool import Pool

QUALITY = "quality"


@dataclass(frozen=True)
class Views:
    """What is known of the items, in one order.

    Attributes:
        items: Ids.
        model: The trained blend; its own order of items may be another.
        fused: (items, d) float32 unit vectors.
        quality: (items,) float32 in [0, 1].
    """

    items: tuple[str, ...]
    model: Blend
    fused: Array
    quality: Array

    @cached_property
    def vectors(self) -> Array:
        """(items, d) float32 centred content vectors."""
        content = next((one for one in self.model.components if isinstance(one, Content)), None)
        return content.centred(self.fused) if content else centred(self.fused)  # of a large library they are held once

    @cached_property
    def support(self) -> np.ndarray:
        """(items,) int64, how many people liked each when the model was fitted."""
        return self.model.support_of(self.items)


@dataclass(frozen=True, eq=False)
class Signal:
    """What moves the scores of one person besides models and quality.

    Attributes:
        added: (items,) float32, in deviations of the person's relevance.
        says: Column -> what to tell the person where it adds.
        causes: Items behind it.
    """

    added: Array
    says: Callable[[int], str]
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scores:
    """The scores of some people for all items, and what they are made of.

    Attributes:
        final: (people, items) float32; -inf where the person has met the item.
        parts: Part -> (people, items) float32, what it adds: every model of the blend by its name, `QUALITY`, and every signal by its
            name. They add up to the score, up to a constant per person.
        factors: Model -> (people, items) float32: what one unit of its raw score adds.
        signals: Those that moved them, by name.
        pool: The items there are scores of, in place of all.
    """

    final: Array
    parts: Mapping[str, Array]
    factors: Mapping[str, Array]
    signals: Mapping[str, Signal] = field(default_factory=dict)
    pool: Pool | None = None

    def at(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the scores of some items stand."""
        return columns if self.pool is None else self.pool.positions(columns)

    def moved(self, signals: Mapping[str, Signal], share: float) -> "Scores":
        """The scores of one person with what signals add.

        Args:
            signals: By name.
            share: Of taste in the score, in [0, 1].
        """
        added = {name: np.float32(share) * one.added[None, :] for name, one in signals.items()}
        final = sum(added.values(), self.final)
        return replace(self, final=final, parts={**self.parts, **added}, signals={**self.signals, **signals})

    def of(self, person: int) -> "Scores":
        """One person's alone."""
        row = slice(person, person + 1)
        parts = {name: part[row] for name, part in self.parts.items()}
        return Scores(self.final[row], parts, {name: factor[row] for name, factor in self.factors.items()}, self.signals)

    @property
    def relevance(self) -> Array:
        """(people, items) float32 without quality, finite for items met, too."""
        return sum((part for name, part in self.parts.items() if name != QUALITY), np.zeros_like(self.final))


def blend(views: Views, histories: Interactions, *, quality: float = 0.0, pool: Pool | None = None) -> Scores:
    """Score every item for some people.

    Args:
        views: What is known of the items.
        histories: Of these people over `views.items`, with `views.fused` as their vectors; every item in them is met, and scores -inf.
        quality: q in [0, 1]: 0 ignores quality, 1 looks at nothing else.
        pool: Score these alone, for one person.
    """
    found, stands_for = views.model.parts(histories, pool), None if pool is None else pool.stands_for
    open_to = found.open_to
    summed = sum(found.values.values(), np.zeros(open_to.shape, np.float32))
    relevance, scale = standardise(summed, open_to, stands_for)
    share = ((1 - quality) * scale[:, None]).astype(np.float32)
    rated = views.quality if pool is None else views.quality[pool.columns]
    of_quality = quality * standardise(np.broadcast_to(rated, open_to.shape), open_to, stands_for)[0]
    final = np.where(open_to, (1 - quality) * relevance + of_quality, -np.inf).astype(np.float32)
    parts = {name: share * value for name, value in found.values.items()} | {QUALITY: of_quality}
    return Scores(final, parts, {name: share * factor for name, factor in found.factors.items()}, pool=pool)


def opinions(history: Interactions) -> sp.csr_matrix:
    """(people, items) float32 in [-1, 1]: every item met with what is thought of it, a stored 0 where that is nothing; each once."""
    return sp.csr_matrix((history.weights, history.columns, history.indptr), shape=(len(history.users), len(history.items)))
