"""Ridge regressions towards every item, each from its best sources alone: for more items than a dense inverse can hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_HEAD = 8192
"""Pairs of the best-known items are looked up in a dense block of this side, 256 MB; most pairs lie there."""
_CELLS_AT_ONCE = 1 << 23


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
    chosen = _Chosen.of(_moved(after, place), diagonal[order] + l2, sources)
    weights = _weights(gram, chosen, l2)
    columns = np.repeat(np.arange(n), np.diff(chosen.indptr))
    return sp.csr_matrix((weights, (order[chosen.sources], order[columns])), shape=(n, n))


def _moved(matrix: sp.csr_matrix, place: NDArray[np.int64]) -> sp.coo_matrix:
    cells = sp.coo_matrix(matrix)
    return sp.coo_matrix((cells.data, (place[cells.row], place[cells.col])), shape=matrix.shape)


@dataclass(frozen=True)
class _Gram:
    """Cells of G: the lower triangle, a dense block of the first items and sparse rows of the rest."""

    head: NDArray[np.float32]
    rows: sp.csr_matrix

    @classmethod
    def of(cls, together: sp.csr_matrix, place: NDArray[np.int64]) -> Self:
        cells = _moved(together, place)
        row, column = np.maximum(cells.row, cells.col), np.minimum(cells.row, cells.col)
        side = min(_HEAD, len(place))
        inside = row < side
        head = np.zeros((side, side), np.float32)
        head[row[inside], column[inside]] = cells.data[inside]
        rest = (cells.data[~inside].astype(np.float32), (row[~inside], column[~inside]))
        rows = sp.csr_matrix(rest, shape=together.shape)
        rows.sort_indices()
        return cls(head, rows)

    def __call__(self, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float32]:
        """The cells at rows and columns of any one shape, no column after its row."""
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
    """The sources of each item, one item after the other: those of item j are from indptr[j] to indptr[j + 1]."""

    sources: NDArray[np.int64]
    values: NDArray[np.float32]
    indptr: NDArray[np.int64]

    @classmethod
    def of(cls, after: sp.coo_matrix, scale: NDArray[np.float64], most: int) -> Self:
        columns = after.tocsc()
        columns.sort_indices()
        gain = columns.data**2 / scale[columns.indices]
        kept = np.ones(len(gain), bool)
        for item in np.flatnonzero(np.diff(columns.indptr) > most):
            start, end = columns.indptr[item : item + 2]
            kept[start:end][np.argpartition(gain[start:end], -most)[:-most]] = False
        indptr = np.concatenate([[0], np.cumsum(kept)])[columns.indptr]
        return cls(columns.indices[kept].astype(np.int64), columns.data[kept].astype(np.float32), indptr)


def _weights(gram: _Gram, chosen: _Chosen, l2: float) -> NDArray[np.float32]:
    """The solutions in the order of `chosen`, from batches of systems of about one size."""
    weights = np.zeros(len(chosen.sources), np.float32)
    counts = np.diff(chosen.indptr)
    for items, size in _batches(counts):
        slots = np.arange(size)
        real = slots < counts[items][:, None]
        at = np.where(real, chosen.indptr[items][:, None] + slots, 0)
        # Sources ascend; what fills a row up is the first item, linked to nothing.
        sources, towards = np.where(real, chosen.sources[at], 0), np.where(real, chosen.values[at], 0.0)
        first, second = np.triu_indices(size, 1)
        cells = gram(np.maximum(sources[:, second], sources[:, first]), sources[:, first]) * real[:, second]
        systems = np.zeros((len(items), size, size), np.float32)
        systems[:, first, second] = cells
        systems[:, second, first] = cells
        systems[:, slots, slots] = np.where(real, gram(sources, sources), 0.0) + l2
        solved = np.linalg.solve(systems, towards[:, :, None])[:, :, 0]
        weights[at[real]] = solved[real]
    return weights


def _batches(counts: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Items with at least one source, those with about as many together, and the most of each batch."""
    order = np.argsort(counts, kind="stable")
    start = int(np.searchsorted(counts[order], 1))
    while start < len(order):
        # Systems of about the smallest one's size, and not too many cells at once.
        smallest = int(counts[order[start]])
        end = int(np.searchsorted(counts[order], max(smallest + 1, 1.25 * smallest), side="left"))
        end = min(end, start + max(1, _CELLS_AT_ONCE // int(counts[order[end - 1]]) ** 2))
        yield order[start:end], int(counts[order[end - 1]])
        start = end
