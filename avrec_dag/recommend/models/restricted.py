"""Ridge regressions towards every item, each from its best sources alone: for more items than a dense inverse can hold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.recommend.models import nearby
from avrec_dag.recommend.models.gram import portions

_BLOCK = 1 << 22
"""Cells of G that lie open at once, 16 MB: what is looked up of them stays within the processor's cache, however many items there are."""
_LOOKED_UP_AT_ONCE = 1 << 17
_TRIANGLES = 1 << 28
"""Cells of all systems that wait to be solved, 1 GB."""
_CELLS_AT_ONCE = 1 << 19
_SOURCES_AT_ONCE = 1 << 20
_COLUMNS_AT_ONCE = 1 << 10


Columns = Callable[[int, int], sp.csc_matrix]
"""From which column to which of an (items, items) matrix -> (items, so many columns)."""


def solve(together: sp.csr_matrix, after: Columns, *, l2: float, sources: int) -> sp.csr_matrix:
    """Solve (G + l2 I) B = C for each column within the sources that alone would explain it best, a small dense system each.

    The restriction of SLIM to chosen columns (fsSLIM; Ning and Karypis, "SLIM: Sparse Linear Methods for Top-N Recommender Systems",
    ICDM 2011), chosen by what each alone takes off the loss, C_ij^2 / (G_ii + l2). Time and memory are linear in the items.

    Args:
        together: (items, items) G as `Pairs` has it.
        after: What gives some columns of C, which is thus never there as a whole.
        l2: Above 0.
        sources: At most so many per item.

    Returns:
        (items, items) float32 B, from row to column.
    """
    n = together.shape[0]
    diagonal = together.diagonal()
    scale = diagonal + l2
    chosen = _Chosen.of(after, scale, sources)
    order = nearby.order(chosen.gains(scale))  # what is looked up for one lies near what is looked up for the next
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    chosen = chosen.placed(order, place)
    gram = _moved(together, place, upper=False), _moved(together, place, upper=True)
    counts = np.diff(chosen.indptr)
    triangles = counts * (counts - 1) // 2
    spans = list(portions(triangles, _TRIANGLES))  # whose triangles keep to the memory for them
    room = np.empty(max((triangles[start:end].sum() for start, end in spans), default=0), np.float32)
    parts = [_weights(gram, diagonal[order], chosen.of_items(start, end), l2, room) for start, end in spans]
    placed = sp.csc_matrix((np.concatenate([np.zeros(0, np.float32), *parts]), order[chosen.sources], chosen.indptr), shape=(n, n))
    return sp.csr_matrix(placed[:, place])


def _moved(together: sp.csr_matrix, place: NDArray[np.int64], *, upper: bool) -> sp.csr_matrix:
    """The cells above or below the diagonal, float32, those of a row in any order: all below it, with every item at its place."""
    narrow, counts, filled = place.astype(np.int32), np.diff(together.indptr), 0
    row, column, values = np.empty(together.nnz, np.int32), np.empty(together.nnz, np.int32), np.empty(together.nnz, np.float32)
    for start, end in portions(counts, _SOURCES_AT_ONCE):
        cells = slice(together.indptr[start], together.indptr[end])
        source, target = np.repeat(np.arange(start, end, dtype=np.int32), counts[start:end]), together.indices[cells]
        wanted = source < target if upper else source > target
        one, other = narrow[source[wanted]], narrow[target[wanted]]
        span = slice(filled, filled + len(one))
        row[span], column[span], values[span] = np.maximum(one, other), np.minimum(one, other), together.data[cells][wanted]
        filled = span.stop
    moved = sp.coo_matrix((values[:filled], (row[:filled], column[:filled])), shape=together.shape)
    moved.has_canonical_format = True  # no cell is there twice, so that none has to be sorted to be found
    return sp.csr_matrix(moved)


@dataclass(frozen=True)
class _Chosen:
    """The sources of each item, one item after the other: those of item j are from indptr[j] to indptr[j + 1].

    Once they are `placed`, items and sources are places, sources ascending.
    """

    sources: NDArray[np.int32]
    values: NDArray[np.float32]
    indptr: NDArray[np.int64]

    @classmethod
    def of(cls, after: Columns, scale: NDArray[np.float64], most: int) -> Self:
        n = len(scale)
        parts = [_best_rows(after(start, min(start + _COLUMNS_AT_ONCE, n)), scale, most) for start in range(0, n, _COLUMNS_AT_ONCE)]
        indptr = np.cumsum(np.concatenate([[0], *(counts for _, _, counts in parts)]))
        sources = np.concatenate([np.zeros(0, np.int32), *(sources for sources, _, _ in parts)])
        return cls(sources, np.concatenate([np.zeros(0, np.float32), *(values for _, values, _ in parts)]), indptr)

    def gains(self, scale: NDArray[np.float64]) -> sp.csr_matrix:
        """(items, items) float32: from each item to its sources."""
        return sp.csr_matrix((_gains(self.values, self.sources, scale), self.sources, self.indptr), shape=(len(scale), len(scale)))

    def placed(self, order: NDArray[np.int64], place: NDArray[np.int64]) -> Self:
        """The same in this order, in which items have these places; their sources too."""
        by_item = sp.csr_matrix((self.values, place[self.sources], self.indptr), shape=(len(place), len(place)))
        rows = sp.csr_matrix(by_item[order])
        rows.sort_indices()
        return type(self)(np.asarray(rows.indices, np.int32), rows.data, rows.indptr.astype(np.int64))

    def of_items(self, start: int, end: int) -> Self:
        """Those of some items in a row."""
        cells = slice(self.indptr[start], self.indptr[end])
        return type(self)(self.sources[cells], self.values[cells], self.indptr[start : end + 1] - self.indptr[start])


