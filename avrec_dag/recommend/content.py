"""Likeness of content: a person is the weighted mean of the items they met, disliked ones counting against."""

import numpy as np
import scipy.sparse as sp

DISLIKED_COUNTS = 0.25
"""How much a disliked item counts beside one liked as strongly. On made people, who dislike what is not to their taste at random, more
loses accuracy (NDCG@10 of content alone 0.45 at 0.25, 0.42 at 1) and less makes dislikes unfelt."""


def centred(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors (n, d) less their mean, unit length again, float32: what all items share says nothing about taste."""
    moved = vectors - vectors.mean(axis=0, keepdims=True) if len(vectors) else vectors
    norms = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.divide(moved, norms, out=np.zeros_like(moved, dtype=np.float32), where=norms > 1e-6).astype(np.float32)


def shares(weights: sp.csr_matrix) -> sp.csr_matrix:
    """What each item of a history adds to the profile: (users, items), signed as the weights, magnitudes summing to 1 per person."""
    result = weights.copy().astype(np.float32)
    result.data = np.where(result.data < 0, DISLIKED_COUNTS * result.data, result.data)
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    sums = np.bincount(row, weights=np.abs(result.data), minlength=weights.shape[0])
    result.data = np.divide(result.data, sums[row], out=np.zeros_like(result.data), where=sums[row] > 0)
    return result


def score(weights: sp.csr_matrix, vectors: np.ndarray) -> np.ndarray:
    """Likeness of every item to every person: (users, items) weights, (items, d) centred vectors -> float32 (users, items)."""
    return np.asarray((shares(weights) @ vectors) @ vectors.T, dtype=np.float32)
