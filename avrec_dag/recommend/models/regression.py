"""Ridge regressions towards every item from running sums, solved exactly with one dense inverse."""

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.errors import ModelError

_COLUMNS_AT_ONCE = 1024


def solve(together: sp.csr_matrix, after: sp.csr_matrix, *, l2: float, kept: int) -> sp.csr_matrix:
    """Solve (G + l2 I) B = C with one dense inverse in float32, 4 n^2 bytes, in place.

    Args:
        together: (items, items) lower triangle of G.
        after: (items, items) C.
        l2: Above 0.
        kept: How many of the largest weights towards each item are kept.

    Returns:
        (items, items) float32 B, from row to column.
    """
    n = together.shape[0]
    known = np.flatnonzero(together.diagonal())
    if not len(known):
        return sp.csr_matrix((n, n), dtype=np.float32)
    gram = np.asfortranarray(together[known][:, known].toarray(order="F"), dtype=np.float32)
    gram[np.diag_indices_from(gram)] += l2
    inverse = _inverted(gram)
    towards = sp.csr_matrix(after[known].T.astype(np.float32))
    parts = []
    for start in range(0, n, _COLUMNS_AT_ONCE):
        block = np.asarray(towards[start : start + _COLUMNS_AT_ONCE] @ inverse)
        parts.append(_strongest(block, kept))
    weights = sp.csr_matrix(sp.vstack(parts).T)
    spread = sp.csr_matrix((np.ones(len(known), np.float32), (known, np.arange(len(known)))), shape=(n, len(known)))
    return sp.csr_matrix(spread @ weights)


def _inverted(gram: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of a positive definite matrix, given as its lower triangle, which is overwritten."""
    potrf, potri = scipy.linalg.get_lapack_funcs(("potrf", "potri"), (gram,))
    factor, failed = potrf(gram, lower=True, overwrite_a=True)
    if failed:
        raise ModelError("the sums of the linear model are not positive definite in float32; a larger l2 helps")
    inverse, _ = potri(factor, lower=True, overwrite_c=True)
    for start in range(0, len(inverse), _COLUMNS_AT_ONCE):  # mirrored in place
        end = start + _COLUMNS_AT_ONCE
        square = inverse[start:end, start:end]
        square[:] = np.tril(square) + np.tril(square, -1).T
        inverse[start:end, end:] = inverse[end:, start:end].T
    return inverse


def _strongest(block: NDArray[np.float32], kept: int) -> sp.csr_matrix:
    if block.shape[1] > kept:
        for row in block:
            row[np.argpartition(np.abs(row), -kept)[:-kept]] = 0.0
    return sp.csr_matrix(block)
