"""The best of sparse products: lists for everybody without a score for every item."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_PEOPLE_AT_ONCE = 1 << 16


def best(met: sp.csr_matrix, weights: sp.csr_matrix, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Everybody's items with the highest scores `met @ weights` above 0 among those not met.

    Rows are multiplied and sorted one by one, by `sparse_dot_topn`: time goes with the weights that histories touch, memory with the
    result.

    Args:
        met: (users, items) float32, as the model weighs histories; what was met and is not liked is a stored 0: it adds nothing.
        weights: (items, items) float32.
        k: Places of a list.

    Returns:
        (users, k) int32 columns, best first, -1 where there is no further one; and their scores, 0 there.
    """
    from sparse_dot_topn import sp_matmul_topn

    columns, scores = np.full((met.shape[0], k), -1, np.int32), np.zeros((met.shape[0], k), np.float32)
    if not met.nnz or not weights.nnz:
        return columns, scores
    closed = _closed(weights)
    for start in range(0, met.shape[0], _PEOPLE_AT_ONCE):
        found = sp_matmul_topn(sp.csr_matrix(met[start : start + _PEOPLE_AT_ONCE]), closed, k, threshold=0.0, sort=True)
        filled = np.arange(k) < np.diff(found.indptr)[:, None]
        cells, people = slice(found.indptr[-1]), slice(start, start + len(filled))
        columns[people][filled], scores[people][filled] = found.indices[cells], found.data[cells]
    return columns, scores


def _closed(weights: sp.csr_matrix) -> sp.csr_matrix:
    """The weights, each row begun by minus infinity from the item to itself: what is met adds that, or 0 times it, which is no number.

    Neither is above 0, so that what is met is never among the best.
    """
    n, first = weights.shape[0], weights.indptr[:-1]
    data, indices = np.insert(weights.data, first, -np.inf), np.insert(weights.indices, first, np.arange(n))
    return sp.csr_matrix((data, indices, weights.indptr + np.arange(n + 1, dtype=weights.indptr.dtype)), shape=(n, n))
