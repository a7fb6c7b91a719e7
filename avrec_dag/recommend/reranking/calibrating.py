"""A list in the person's own mix of classes: Steck, Calibrated Recommendations, RecSys 2018; or chances in that mix, before any list."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_ALPHA = 0.01
"""So much of the wanted mix is blended into the list's, that a class without a place costs much but not without end (Steck, eq. 7)."""

_MOST = 100.0
"""The chance of a class is moved by this factor at most: a class that was never met, or hardly ever, is not shut out."""


def lift(
    scores: NDArray[np.floating], classes: sp.csr_matrix, wanted: NDArray[np.floating], stands_for: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """(classes,) by what the chances of each class are multiplied so that they add up to the person's own mix.

    A classifier's chances are put right for other shares of the classes by the ratio of the shares (Saerens et al., Adjusting the outputs
    of a classifier to new a priori probabilities, Neural Computation 2002). Here the chance of an item is e to its score, up to a factor.

    Args:
        scores: (items,) float, standardised; -inf where an item must not be shown.
        classes: (items, classes) float32 probabilities.
        wanted: (classes,) the mix, summing to at most 1.
        stands_for: (items,) for how many items each stands; None: for itself.

    Returns:
        In [0.01, 100]; 1 where nothing can be shown.
    """
    chances = np.exp(scores.astype(np.float64) - np.max(scores, initial=-np.inf)) if np.isfinite(scores).any() else np.zeros(len(scores))
    chances = chances if stands_for is None else chances * stands_for
    expected = np.asarray(classes.T @ chances).ravel() / max(float(chances.sum()), 1e-300)
    held = expected > 0
    return np.clip(np.divide(wanted, expected, out=np.ones(len(expected)), where=held), 1.0 / _MOST, _MOST)


def smoothed(
    scores: NDArray[np.floating], popularity: NDArray[np.floating], share: float, stands_for: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """(items,) logarithms of chances of which a share goes by what is popular, whoever chooses; -inf where an item must not be shown.

    A model of a person says next to nothing of what lies far from their taste, so that variety would take any of it. Interpolation with
    what holds for everybody puts that right, as in models of language (Jelinek and Mercer 1980; Zhai and Lafferty, A study of smoothing
    methods for language models applied to information retrieval, TOIS 2004).

    Args:
        scores: (items,) logarithms of chances, up to a constant; -inf where an item must not be shown.
        popularity: (items,) at least 0.
        share: In [0, 1).
        stands_for: As in `lift`.
    """
    open_to, many = np.isfinite(scores), np.ones(len(scores)) if stands_for is None else stands_for
    usual = np.where(open_to, popularity, 0.0)
    total = float(usual @ many)
    if share == 0.0 or total <= 0.0:
        return scores.astype(np.float64)
    highest = float(scores.max())
    own = scores - (highest + np.log(np.exp(scores - highest) @ many))
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log1p(-share) + own, np.log(share * usual / total))


def divergence(wanted: NDArray[np.floating], mixes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of the mix of a list from the wanted one, in nats, 0 where they are the same.

    Args:
        wanted: (classes,) summing to 1.
        mixes: (lists, classes), each summing to 1.
    """
    p = np.asarray(wanted, np.float64)
    at = p > 0
    blended = (1.0 - _ALPHA) * np.asarray(mixes, np.float64)[:, at] + _ALPHA * p[at]
    return (p[at] * np.log(p[at] / blended)).sum(axis=1)


def calibrated(classes: NDArray[np.float32], wanted: NDArray[np.float32], k: int, *, strength: float) -> list[int]:
    """Choose k of some candidates greedily, for their place and for what they do to the mix of classes.

    Each step takes what maximises (1 - strength) * utility - strength * divergence of the list so far; submodular up to a constant, so
    that greedy choice is within 1 - 1/e of the best (Steck, section 4.2). The utility of a candidate falls evenly with its place.

    Args:
        classes: (m, classes) float32 probabilities of each candidate, best first; what they leave to 1 is the class of no class.
        wanted: (classes,) float32, in the same way.
        k: How many at most.
        strength: In [0, 1]: 0 takes the first k, 1 looks at the mix alone.

    Returns:
        Places in [0, m), in the order of choice, none twice.
    """
    m = len(classes)
    if strength == 0.0 or not (wanted > 0).any():
        return list(range(min(k, m)))
    held = np.column_stack([classes, np.clip(1.0 - classes.sum(axis=1), 0.0, 1.0)]).astype(np.float64)
    held /= held.sum(axis=1, keepdims=True)
    target = np.append(wanted, max(1.0 - float(wanted.sum()), 0.0)).astype(np.float64)
    target /= target.sum()
    utility = 1.0 - np.arange(m) / m
    summed, chosen, left = np.zeros(held.shape[1]), [], np.ones(m, dtype=bool)
    for size in range(1, min(k, m) + 1):
        worth = (1.0 - strength) * utility - strength * divergence(target, (summed + held) / size)
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        chosen.append(best)
        left[best] = False
        summed += held[best]
    return chosen
