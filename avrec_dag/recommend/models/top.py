"""The best of sparse products: lists for everybody without a score for every item."""

from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


def best(met: sp.csr_matrix, weights: sp.csr_matrix, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Everybody's items with the highest scores `met @ weights` above 0 among those not met.

    Rows are multiplied and sorted one by one, by `implicit`: time goes with the weights that histories touch, memory with the result.

    Args:
        met: (users, items) float32, as the model weighs histories; what was met and is not liked is a stored 0: it adds nothing.
        weights: (items, items) float32.
        k: Places of a list.

    Returns:
        (users, k) int32 columns, best first, -1 where there is no further one; and their scores, 0 there.
    """
    from implicit._nearest_neighbours import NearestNeighboursScorer

    columns, scores = np.full((met.shape[0], k), -1, np.int32), np.zeros((met.shape[0], k), np.float32)
    if not met.nnz or not weights.nnz:
        return columns, scores
    scorer = NearestNeighboursScorer(weights.astype(np.float64))
    span, items, data, ends = np.zeros(2, np.int32), met.indices, met.data.astype(np.float64), met.indptr.tolist()
    for row, (start, end) in enumerate(pairwise(ends)):
        span[1] = end - start
        found, sums = scorer.recommend(span, items[start:end], data[start:end], K=k)
        columns[row, : len(found)], scores[row, : len(found)] = found, sums
    none = scores <= 0  # what was met is found as a 0
    columns[none], scores[none] = -1, 0.0
    return columns, scores
