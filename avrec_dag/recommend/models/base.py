"""What every model of behaviour takes and gives: interactions in, scores out, files to keep it in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Files = Mapping[str, bytes]
"""File name -> content: safetensors and JSON, loadable without executing anything."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who met what, and when: one flat list of events, user after user, oldest first within each.

    Attributes:
        users: Ids, one per row of `indptr`.
        items: Ids; what `columns` counts.
        indptr: (users + 1,) int64: the events of user u are those from indptr[u] to indptr[u + 1].
        columns: (events,) int32, the item of each event. An item may occur more than once in a history.
        weights: (events,) float32 in [-1, 1], what each says about liking; negative ones are dislikes.
        at_s: (events,) float64 UNIX seconds; the place in the history where a file knows no clock.
        vectors: (items, d) float32 unit content vectors, a row of zeros for an item without one; None where nothing is known.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    indptr: NDArray[np.int64]
    columns: NDArray[np.int32]
    weights: NDArray[np.float32]
    at_s: NDArray[np.float64]
    vectors: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def rows(self) -> NDArray[np.int64]:
        """(events,) int64: the user of each event."""
        return np.repeat(np.arange(len(self.users)), np.diff(self.indptr))

    @property
    def liked(self) -> sp.csr_matrix:
        """(users, items) float32: the positive weights, the last one where an item occurs more than once; no stored zeros."""
        liked = self.newest(np.maximum(self.weights, 0.0))
        liked.eliminate_zeros()
        return liked

    @property
    def met(self) -> sp.csr_matrix:
        """(users, items) float32 of ones: every item that occurs in a history, whatever was thought of it."""
        return self.newest(np.ones(len(self), np.float32))

    def newest(self, values: NDArray[np.float32]) -> sp.csr_matrix:
        """(users, items) float32: of every item that occurs in a history the value, (events,), of its newest event; zeros are stored."""
        events = sp.csr_matrix((np.arange(len(self)), self.columns, self.indptr), shape=(len(self.users), len(self.items)))
        by_item = events.tocsc().tocsr()  # turned over twice: sorted by item, events on one item as they were, oldest first
        rows = np.repeat(np.arange(len(self.users)), np.diff(by_item.indptr))
        last = np.ones(len(self), bool)
        last[:-1] = (by_item.indices[:-1] != by_item.indices[1:]) | (rows[:-1] != rows[1:])
        counts = np.bincount(rows[last], minlength=len(self.users))
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return sp.csr_matrix((values[by_item.data[last]], by_item.indices[last], indptr), shape=events.shape)

    def only(self, kept: NDArray[np.bool_]) -> Self:
        """The events whose flag, (events,) bool, is set; every user stays."""
        counts = np.bincount(self.rows[kept], minlength=len(self.users))
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return replace(self, indptr=indptr, columns=self.columns[kept], weights=self.weights[kept], at_s=self.at_s[kept])

    def of(self, users: NDArray[np.int64] | Sequence[int]) -> Self:
        """Some users, by row, in the order given."""
        chosen = np.asarray(users, dtype=np.int64)
        lengths = self.indptr[chosen + 1] - self.indptr[chosen]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        at = np.repeat(self.indptr[chosen] - indptr[:-1], lengths) + np.arange(indptr[-1])
        names = tuple(self.users[user] for user in chosen.tolist())
        return replace(self, users=names, indptr=indptr, columns=self.columns[at], weights=self.weights[at], at_s=self.at_s[at])

    def support(self) -> NDArray[np.int64]:
        """(items,) int64: how many people liked each."""
        return np.bincount(self.liked.indices, minlength=len(self.items)).astype(np.int64)


@runtime_checkable
class Model(Protocol):
    """One model. Constructed from settings of its own (a frozen dataclass of plain values), unfitted.

    Attributes:
        name: As configuration and tables call it.
        source: Paper or project that the algorithm is from.
    """

    name: ClassVar[str]
    source: ClassVar[str]

    def fit(self, data: Interactions, *, seed: int = 0) -> None:
        """Learn from nothing but this."""

    def fit_partial(self, data: Interactions, *, seed: int = 0) -> None:
        """Learn on, from where the model stands, what `data` holds beyond what it has learned.

        Args:
            data: Everything known now; items may have been added at the end, users anywhere. Histories that did not change cost
                (nearly) nothing.
            seed: Of whatever is drawn.
        """

    def score(self, histories: Interactions, candidates: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """How much each of these people would want each item; larger is better, comparable within a row only.

        Args:
            histories: Of those to be scored, over the items that the model was fitted on; nobody need have been there at fitting.
            candidates: Columns to score; None scores all.

        Returns:
            (users, candidates or items) float32, finite. Items already met are scored like any other.
        """

    def save(self) -> Files:
        """Everything `load` needs."""

    @classmethod
    def load(cls, files: Files) -> Self:
        """The inverse of `save`."""
