"""What moves the scores of one person besides models and quality: whom they follow, what they passed over, where they come from.

Each is bounded, in deviations of the person's own relevance, and says what it did. An item stands for its copies here: what is added to it
is added to all of them, so that no copy comes back in its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.blend import Signal
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.context import Context
from avrec_dag.recommend.history import History
from avrec_dag.recommend.models.weighing import Array
from avrec_dag.recommend.pool import Pool, quantile

FOLLOW, PASSED = "follow", "passed"
LANGUAGE, REFERRER, INTERESTS = "language", "referrer", "interests"
FOLLOW_RISE = 0.5
"""An item of a followed creator rises by so many deviations."""
MOST_PASSED = 0.5
"""However often an item was shown and passed over, it falls by at most so many: half of what a like weighs."""
NEW_AT = 5.0
"""Context counts half for somebody who has met so many items."""
LANGUAGE_SHARE = 0.5
"""Of the reach of scores, what an item in the person's language gains and one in another loses."""


@dataclass(frozen=True, eq=False)
class Signals:
    """Reads them off what is known of the items.

    Attributes:
        catalogue: The items.
        vectors: (items, d) float32 centred content vectors, in the same order.
    """

    catalogue: Catalogue
    vectors: Array

    def of_history(self, history: History, pool: Pool | None = None) -> dict[str, Signal]:
        """What somebody passed over falls, as much as `History.passed` says; what comes from whom they follow rises.

        Args:
            history: Of the person.
            pool: Tell of these items in place of all, here and in `of_context`.

        Returns:
            Name -> signal; only those that move something.
        """
        found = {}
        shown = self._shown if pool is None else self._shown[pool.columns]
        passed = self._passed(history, shown)
        if passed.any():
            found[PASSED] = Signal(passed, lambda _column: "shown to you before")
        followed = [self._makers[one] for one in history.creators if one in self._makers]
        from_them = np.isin(self._made_by[shown], followed) if followed else np.zeros(0, bool)
        if from_them.any():
            added = np.where(from_them, np.float32(FOLLOW_RISE), np.float32(0))
            found[FOLLOW] = Signal(added, lambda column: f"from {self._creator(column)}, whom you follow")
        return found

    def of_context(self, context: Context, met: int, relevance: Array, pool: Pool | None = None) -> dict[str, Signal]:
        """What fits the context rises, fading with every item met.

        The unit is the reach of the person's scores, from the median to the best: what fits fully and is as good as half of the items
        stands beside the best that does not fit, whatever the models are.

        Args:
            context: As `Context.within` leaves it.
            met: How many items the person has met.
            relevance: (items,) float32 without it.
            pool: See `of_history`.
        """
        shown = self._shown if pool is None else self._shown[pool.columns]
        typical = quantile(relevance, 0.5, None if pool is None else pool.stands_for) if len(relevance) else 0.0
        reach = max(float(relevance.max(initial=0)) - typical, 1.0)
        unit = np.float32(reach * NEW_AT / (NEW_AT + met))
        found = {}
        if context.language:
            found[LANGUAGE] = Signal(unit * self._language(context.language, shown), lambda _column: "in your language")
        if context.referrer is not None:
            origin = context.referrer
            alike = self._like(self.catalogue.index.place[origin], shown)
            name = self.catalogue.facts.name(origin)
            found[REFERRER] = Signal(unit * alike, lambda _column: f"like {name}, where you came from", (origin,))
        if context.interests:
            shares = np.array([self._of_class(name, shown) for name in context.interests])
            columns = range(len(shown)) if pool is None else pool.columns.tolist()
            chosen = dict(zip(columns, shares.argmax(axis=0).tolist(), strict=True))
            found[INTERESTS] = Signal(unit * shares.max(axis=0), lambda column: f"you chose {context.interests[chosen[column]]}")
        return {name: one for name, one in found.items() if one.added.any()}

    @property
    def _shown(self) -> NDArray[np.int64]:
        return self.catalogue.shown

    def _items(self, shown: NDArray[np.int64]) -> list[str]:
        items = self.catalogue.index.items
        return [items[column] for column in shown.tolist()]

    def _creator(self, column: int) -> str | None:
        return self.catalogue.creators.get(self.catalogue.index.items[self._shown[column]])

    @cached_property
    def _makers(self) -> Mapping[str, int]:
        return {name: number for number, name in enumerate(sorted(set(self.catalogue.creators.values())))}

    @cached_property
    def _made_by(self) -> NDArray[np.int64]:
        """(items,) the number of each one's creator, -1 where nobody named one."""
        made = self.catalogue.creators
        return np.array([self._makers[made[one]] if one in made else -1 for one in self.catalogue.index.items], np.int64)

    def _passed(self, history: History, shown: NDArray[np.int64]) -> Array:
        place, added = self.catalogue.index.place, np.zeros(len(shown), np.float32)
        least: dict[int, float] = {}
        for one, weight in history.passed.items():
            if one in place:
                column = int(self._shown[place[one]])
                least[column] = min(least.get(column, 0.0), max(weight, -MOST_PASSED))
        if least:
            columns = np.array(sorted(least), np.int64)
            at = np.minimum(np.searchsorted(columns, shown), len(columns) - 1)
            added = np.where(columns[at] == shown, np.array([least[one] for one in columns.tolist()], np.float32)[at], added)
        return added

    def _like(self, origin: int, shown: NDArray[np.int64]) -> Array:
        """(items,) float32 in [0, 1]: cosine with one item, the likest other item at 1; 0 for its copies, and for what is unlike it."""
        alike = np.maximum(self.vectors[shown] @ self.vectors[origin], 0.0)
        alike[shown == self._shown[origin]] = 0.0
        return alike / max(float(alike.max(initial=0)), 1e-6)

    def _language(self, wanted: str, shown: NDArray[np.int64]) -> Array:
        known = [self.catalogue.languages.get(one) for one in self._items(shown)]
        return np.array([0.0 if one is None else LANGUAGE_SHARE if one == wanted else -LANGUAGE_SHARE for one in known], np.float32)

    def _of_class(self, name: str, shown: NDArray[np.int64]) -> Array:
        return np.array([self.catalogue.classes.get(one, {}).get(name, 0.0) for one in self._items(shown)], np.float32)
