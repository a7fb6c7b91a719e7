"""Running sums over histories: what came with what, and what came before what.

A history is a row of examples: at each event t, what lay before it, x_t, is to foretell the item of t. x_t holds the last `window` items,
each weighing `decay` times as much as the next newer one. A ridge regression from x_t to the item needs two sums only,

    G = sum of w_t x_t x_t'    and    C = sum of w_t x_t e_t',

which no example has to be kept for: both are sums over pairs of events of one person, so people come and go by adding and subtracting.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.models.histories import places

_CELLS_AT_ONCE = 1 << 18
"""So many are summed at a time: few enough that what is needed in between stays in the processor's cache, and is not asked of the system
anew; enough that clearing a row of all items, which scipy does for each sum, is little."""
_NOTHING = 1e-11
"""What subtraction leaves of a cell that was added in another order."""


@dataclass(frozen=True)
class Pairs:
    """The two sums.

    Attributes:
        together: (items, items) float64, from an item to one met later; G is its sum with its transpose, the diagonal once.
        after: (items, items) float64, C: from row to column.
    """

    together: sp.csr_matrix
    after: sp.csr_matrix

    @classmethod
    def none(cls, n: int) -> Self:
        """Of nobody."""
        return cls(sp.csr_matrix((n, n)), sp.csr_matrix((n, n)))

    @classmethod
    def of(cls, data: Interactions, *, decay: float, window: int) -> Self:
        """Those of everybody's liked events.

        Args:
            data: Histories; what is not liked is passed over.
            decay: In (0, 1].
            window: How many events back count, at least 1.
        """
        positive, n = data.weights > 0, len(data.items)
        liked = data if positive.all() else data.only(positive)
        pairs = _Later.of(liked, decay, window)
        events, starts = _grouped(liked.columns, n)
        most = pairs.most
        together, after = _Rows.room(n, most), _Rows.room(n, most)
        for start, end in portions(np.diff(starts) * (pairs.window + 1), _CELLS_AT_ONCE):
            first = starts[start : end + 1]
            cells = pairs.summed(events[first[0] : first[-1]].astype(np.int64), first - first[0])
            together.add(start, cells, cells.data.real)
            after.add(start, cells, cells.data.imag)
        return cls(together.matrix(), after.matrix())

    def plus(self, other: Self, sign: float = 1.0) -> Self:
        """The sums of both; with sign -1, those of the people of `self` who are not in `other`."""
        if sign == 1:
            return replace(self, together=self.together + other.together, after=self.after + other.after)
        return replace(self, together=cleared(self.together + sign * other.together), after=cleared(self.after + sign * other.after))

    def grown(self, n: int) -> Self:
        """The same with room for items added at the end."""
        grown = []
        for matrix in (self.together, self.after):
            rows = np.concatenate([matrix.indptr, np.full(n - matrix.shape[0], matrix.indptr[-1], matrix.indptr.dtype)])
            grown.append(sp.csr_matrix((matrix.data, matrix.indices, rows), shape=(n, n)))
        return replace(self, together=grown[0], after=grown[1])


def _grouped(items: NDArray[np.integer], n: int) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Where each of n items stands, ascending, one item after the other; and (n + 1,) where those of each start."""
    order = np.arange(len(items), dtype=sp.get_index_dtype(maxval=len(items)))
    turned = sp.csr_matrix((order, items, [0, len(items)]), shape=(1, n)).tocsc()  # counts, where a sort would compare
    return turned.data, turned.indptr.astype(np.int64)


def portions(sizes: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """From which to which, so that the sizes of each portion add up to at most `most`, or it is one alone."""
    total, start = np.cumsum(sizes), 0
    while start < len(sizes):
        before = total[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(total, before + most, side="right")))
        yield start, end
        start = end


@dataclass
class _Rows:
    """Rows of a sparse matrix one after the other, in room that is asked for once and taken up as far as it is filled.

    Attributes:
        column: int32.
        value: float64.
        counts: (rows,) int64 cells.
        filled: How many there are.
    """

    column: NDArray[np.int32]
    value: NDArray[np.float64]
    counts: NDArray[np.int64]
    filled: int = 0

    @classmethod
    def room(cls, n: int, most: int) -> Self:
        return cls(np.empty(most, np.int32), np.empty(most), np.zeros(n, np.int64))

    def add(self, start: int, cells: sp.csr_matrix, values: NDArray[np.float64]) -> None:
        """Of some rows from `start` on, the cells that have one of these values above 0."""
        wanted = values > 0
        before = np.concatenate([[0], np.cumsum(wanted)])
        self.counts[start : start + cells.shape[0]] = np.diff(before[cells.indptr])
        span = slice(self.filled, self.filled + int(before[-1]))
        self.column[span], self.value[span] = cells.indices[wanted], values[wanted]
        self.filled = span.stop

    def matrix(self) -> sp.csr_matrix:
        n, indptr = len(self.counts), np.concatenate([[0], np.cumsum(self.counts)])
        matrix = sp.csr_matrix((self.value[: self.filled], self.column[: self.filled], indptr), shape=(n, n))
        matrix.has_canonical_format = True
        return matrix


