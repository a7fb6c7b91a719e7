"""Which items a person must not be shown (again): what they met, what is like a copy of it, and what moderation keeps back.

Met is whatever has a cell in the person's history: watched, played, liked, disliked, skipped, not interested, reported. An item that
was merely shown has none, and may come again. Whoever lists items for a person, and whoever judges such lists, asks here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Filter:
    """What to keep from people, over one order of items.

    Attributes:
        items: One per column.
        group_of: Item -> its group of copies, as `duplicates.groups.groups` gives it; an item without copies has none.
        withheld: Items that nobody may be shown, as `moderation.decisions.withheld` gives them.
    """

    items: tuple[str, ...]
    group_of: Mapping[str, str]
    withheld: Collection[str] = frozenset()

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """(items,) int64: the group of each item; one without copies is a group of its own."""
        number: dict[tuple[bool, str], int] = {}
        names = ((True, self.group_of[one]) if one in self.group_of else (False, one) for one in self.items)
        return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)

    @cached_property
    def blocked(self) -> NDArray[np.int64]:
        """Columns of the items that nobody may be shown, ascending."""
        held = set(self.withheld)
        return np.array([column for column, one in enumerate(self.items) if one in held], dtype=np.int64)

    @cached_property
    def _place(self) -> Mapping[str, int]:
        return {one: column for column, one in enumerate(self.items)}

    @cached_property
    def _of_group(self) -> Mapping[str, list[int]]:
        found: dict[str, list[int]] = {group: [] for group in self.group_of.values()}
        for one, group in self.group_of.items():
            if one in self._place:
                found[group].append(self._place[one])
        return found

    @cached_property
    def _members(self) -> sp.csr_matrix:
        shape = (len(self.items), int(self.groups.max(initial=-1)) + 1)
        ones = np.ones(len(self.items), np.float32)
        return sp.csr_matrix((ones, self.groups, np.arange(len(self.items) + 1)), shape=shape)

    def hidden(self, met: sp.csr_matrix) -> sp.csr_matrix:
        """What each of some people must not be shown.

        Args:
            met: (people, items): every stored cell is an item met, a stored zero too.

        Returns:
            (people, items) bool, a cell for every item to keep back; sorted, no more of it in memory than it has cells.
        """
        cells = sp.csr_matrix((np.ones(met.nnz, np.float32), met.indices, met.indptr), shape=met.shape)
        around = (cells @ self._members) @ self._members.T
        columns, indptr = np.tile(self.blocked, met.shape[0]), np.arange(met.shape[0] + 1) * len(self.blocked)
        everyone = sp.csr_matrix((np.ones(len(columns), np.float32), columns, indptr), shape=met.shape)
        hidden = sp.csr_matrix(around + everyone).astype(bool)
        hidden.sort_indices()
        return hidden

    def columns(self, met: Collection[str] = (), also: Collection[str] = ()) -> NDArray[np.int64]:
        """Columns that one person must not be shown, ascending; items that have no column change nothing but for their copies.

        Args:
            met: What the person met (`History.weights`).
            also: More that this answer must not hold, such as `exclude` of a request; copies of it go as well.
        """
        gone = {*met, *also}
        own = [self._place[one] for one in gone if one in self._place]
        copies = [column for group in {self.group_of[one] for one in gone if one in self.group_of} for column in self._of_group[group]]
        return np.array(sorted({*own, *copies, *self.blocked.tolist()}), dtype=np.int64)

    def why(self, media_id: str, met: Collection[str]) -> str | None:
        """One sentence why this person is not shown an item; None where they may be."""
        if media_id in self.withheld:
            return "moderation keeps it back"
        if media_id in met:
            return "they have met it before"
        group = self.group_of.get(media_id)
        twin = next((one for one in sorted(met) if group is not None and self.group_of.get(one) == group), None)
        return None if twin is None else f"it is a copy of {twin}, which they have met"
