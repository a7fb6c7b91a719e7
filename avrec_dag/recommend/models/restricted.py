"""Ridge regressions towards every item, each from its best sources alone: for more items than a dense inverse can hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_HEAD = 8192
"""Pairs of the best-known items are looked up in a dense block of this side, 256 MB; most pairs lie there."""
_CELLS_AT_ONCE = 1 << 24
_SOURCES_AT_ONCE = 1 << 20


def solve(together: sp.csr_matrix, after: sp.csr_matrix, *, l2: float, sources: int) -> sp.csr_matrix:
    """Solve (G + l2 I) B = C for each column within the sources that alone would explain it best, a small dense system each.

    The restriction of SLIM to chosen columns (fsSLIM; Ning and Karypis, "SLIM: Sparse Linear Methods for Top-N Recommender Systems",
    ICDM 2011), chosen by what each alone takes off the loss, C_ij^2 / (G_ii + l2). Time and memory are linear in the items.

    Args:
        together: (items, items) the lower triangle of G.
        after: (items, items) C.
        l2: Above 0.
        sources: At most so many per item.

    Returns:
        (items, items) float32 B, from row to column.
    """
    n = together.shape[0]
    diagonal = together.diagonal()
    order = np.argsort(-diagonal, kind="stable")  # best known first: the rarer of two has the shorter row
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    gram = _Gram.of(together, place)
    chosen = _Chosen.of(after, place, diagonal + l2, sources)
    weights = _weights(gram, chosen, l2)
    columns = np.repeat(np.arange(n), np.diff(chosen.indptr))
    return sp.csr_matrix((weights, (order[chosen.sources], columns)), shape=(n, n))


@dataclass(frozen=True)
class _Gram:
    """Cells of G: the diagonal, and the lower triangle as a dense block of the first items and sparse rows of the rest."""

    diagonal: NDArray[np.float32]
    head: NDArray[np.float32]
    rows: sp.csr_matrix

    @classmethod
    def of(cls, together: sp.csr_matrix, place: NDArray[np.int64]) -> Self:
        cells = sp.coo_matrix(together)
        row, column = place[cells.row], place[cells.col]
        row, column = np.maximum(row, column), np.minimum(row, column)
        side = min(_HEAD, len(place))
        inside = row < side
        head = np.zeros((side, side), np.float32)
        head[row[inside], column[inside]] = cells.data[inside]
        rest = (cells.data[~inside].astype(np.float32), (row[~inside], column[~inside]))
        rows = sp.csr_matrix(rest, shape=together.shape)
        rows.sort_indices()
        diagonal = np.zeros(len(place), np.float32)
        diagonal[place] = together.diagonal()
        return cls(diagonal, head, rows)

    def __call__(self, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float32]:
        """The cells at rows and columns of any one shape, no column after its row; faster where one row is asked for many times in turn."""
        side, flat = len(self.head), self.head.ravel()
        if side == self.rows.shape[0]:
            return flat[row * side + column]
        found = np.zeros(row.shape, np.float32)
        inside = row < side
        found[inside] = flat[row[inside] * side + column[inside]]
        found[~inside] = np.asarray(self.rows[row[~inside], column[~inside]]).ravel()
        return found


@dataclass(frozen=True)
class _Chosen:
    """The sources of each item, by place and ascending, one item after the other: those of item j are from indptr[j] to indptr[j + 1]."""

    sources: NDArray[np.int64]
    values: NDArray[np.float32]
    indptr: NDArray[np.int64]

    @classmethod
    def of(cls, after: sp.csr_matrix, place: NDArray[np.int64], scale: NDArray[np.float64], most: int) -> Self:
        columns = sp.csc_matrix(after)
        columns.sort_indices()
        indptr = columns.indptr.astype(np.int64)
        gain = (columns.data**2 / scale[columns.indices]).astype(np.float32)
        counts = np.diff(indptr)
        kept = np.ones(len(gain), bool)
        for items, size in _batches(counts, np.flatnonzero(counts > most), _SOURCES_AT_ONCE, 1):
            slots = np.arange(size)
            real = slots < counts[items][:, None]
            at = np.where(real, indptr[items][:, None] + slots, 0)
            least = np.argpartition(np.where(real, gain[at], np.float32(-1.0)), -most, axis=1)[:, :-most]
            dropped = np.take_along_axis(at, least, axis=1)[np.take_along_axis(real, least, axis=1)]
            kept[dropped] = False
        owner = np.repeat(np.arange(len(counts)), counts)[kept]
        sources = place[columns.indices[kept]]
        order = np.argsort(owner * len(place) + sources)
        return cls(sources[order], columns.data[kept][order].astype(np.float32), np.concatenate([[0], np.cumsum(kept)])[indptr])


def _weights(gram: _Gram, chosen: _Chosen, l2: float) -> NDArray[np.float32]:
    """The solutions in the order of `chosen`, from batches of systems of about one size."""
    weights = np.zeros(len(chosen.sources), np.float32)
    counts = np.diff(chosen.indptr)
    for items, size in _batches(counts, np.flatnonzero(counts), _CELLS_AT_ONCE, 2):
        slots = np.arange(size)
        real = slots < counts[items][:, None]
        at = np.where(real, chosen.indptr[items][:, None] + slots, 0)
        # Sources ascend; what fills a row up is the first item, linked to nothing.
        sources, towards = np.where(real, chosen.sources[at], 0), np.where(real, chosen.values[at], 0.0)
        second, first = np.tril_indices(size, -1)  # row by row: what is looked up next lies near
        cells = gram(np.maximum(sources[:, second], sources[:, first]), sources[:, first]) * real[:, second]
        systems = np.zeros((len(items), size, size), np.float32)
        systems[:, first, second] = cells
        systems[:, second, first] = cells
        systems[:, slots, slots] = np.where(real, gram.diagonal[sources], 0.0) + l2
        solved = np.linalg.solve(systems, towards[:, :, None])[:, :, 0]
        weights[at[real]] = solved[real]
    return weights


def _batches(counts: NDArray[np.int64], items: NDArray[np.int64], most: int, power: int) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Some items, those with about as many sources together, and the most of each batch; at most `most` cells, `size ** power` an item."""
    order = items[np.argsort(counts[items], kind="stable")]
    start = 0
    while start < len(order):
        # All of about the smallest one's size, and not too many cells at once.
        smallest = int(counts[order[start]])
        end = int(np.searchsorted(counts[order], max(smallest + 1, 1.25 * smallest), side="left"))
        end = min(end, start + max(1, most // int(counts[order[end - 1]]) ** power))
        yield order[start:end], int(counts[order[end - 1]])
        start = end
