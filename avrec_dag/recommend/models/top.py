"""The best of sparse products: lists for everybody without a score for every item."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from avrec_dag.recommend.models.base import Interactions


def best(liked: sp.csr_matrix, weights: sp.csr_matrix, histories: Interactions, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Everybody's items with the highest scores `liked @ weights` above 0 among those not met.

    Rows are multiplied and sorted one by one, by `implicit`: time goes with the weights that histories touch, memory with the result.

    Args:
        liked: (users, items) float32, as the model weighs histories.
        weights: (items, items) float32.
        histories: What they are from; everything in them counts as met.
        k: Places of a list.

    Returns:
        (users, k) int32 columns, best first, -1 where there is no further one; and their scores, 0 there.
    """
    from implicit._nearest_neighbours import NearestNeighboursScorer

    columns, scores = np.full((liked.shape[0], k), -1, np.int32), np.zeros((liked.shape[0], k), np.float32)
    if not liked.nnz or not weights.nnz:
        return columns, scores
    scorer = NearestNeighboursScorer(weights.astype(np.float64))
    rows = sp.csr_matrix(histories.met.astype(np.float64) + liked)
    rows.data -= 1.0  # what was met and not liked stays as a stored zero: it adds nothing and is left out of the list
    span = np.zeros(2, np.int32)
    for row, (start, end) in enumerate(zip(rows.indptr, rows.indptr[1:], strict=False)):
        span[1] = end - start
        found, sums = scorer.recommend(span, rows.indices[start:end], rows.data[start:end], K=k)
        wanted = np.count_nonzero(sums > 0)  # they come sorted; what was met is in them as a 0
        columns[row, :wanted], scores[row, :wanted] = found[:wanted], sums[:wanted]
    return columns, scores
