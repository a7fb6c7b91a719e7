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
    never = _never(weights)
    for start in range(0, met.shape[0], _PEOPLE_AT_ONCE):
        found = sp_matmul_topn(_twice(sp.csr_matrix(met[start : start + _PEOPLE_AT_ONCE])), never, k, threshold=0.0, sort=True)
        filled = np.arange(k) < np.diff(found.indptr)[:, None]
        cells, people = slice(found.indptr[-1]), slice(start, start + len(filled))
        columns[people][filled], scores[people][filled] = found.indices[cells], found.data[cells]
    return columns, scores


def _never(weights: sp.csr_matrix) -> sp.csr_matrix:
    """(2 items, items) the weights, and below them minus infinity from each item to itself: what is met is never among the best."""
    n = weights.shape[0]
    below = np.arange(1, n + 1, dtype=weights.indptr.dtype) + weights.indptr[-1]
    itself, values = np.arange(n, dtype=weights.indices.dtype), np.full(n, -np.inf, np.float32)
    data, indices = np.concatenate([weights.data, values]), np.concatenate([weights.indices, itself])
    return sp.csr_matrix((data, indices, np.concatenate([weights.indptr, below])), shape=(2 * n, n))


def _twice(met: sp.csr_matrix) -> sp.csr_matrix:
    """(users, 2 items) each cell, and a 1 in its column of the second half."""
    n = met.shape[1]
    data, indices = np.stack([met.data, np.ones_like(met.data)], axis=1), np.stack([met.indices, met.indices + n], axis=1)
    return sp.csr_matrix((data.ravel(), indices.ravel(), 2 * met.indptr), shape=(met.shape[0], 2 * n))
