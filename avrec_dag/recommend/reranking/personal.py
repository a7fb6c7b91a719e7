"""How varied somebody's own history is, and what follows from it: who watches all sorts of things is shown more sorts of things.

A person's propensity towards diversity sets the strength of diversification, as in Di Noia et al., An analysis of users' propensity toward
diversity in recommendations, RecSys 2014. It is measured here by Rao's quadratic entropy (1982), the mean distance between two items drawn
from what they liked, instead of the entropy of single attributes, so that two classes that are alike count as less than two that are not.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

USUAL_AT = 5.0
"""A history of so many equally liked items is believed half, what is usual the other half."""
_REACH = 2.0
"""At `personal` 1, one deviation above what is usual multiplies the odds of variety by e to this half: odds of 0.3 become 0.54."""
_BATCH = 1024
_MOST_PEOPLE = 10_000
"""Enough to tell a mean from: whatever is loaded again at every new version must not grow with the number of people."""


@dataclass(frozen=True, eq=False)
class Population:
    """What is usual among the people of a library.

    Attributes:
        variety: Mean distance within a history, over people with at least two liked items.
        deviation: Its standard deviation between people; 0 where nothing can be told.
        mix: (classes,) float32, the mean mix of classes of those people, summing to 1 with what has no class left out.
        popularity: (items,) float32, by how many of those people each is liked.
    """

    variety: float
    deviation: float
    mix: NDArray[np.float32]
    popularity: NDArray[np.float32]

    @classmethod
    def of(cls, liked: sp.csr_matrix, vectors: NDArray[np.float32], classes: sp.csr_matrix) -> "Population":
        """From everyone's positive weights, or those of `_MOST_PEOPLE` of them, evenly spread.

        Args:
            liked: (people, items) float32, positive.
            vectors: (items, d) float32 unit vectors, zeros for an item without content.
            classes: (items, classes) float32 probabilities.
        """
        if liked.shape[0] > _MOST_PEOPLE:
            liked = sp.csr_matrix(liked[np.linspace(0, liked.shape[0] - 1, _MOST_PEOPLE).astype(np.int64)])
        found, mix, people = [], np.zeros(classes.shape[1]), 0
        for start in range(0, liked.shape[0], _BATCH):
            rows = shares(sp.csr_matrix(liked[start : start + _BATCH]))
            variety, believed = varieties(rows, vectors)
            found.append(variety[believed > 0])
            mix += np.asarray((rows @ classes).sum(axis=0)).ravel()
            people += int((np.diff(rows.indptr) > 0).sum())
        known = np.concatenate([np.zeros(0), *found])
        mean, deviation = (float(known.mean()), float(known.std())) if len(known) > 1 else (0.0, 0.0)
        popularity = np.bincount(liked.indices[liked.data > 0], minlength=liked.shape[1]).astype(np.float32)
        return cls(mean, deviation, (mix / max(people, 1)).astype(np.float32), popularity)


def shares(liked: sp.csr_matrix) -> sp.csr_matrix:
    """Positive weights scaled to sum to 1 per row; a row without any stays empty."""
    rows = sp.csr_matrix(liked, dtype=np.float64, copy=True)
    rows.data = np.maximum(rows.data, 0.0)
    rows.eliminate_zeros()
    total = np.asarray(rows.sum(axis=1)).ravel()
    rows.data /= np.repeat(total, np.diff(rows.indptr))
    return rows


def varieties(rows: sp.csr_matrix, vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean distance between two different items of each history, drawn by their weights.

    Args:
        rows: (people, items) as `shares` gives them.
        vectors: (items, d) float32.

    Returns:
        (people,) in [0, 2], 0 where there are not two items; and how many equally weighted items each history is worth (inverse
        Simpson index), 0 where there are not two.
    """
    squares = np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
    used, columns = np.unique(rows.indices, return_inverse=True)  # vectors of what nobody liked are not touched
    rows = sp.csr_matrix((rows.data, columns, rows.indptr), shape=(rows.shape[0], len(used)))
    content = vectors[used].astype(np.float64)
    profile = np.asarray(rows @ content)
    alike = (profile * profile).sum(axis=1) - np.asarray(rows.multiply(rows) @ (content**2).sum(axis=1)).ravel()
    several = np.diff(rows.indptr) >= 2
    pairs = np.where(several, np.maximum(1.0 - squares, 1e-12), 1.0)
    variety = np.where(several, np.clip(1.0 - alike / pairs, 0.0, 2.0), 0.0)
    return variety, np.divide(1.0, squares, out=np.zeros_like(squares), where=several)


def _variety(liked: sp.csr_matrix, vectors: NDArray[np.float32]) -> tuple[float, float]:
    """As `varieties` of the shares of one person, without the matrices: lists are made one at a time."""
    likes = liked.data > 0
    if np.count_nonzero(likes) < 2:
        return 0.0, 0.0
    share = liked.data[likes].astype(np.float64)
    share /= share.sum()
    content, squares = vectors[liked.indices[likes]].astype(np.float64), share * share
    profile = share @ content
    alike = float(profile @ profile - squares @ (content**2).sum(axis=1))
    worth = float(1.0 / squares.sum())
    return float(np.clip(1.0 - alike / max(1.0 - float(squares.sum()), 1e-12), 0.0, 2.0)), worth


def strength(diversity: float, liked: sp.csr_matrix, vectors: NDArray[np.float32], usual: Population, *, personal: float) -> float:
    """The diversity of one person: the odds of the knob, times more for a history more varied than usual.

    Args:
        diversity: The knob, in [0, 1]; 0 and 1 stay as they are.
        liked: (1, items) positive weights.
        vectors: (items, d) float32.
        usual: What is usual.
        personal: In [0, 1]; 0 gives everybody the knob.

    Returns:
        In [0, 1], growing with the knob and with the variety of the history; the knob for somebody without a history.
    """
    if personal == 0.0 or usual.deviation < 1e-6 or not 0.0 < diversity < 1.0:
        return diversity
    variety, worth = _variety(liked, vectors)
    believed = worth / (worth + USUAL_AT)
    above = believed * float(np.clip((variety - usual.variety) / usual.deviation, -3.0, 3.0))
    odds = diversity / (1.0 - diversity) * np.exp(personal * _REACH * above / 2.0)
    return float(odds / (1.0 + odds))


def taste_mix(liked: sp.csr_matrix, classes: sp.csr_matrix, usual: Population) -> NDArray[np.float32]:
    """(classes,) float32: the mix of classes of what one person liked, shrunk towards what is usual where that is little."""
    rows = shares(liked)
    squares = float(rows.multiply(rows).sum())
    worth = 1.0 / squares if squares > 0 else 0.0
    believed = worth / (worth + USUAL_AT)
    return (believed * np.asarray((rows @ classes).todense()).ravel() + (1.0 - believed) * usual.mix).astype(np.float32)
