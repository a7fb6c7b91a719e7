"""A stored index with what joined, changed or left the library since it was built."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avrec_dag.index.base import Answers, row_of
from avrec_dag.index.nearest import Rows, Scores, Vectors
from avrec_dag.index.stored import ItemIndex

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class LiveIndex(Answers):
    """As `ItemIndex`, over the stored one and a small one beside it, which is compared exactly.

    An item that is in both counts as the one beside: its vectors have changed. Answers are those of an index built anew.

    Attributes:
        stored: What the files hold.
        beside: What joined or changed since.
        shown: The items that there are; others, of either index, are not found.
    """

    stored: ItemIndex
    beside: ItemIndex
    shown: frozenset[str]

    @classmethod
    def of(cls, stored: ItemIndex, shown: Collection[str], beside: ItemIndex | None = None) -> "ItemIndex | LiveIndex":
        """The stored index as it is where nothing changed, else with what did.

        Args:
            stored: What the files hold.
            shown: The items that there are.
            beside: What joined or changed.
        """
        if beside is None:
            empty = np.zeros((0, 1), np.float32)
            beside = ItemIndex((), empty, empty)
        everything = frozenset(shown)
        if not beside.items and everything.issuperset(stored.items):
            return stored
        return cls(stored, beside, everything)

    @cached_property
    def _kept(self) -> Rows:
        """Rows of the stored index that still hold."""
        others = self.beside.place
        return np.array([row for row, one in enumerate(self.stored.items) if one in self.shown and one not in others], dtype=np.int64)

    @cached_property
    def _added(self) -> Rows:
        return np.array([row for row, one in enumerate(self.beside.items) if one in self.shown], dtype=np.int64)

    @cached_property
    def _gone(self) -> Rows:
        kept = np.zeros(len(self.stored.items), bool)
        kept[self._kept] = True
        return np.flatnonzero(~kept)

    @cached_property
    def _hidden(self) -> Rows:
        return np.setdiff1d(np.arange(len(self.beside.items)), self._added)

    @cached_property
    def items(self) -> tuple[str, ...]:
        """media_ids: those that hold of the stored index, then those beside."""
        return (*(self.stored.items[row] for row in self._kept), *(self.beside.items[row] for row in self._added))

    @cached_property
    def place(self) -> Mapping[str, int]:
        """media_id -> its place in `items`."""
        return {media_id: row for row, media_id in enumerate(self.items)}

    @cached_property
    def fused(self) -> Vectors:
        """(n, d) in the order of `items`, copied into memory when it is first asked for; search does without."""
        return self._both(self.stored.fused, self.beside.fused)

    @cached_property
    def joint(self) -> Vectors:
        """(n, e) in the order of `items`; as `fused`."""
        return self._both(self.stored.joint, self.beside.joint)

    @property
    def left_out(self) -> int:
        """As in `Searched`."""
        return self.stored.left_out + self.beside.left_out

    @property
    def encoders(self) -> str:
        """As in `Searched`."""
        return self.stored.encoders

    @property
    def space(self) -> str:
        """As in `Searched`."""
        return self.stored.space

    def fused_of(self, media_id: str) -> Vectors:
        """As in `Searched`."""
        row = row_of(self, media_id) - len(self._kept)
        return self.beside.fused[self._added[row]] if row >= 0 else self.stored.fused_of(media_id)

    def joint_of(self, media_id: str) -> Vectors:
        """As in `Searched`."""
        row = row_of(self, media_id) - len(self._kept)
        return self.beside.joint[self._added[row]] if row >= 0 else self.stored.joint_of(media_id)

    def vectors(self, part: str, rows: Rows) -> Vectors:
        """As in `Searched`."""
        wide = self.stored if len(self._kept) else self.beside
        found = np.zeros((len(rows), wide.vectors(part, rows[:0]).shape[1]), np.float32)
        new = rows >= len(self._kept)
        found[~new] = self.stored.vectors(part, self._kept[rows[~new]])
        found[new] = self.beside.vectors(part, self._added[rows[new] - len(self._kept)])
        return found

    def products(self, part: str, rows: Rows, query: Vectors) -> Scores:
        """As in `Searched`."""
        found, new = np.zeros(len(rows), np.float32), rows >= len(self._kept)
        found[~new] = self.stored.products(part, self._kept[rows[~new]], query)
        found[new] = self.beside.products(part, self._added[rows[new] - len(self._kept)], query)
        return found

    def nearest(self, part: str, query: Vectors, k: int) -> tuple[Rows, Scores]:
        """As in `Searched`."""
        old, old_scores = self.stored.nearest(part, query, k, self._gone)
        new, new_scores = self.beside.nearest(part, query, k, self._hidden)
        rows = self._rows(old, new)
        scores = np.concatenate([old_scores, new_scores])
        order = np.argsort(-scores, kind="stable")[: max(k, 0)]
        return rows[order], scores[order]

    def coarse(self, part: str, query: Vectors, k: int) -> Rows:
        """As in `Searched`."""
        return self._rows(self.stored.coarse(part, query, k, self._gone), self.beside.coarse(part, query, k, self._hidden))

    def _rows(self, old: Rows, new: Rows) -> Rows:
        return np.concatenate([np.searchsorted(self._kept, old), len(self._kept) + np.searchsorted(self._added, new)])

    def _both(self, old: Vectors, new: Vectors) -> Vectors:
        if not len(self._added):
            return old[self._kept]
        if not len(self._kept):
            return new[self._added]
        return np.concatenate([old[self._kept], new[self._added]])
