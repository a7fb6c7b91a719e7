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

_PAIRS_AT_ONCE = 1 << 26
_PAIRS_IN_CACHE = 1 << 19
"""Of so many at a time the cells are worked out: what is needed in between stays near, and is not asked of the system anew."""
_NOTHING = 1e-11
"""What subtraction leaves of a cell that was added in another order."""


@dataclass(frozen=True)
class Pairs:
    """The two sums.

    Attributes:
        together: (items, items) float64, the lower triangle of G.
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
        liked, n = data.only(data.weights > 0), len(data.items)
        parts = [cls._of_some(part, n, decay, window) for part in _portions(liked, window, _PAIRS_AT_ONCE)]
        while len(parts) > 1:  # in a tree: every sum is of two of a size
            parts = [parts[at].plus(parts[at + 1]) if at + 1 < len(parts) else parts[at] for at in range(0, len(parts), 2)]
        return parts[0] if parts else cls.none(n)

    @classmethod
    def _of_some(cls, liked: Interactions, n: int, decay: float, window: int) -> Self:
        most = int(_pair_counts(liked, window).sum())
        together, after = _Cells.room(most), _Cells.room(most)
        for part in _portions(liked, window, _PAIRS_IN_CACHE):
            for one, other in _pairs(part, decay, window):
                together.add(*one)
                after.add(*other)
        return cls(together.summed(n), after.summed(n))

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


def _pair_counts(liked: Interactions, window: int) -> NDArray[np.int64]:
    lengths = np.diff(liked.indptr)
    return lengths * np.minimum(lengths, window)


def _portions(liked: Interactions, window: int, most: int) -> Iterator[Interactions]:
    counts = _pair_counts(liked, window)
    for start, end in portions(counts, most):
        yield liked.of(np.arange(start, end)) if (start, end) != (0, len(counts)) else liked


def portions(sizes: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """From which to which, so that the sizes of each portion add up to at most `most`, or it is one alone."""
    total, start = np.cumsum(sizes), 0
    while start < len(sizes):
        before = total[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(total, before + most, side="right")))
        yield start, end
        start = end


_Cell = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]


@dataclass
class _Cells:
    """Cells of a sum, in room that is taken once.

    Attributes:
        row, column: int32.
        value: float64.
        filled: How many there are.
    """

    row: NDArray[np.int32]
    column: NDArray[np.int32]
    value: NDArray[np.float64]
    filled: int = 0

    @classmethod
    def room(cls, most: int) -> Self:
        return cls(np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most))

    def add(self, row: NDArray[np.int32], column: NDArray[np.int32], value: NDArray[np.float64]) -> None:
        span = slice(self.filled, self.filled + len(row))
        self.row[span], self.column[span], self.value[span] = row, column, value
        self.filled += len(row)

    def summed(self, n: int) -> sp.csr_matrix:
        span = slice(self.filled)
        return sp.csr_matrix((self.value[span], (self.row[span], self.column[span])), shape=(n, n))


def _pairs(liked: Interactions, decay: float, window: int) -> Iterator[tuple[_Cell, _Cell]]:
    """For every gap within the window: cells of G (larger column first) and of C."""
    columns, weights = liked.columns, liked.weights.astype(np.float64)
    newer = np.repeat(liked.indptr[1:], np.diff(liked.indptr)) - 1 - np.arange(len(liked))
    window = min(window, int(newer.max(initial=0)) + 1)
    foretold = np.zeros(len(liked))  # sum of decay^2(k-1) w_(b+k) over the examples in which both events of a pair lie
    for gap in range(window - 1, -1, -1):
        reach = window - gap
        follows = np.flatnonzero(newer >= reach)
        foretold[follows] += decay ** (2 * (reach - 1)) * weights[follows + reach]
        first = np.flatnonzero(newer >= gap)
        second = first + gap
        value = decay**gap * weights[first] * weights[second] * foretold[second]
        counts = value > 0
        one, other = columns[first[counts]], columns[second[counts]]
        # A pair of different items stands for two cells, of which one is kept; one item twice stands for two in one.
        twice = np.where((one == other) & (gap > 0), 2.0, 1.0)
        together = (np.maximum(one, other), np.minimum(one, other), value[counts] * twice)
        first = np.flatnonzero(newer > gap)
        second = first + gap + 1
        yield together, (columns[first], columns[second], decay**gap * weights[first] * weights[second])


def cleared(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Without the cells that subtraction has emptied."""
    matrix.data[np.abs(matrix.data) < _NOTHING] = 0.0
    matrix.eliminate_zeros()
    return matrix
