"""What everybody likes: the baseline to beat, and what carries a person of whom nothing is known."""

import numpy as np
import scipy.sparse as sp


def popularity(liked: sp.csr_matrix) -> np.ndarray:
    """The sum of positive, faded weights of each item: (users, items) -> float32 (items,), at least 0."""
    return np.asarray(liked.sum(axis=0), dtype=np.float32).ravel()


def support(liked: sp.csr_matrix) -> np.ndarray:
    """How many people liked each item: (users, items) -> int64 (items,)."""
    return np.bincount(liked.indices[liked.data > 0], minlength=liked.shape[1]).astype(np.int64)