def _best_rows(
    columns: sp.csc_matrix, scale: NDArray[np.float64], most: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]:
    """The cells with the largest gains of each column: their rows, their values; and how many they are of each column."""
    counts = np.diff(columns.indptr).astype(np.int64)
    kept = _best(_gains(columns.data, columns.indices, scale), counts, most)
    return np.asarray(columns.indices[kept], np.int32), np.asarray(columns.data[kept], np.float32), np.minimum(counts, most)


def _gains(values: NDArray[np.floating], sources: NDArray[np.integer], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """What each source alone takes off the loss of the item that a value of C leads to."""
    return (values**2 / scale[sources]).astype(np.float32)


def _best(gain: NDArray[np.float32], counts: NDArray[np.int64], most: int) -> NDArray[np.bool_]:
    """Which gains are among the `most` best of their item; those of an item follow one another, `counts` of them."""
    first = np.cumsum(counts) - counts
    kept = np.ones(len(gain), bool)
    for items, size in _batches(counts, np.flatnonzero(counts > most), _SOURCES_AT_ONCE, 1):
        slots = np.arange(size)
        real = slots < counts[items][:, None]
        at = np.where(real, first[items][:, None] + slots, 0)
        least = np.argpartition(np.where(real, gain[at], np.float32(-1.0)), -most, axis=1)[:, :-most]
        kept[np.take_along_axis(at, least, axis=1)[np.take_along_axis(real, least, axis=1)]] = False
    return kept


def _triangles(
    gram: tuple[sp.csr_matrix, sp.csr_matrix], chosen: _Chosen, room: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The cells of G among the sources of each item, below the diagonal and row by row, one item after the other; and where each starts.

    Some rows of G at a time are laid open, and all that any item wants of them is looked up.
    """
    n, counts = gram[0].shape[0], np.diff(chosen.indptr)
    starts = np.concatenate([[0], np.cumsum(counts * (counts - 1) // 2)])
    at = np.arange(len(chosen.sources), dtype=sp.get_index_dtype(maxval=len(chosen.sources)))
    by_row = sp.csr_matrix((at, chosen.sources, chosen.indptr), shape=(len(counts), n)).tocsc()
    item, of_row, first = by_row.indices, by_row.indptr, chosen.indptr[by_row.indices]
    before = by_row.data - first  # as many sources of the same item
    wanted = np.concatenate([[0], np.cumsum(before)])
    found, block = room[: starts[-1]], np.zeros(max(_BLOCK, n), np.float32)
    for start, end in _rows_at_once(wanted[of_row]):
        (where, values), (also, added) = (_opened(part, start, end) for part in gram)
        block[where] = values
        block[also] += added
        entries = slice(of_row[start], of_row[end])
        lengths, begin = before[entries], wanted[entries] - wanted[entries.start]
        step = np.arange(wanted[entries.stop] - wanted[entries.start])
        cells = np.repeat(np.repeat(np.arange(end - start) * n, np.diff(of_row[start : end + 1])), lengths)
        cells += chosen.sources[np.repeat(first[entries] - begin, lengths) + step]
        target = starts[item[entries]] + lengths * (lengths - 1) // 2
        found[np.repeat(target - begin, lengths) + step] = block[cells]
        block[where] = 0.0
        block[also] = 0.0
    return found, starts


def _opened(gram: sp.csr_matrix, start: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Where the cells of some rows lie when these are dense, one after the other; and the cells."""
    cells = slice(gram.indptr[start], gram.indptr[end])
    where = np.repeat(np.arange(end - start) * gram.shape[1], np.diff(gram.indptr[start : end + 1]))
    where += gram.indices[cells]
    return where, gram.data[cells]


def _rows_at_once(wanted: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """From which row to which, of those that anything is wanted of; `wanted` is the running number of cells before each row."""
    n, start = len(wanted) - 1, 0
    at_once = max(1, _BLOCK // max(n, 1))
    while start < n:
        enough = int(np.searchsorted(wanted, wanted[start] + _LOOKED_UP_AT_ONCE, side="right")) - 1
        end = min(n, start + at_once, max(start + 1, enough))
        if wanted[end] > wanted[start]:
            yield start, end
        start = end


def _weights(
    gram: tuple[sp.csr_matrix, sp.csr_matrix], diagonal: NDArray[np.float64], chosen: _Chosen, l2: float, room: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The solutions in the order of `chosen`, from batches of systems of about one size."""
    weights = np.zeros(len(chosen.sources), np.float32)
    counts = np.diff(chosen.indptr)
    found, starts = _triangles(gram, chosen, room)
    for items, size in _batches(counts, np.flatnonzero(counts), _CELLS_AT_ONCE, 2):
        slots = np.arange(size)
        real = slots < counts[items][:, None]
        at = np.where(real, chosen.indptr[items][:, None] + slots, 0)
        # What fills a row up is the first item, linked to nothing.
        sources, towards = np.where(real, chosen.sources[at], 0), np.where(real, chosen.values[at], 0.0)
        second, first = np.tril_indices(size, -1)  # row by row, as the triangles are: a smaller one is the beginning of a larger
        cell = np.arange(len(first))
        there = cell < (starts[items + 1] - starts[items])[:, None]
        cells = np.where(there, found[np.where(there, starts[items][:, None] + cell, 0)], np.float32(0.0)) if len(found) else 0.0
        systems = np.zeros((len(items), size, size), np.float32)
        systems[:, first, second] = cells
        systems[:, second, first] = cells
        systems[:, slots, slots] = np.where(real, diagonal[sources], 0.0) + l2
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