_EVENT = np.dtype([("item", np.int32), ("weight", np.float32)])
"""What pairs need of an event side by side, 8 bytes that numpy takes in one go: with millions of people an event lies outside the cache."""


@dataclass(frozen=True)
class _Later:
    """Pairs of an event with itself and with each later one within the window, as complex numbers.

    The real part is what a pair adds to G, the imaginary part what it adds to C: one sum over pairs is two.

    Attributes:
        events: (events,) int64, each an `_EVENT`; histories without what is not liked.
        newer: (events,) how many of the same person are newer, at most `window`.
        n_items: How many there are.
        decay, window: See `Pairs.of`; the window reaches no further than the longest history.
    """

    events: NDArray[np.int64]
    newer: NDArray[np.integer]
    n_items: int
    decay: float
    window: int

    @classmethod
    def of(cls, liked: Interactions, decay: float, window: int) -> Self:
        events, newer = np.empty(len(liked), _EVENT), places(liked)
        events["item"], events["weight"] = liked.columns, liked.weights
        reach = min(window, int(newer.max(initial=0)) + 1)
        return cls(events.view(np.int64), np.minimum(newer, reach).astype(np.min_scalar_type(reach)), len(liked.items), decay, reach)

    @property
    def most(self) -> int:
        """So many pairs there are."""
        return int(self.newer.sum(dtype=np.int64)) + len(self.events)

    def summed(self, events: NDArray[np.int64], first: NDArray[np.int64]) -> sp.csr_matrix:
        """(some items, items) complex128, canonical: from the items of these events, those of the i-th from first[i] on, to those later."""
        at_once = max(1, _CELLS_AT_ONCE // (self.window + 1))  # an item alone may have more events
        total = sp.csr_matrix((len(first) - 1, self.n_items), dtype=np.complex128)
        for start in range(0, len(events), at_once):
            some = events[start : start + at_once]
            columns, values = self.pairs(some)
            row_ends = np.arange(0, columns.size + 1, columns.shape[1])
            rows = sp.csr_matrix((values.ravel(), columns.ravel(), row_ends), shape=(len(some), self.n_items))
            of_item = np.clip(first - start, 0, len(some))
            part = sp.csr_matrix((np.ones(len(some)), np.arange(len(some)), of_item), shape=(len(first) - 1, len(some))) @ rows
            part.sort_indices()
            part.has_canonical_format = True
            total = total + part if start else part
        return total

    def pairs(self, events: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.complex128]]:
        """(events, window + 1) the item of each event and of those after it, and what each pair adds; 0 where a history has ended."""
        columns = np.empty((len(events), self.window + 1), np.int32)
        values = np.zeros(columns.shape, np.complex128)
        own, newer = self._at(events), self.newer.take(events)
        foretold = np.zeros(len(events))  # sum of decay^2(k-1) w_(b+k) over the examples in which both events of a pair lie
        for gap in range(self.window, -1, -1):
            there = newer >= gap
            later = self._at(events + gap * there)
            weight = later["weight"] * there
            columns[:, gap] = later["item"]
            both = self.decay**gap * own["weight"].astype(np.float64) * weight
            # A pair of different items stands for two cells of G, of which one is kept; one item twice stands for two in one.
            values.real[:, gap] = both * foretold * (1 + (columns[:, gap] == own["item"]) if gap else 1)
            values.imag[:, gap] = both / self.decay if gap else 0.0
            foretold = weight + self.decay**2 * foretold
        return columns, values

    def _at(self, events: NDArray[np.int64]) -> NDArray[np.void]:
        """(events,) `_EVENT`."""
        return self.events.take(events).view(_EVENT)


def cleared(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Without the cells that subtraction has emptied."""
    matrix.data[np.abs(matrix.data) < _NOTHING] = 0.0
    matrix.eliminate_zeros()
    return matrix
