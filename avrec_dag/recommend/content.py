"""Likeness of content: a person is the weighted mean of the items they liked, less those they did not."""

import numpy as np
import scipy.sparse as sp

DISLIKED_SHARE = 0.5
"""How much the mean of the disliked items counts against the mean of the liked ones."""


def centred(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors (n, d) less their mean, unit length again, float32: what all items share says nothing about taste."""
    moved = vectors - vectors.mean(axis=0, keepdims=True) if len(vectors) else vectors
    norms = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.divide(moved, norms, out=np.zeros_like(moved, dtype=np.float32), where=norms > 1e-6).astype(np.float32)


def shares(weights: sp.csr_matrix) -> sp.csr_matrix:
    """What each item of a history adds to the profile: (users, items), liked ones sum to 1, disliked ones to -`DISLIKED_SHARE`."""
    result = weights.copy().astype(np.float32)
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    for sign, total in ((1.0, 1.0), (-1.0, DISLIKED_SHARE)):
        of_sign = result.data * sign > 0
        sums = np.bincount(row[of_sign], weights=np.abs(result.data[of_sign]), minlength=weights.shape[0])
        result.data[of_sign] *= total / sums[row[of_sign]]
    return result


def score(weights: sp.csr_matrix, vectors: np.ndarray) -> np.ndarray:
    """Likeness of every item to every person: (users, items) weights, (items, d) centred vectors -> float32 (users, items)."""
    return np.asarray((shares(weights) @ vectors) @ vectors.T, dtype=np.float32)
