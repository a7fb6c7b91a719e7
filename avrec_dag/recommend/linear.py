"""EASE: a linear item-to-item model with a closed form (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019)."""

import numpy as np
import scipy.linalg
import scipy.sparse as sp

MAX_ITEMS = 20_000
"""The Gram matrix is dense, 1.6 GB in float32 at this size; of more items, those with most interactions take part."""
MIN_SUPPORT = 2
"""An item liked by one person says only what that person says; content carries it until a second one comes."""
KEPT_PER_ITEM = 500
"""How many of the strongest weights towards each item are kept: the rest is noise that costs 1.6 GB at 20,000 items."""


def candidates(support: np.ndarray, *, max_items: int = MAX_ITEMS) -> np.ndarray:
    """Columns of the items that take part, ascending: support of at least `MIN_SUPPORT`, the `max_items` best supported ones."""
    able = np.flatnonzero(support >= MIN_SUPPORT)
    best = able[np.argsort(-support[able], kind="stable")[:max_items]]
    return np.sort(best)


def fit(liked: sp.csr_matrix, *, l2: float, max_items: int = MAX_ITEMS) -> sp.csr_matrix:
    """Solve EASE over the items that take part.

    Recency is in the faded weights of `liked`. Dislikes stay out of the Gram matrix, where a product of two negatives would count as
    likeness; they act as filters and in the content profile.

    Args:
        liked: (users, items) positive weights.
        l2: Ridge penalty on the Gram matrix's diagonal, above 0.
        max_items: See `MAX_ITEMS`.

    Returns:
        (items, items) float32: scores of a person are `their liked row @ result`; zero diagonal, empty rows and columns for items that
        do not take part.
    """
    n = liked.shape[1]
    chosen = candidates(np.bincount(liked.indices, minlength=n), max_items=max_items)
    if len(chosen) < 2:
        return sp.csr_matrix((n, n), dtype=np.float32)
    x = sp.csr_matrix(liked[:, chosen])
    gram = np.asarray((x.T @ x).toarray(), dtype=np.float32 if len(chosen) > 2000 else np.float64)
    gram[np.diag_indices_from(gram)] += l2
    factor = scipy.linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    inverse = np.asarray(scipy.linalg.cho_solve(factor, np.eye(len(chosen), dtype=gram.dtype), overwrite_b=True, check_finite=False))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return _spread(_strongest(weights), chosen, n)


def _strongest(weights: np.ndarray) -> np.ndarray:
    """The same matrix with only the `KEPT_PER_ITEM` largest weights by magnitude in each column."""
    if weights.shape[0] > KEPT_PER_ITEM:
        for column in weights.T:
            column[np.argpartition(np.abs(column), -KEPT_PER_ITEM)[:-KEPT_PER_ITEM]] = 0.0
    return weights


def _spread(weights: np.ndarray, chosen: np.ndarray, n: int) -> sp.csr_matrix:
    small = sp.coo_matrix(weights.astype(np.float32))
    return sp.csr_matrix((small.data, (chosen[small.row], chosen[small.col])), shape=(n, n))
