"""Ridge regressions towards every item from running sums, solved exactly with one dense inverse in float32, 4 n^2 bytes."""

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.errors import ModelError

KEPT = 500
"""So many of the largest weights towards each item are kept; the rest is noise that would make files as large as the inverse."""
_COLUMNS_AT_ONCE = 1024


def solve(together: sp.csr_matrix, after: sp.csr_matrix | sp.csc_matrix, *, l2: float, kept: int = KEPT) -> sp.csr_matrix:
    """Solve (G + l2 I) B = C.

    Args:
        together: (items, items) G as `Pairs` has it.
        after: (items, items) C.
        l2: Above 0.
        kept: See `KEPT`.

    Returns:
        (items, items) float32 B, from row to column.
    """
    known = np.flatnonzero(together.diagonal())
    inverse = _inverse(together, known, l2)
    towards = sp.csr_matrix(sp.csr_matrix(sp.csr_matrix(after, dtype=np.float32)[known]).transpose())

    def block(start: int, end: int) -> NDArray[np.float32]:
        return np.asarray(sp.csr_matrix(towards[start:end]).dot(inverse))

    return _spread([_strongest(block(*part), kept) for part in _parts(towards.shape[0])], known, np.arange(towards.shape[0]))


def autoencoder(together: sp.csr_matrix, *, l2: float, kept: int = KEPT) -> sp.csr_matrix:
    """Solve EASE: the B without a diagonal that explains the likes behind G by themselves, P / -diag(P) for P = (G + l2 I)^-1.

    Args:
        together: (items, items) G as `Pairs` has it.
        l2: Above 0.
        kept: See `KEPT`.

    Returns:
        (items, items) float32 B, from row to column.
    """
    known = np.flatnonzero(together.diagonal())
    inverse = _inverse(together, known, l2)
    scale = -inverse.diagonal().copy()
    np.fill_diagonal(inverse, 0.0)
    # The inverse is symmetric, so its rows, scaled, are the columns of B.
    rows = [_strongest(inverse[start:end] / scale[start:end, None], kept) for start, end in _parts(len(known))]
    return _spread(rows, known, known, n=together.shape[0])


def _parts(n: int) -> list[tuple[int, int]]:
    return [(start, min(start + _COLUMNS_AT_ONCE, n)) for start in range(0, n, _COLUMNS_AT_ONCE)]


def _inverse(together: sp.csr_matrix, known: NDArray[np.int64], l2: float) -> NDArray[np.float32]:
    """(G + l2 I)^-1 over the items `known`."""
    if not len(known):
        return np.zeros((0, 0), np.float32)
    some = sp.csr_matrix(sp.csr_matrix(together.astype(np.float32)[known])[:, known])
    gram = np.asarray(some.toarray(order="F"))
    for start, end in _parts(len(known)):  # what stands above the diagonal belongs below it, too
        square = gram[start:end, start:end]
        square += np.triu(square, 1).T
        gram[end:, start:end] += gram[start:end, end:].T
    gram[np.diag_indices_from(gram)] += l2
    potrf, potri = scipy.linalg.get_lapack_funcs(("potrf", "potri"), (gram,))
    factor, failed = potrf(gram, lower=True, overwrite_a=True)
    if failed:
        raise ModelError(f"fitting a linear model of {len(known)} items: with l2 {l2:g} its sums cannot be inverted; take a larger l2")
    inverse, _ = potri(factor, lower=True, overwrite_c=True)
    for start, end in _parts(len(known)):  # mirrored in place
        square = inverse[start:end, start:end]
        square[:] = np.tril(square) + np.tril(square, -1).T
        inverse[start:end, end:] = inverse[end:, start:end].T
    return inverse


def _strongest(block: NDArray[np.float32], kept: int) -> sp.csr_matrix:
    if block.shape[1] > kept:
        for row in block:
            row[np.argpartition(np.abs(row), -kept)[:-kept]] = 0.0
    return sp.csr_matrix(block)


def _spread(rows: list[sp.csr_matrix], sources: NDArray[np.int64], targets: NDArray[np.int64], n: int | None = None) -> sp.csr_matrix:
    """From rows of weights towards `targets`, by the place of the source, to (items, items) from source to target."""
    size = len(targets) if n is None else n
    if not rows or not len(sources):
        return sp.csr_matrix((size, size), dtype=np.float32)
    cells = sp.coo_matrix(sp.vstack(rows))
    return sp.csr_matrix((cells.data, (sources[cells.col], targets[cells.row])), shape=(size, size))
