"""An order in which what is strongly linked lies close together, so that what is read of one is in the cache for the next."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_STRONG = 0.5
"""Links at least so many times as strong as the strongest from the same row decide; the others lead everywhere."""


def order(links: sp.csr_matrix) -> NDArray[np.int64]:
    """The rows, each next to those that it is linked to most strongly.

    Everyone joins the strongest of its neighbours, what has joined is one from then on, and again, until nothing is linked: the rounds of
    Borůvka's spanning tree ("O jistém problému minimálním", 1926), of which each makes the order among the parts of the next. Time is
    linear in the links, times the rounds, which are at most the logarithm of the rows.

    Args:
        links: (n, n) above 0, from each row to others.

    Returns:
        (n,) the rows in that order.
    """
    rows = _rows(links)
    strong = links.data >= _STRONG * _strongest(links)[rows]
    graph = _summed(rows[strong], links.indices[strong], links.data[strong], links.shape[0])
    graph = sp.csr_matrix(graph + graph.transpose())
    part = np.arange(links.shape[0])
    parts = [part]
    while graph.nnz:
        rows = _rows(graph)
        joined = _joined(graph, rows)
        part = joined[part]
        parts.append(part)
        source, target = joined[rows], joined[graph.indices]
        apart = source != target
        graph = _summed(source[apart], target[apart], graph.data[apart], int(joined.max()) + 1)
    return np.asarray(np.lexsort(parts), np.int64)


def _joined(graph: sp.csr_matrix, rows: NDArray[np.int64]) -> NDArray[np.int32]:
    """(n,) which part each belongs to when it has joined the strongest of its neighbours; `rows` are those of the cells."""
    from scipy.sparse.csgraph import connected_components

    n = graph.shape[0]
    at = np.flatnonzero(graph.data == _strongest(graph)[rows])
    neighbour = np.arange(n)
    neighbour[rows[at]] = graph.indices[at]
    joins = sp.csr_matrix((np.ones(n, bool), neighbour, np.arange(n + 1)), shape=(n, n))
    return connected_components(joins, directed=False)[1]


def _strongest(graph: sp.csr_matrix) -> NDArray[np.floating]:
    """(n,) of each row; 0 of one without a link."""
    some = np.flatnonzero(np.diff(graph.indptr))
    strongest = np.zeros(graph.shape[0], graph.data.dtype)
    if len(some):
        strongest[some] = np.maximum.reduceat(graph.data, graph.indptr[some])
    return strongest


def _rows(graph: sp.csr_matrix) -> NDArray[np.int64]:
    return np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))


def _summed(rows: NDArray, columns: NDArray, values: NDArray, n: int) -> sp.csr_matrix:
    return sp.csr_matrix(sp.coo_matrix((values, (rows, columns)), shape=(n, n)))
