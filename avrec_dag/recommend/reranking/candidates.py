"""Which items may stand on a list at all: the best of each group of copies, and no more of one creator than allowed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PER_PLACE = 5
"""Variety may choose among so many times the places of the list: whatever lies deeper is not worth showing for variety's sake."""
LEAST = 50
_WIDER = 2
"""Chances fall faster than scores, so that variety by them may choose among so many times more."""
_DECAY, _FLOOR = 0.5, 0.25
"""Each further item of a creator counts half the one before it, never less than a quarter (X's published author diversity scorer, 2023)."""


@dataclass(frozen=True)
class Candidates:
    """What a list is chosen from.

    Attributes:
        positions: (m,) int64, best first.
        relevance: (m,) float32 in [0, 1], each further item of a creator less: the scores, the worst candidate at 0 and the best at 1; or
            the chance that each is liked next, the best one's at 1.
        nth: (m,) int64: how many better items of the same creator stand before each; 0 for an item whose creator nobody named.
    """

    positions: NDArray[np.int64]
    relevance: NDArray[np.float32]
    nth: NDArray[np.int64]


def of_scores(
    scores: NDArray[np.floating],
    groups: NDArray[np.int64],
    creators: NDArray[np.int64],
    k: int,
    *,
    per_creator: int,
    decay: float,
    chances: bool = False,
) -> Candidates:
    """The best items that may stand on one list together.

    Where so few creators are left that the cap would leave places empty, it is raised for all creators alike, by as little as fills them.

    Args:
        scores: (n,) float; -inf means never.
        groups: (n,) the group of copies of each item; of each group the best-scored item is taken.
        creators: (n,) the creator of each, -1 where nobody named one.
        k: Places on the list.
        per_creator: At most so many items of one creator.
        decay: In [0, 1], how much less each further item of a creator counts: 0 not at all, 1 as X did.
        chances: Take e to the scores for relevance. Accuracy is a sum over the chances of what is listed, so that whoever adds variety to a
            sum of relevance must count in them. The blend learns as a conditional logit (McFadden 1974), in which e to a score is a chance,
            up to a factor; scores standardised over what was not met are near enough, as what it learns deviates by about 1.
    """
    wanted = max(PER_PLACE * k, LEAST) * (_WIDER if chances else 1)
    n = len(scores)
    width = min(n, 4 * wanted)
    while True:
        positions, nth = _allowed(best(scores, width), groups, creators, k, per_creator)
        if len(positions) >= wanted or width == n:
            break
        width = min(n, 8 * width)
    positions, nth = positions[:wanted], nth[:wanted]
    relevance = _chances(scores[positions]) if chances else _scaled(scores[positions])
    kept = 1.0 - decay * (1.0 - ((1.0 - _FLOOR) * _DECAY**nth + _FLOOR))
    return Candidates(positions, (relevance * kept).astype(np.float32), nth)


def _chances(scores: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.exp(scores - scores.max(initial=-np.inf)).astype(np.float32)


def _scaled(scores: NDArray[np.floating]) -> NDArray[np.float32]:
    relevance = scores.astype(np.float32)
    spread = float(relevance[0] - relevance[-1]) if len(relevance) else 0.0
    return (relevance - relevance[-1]) / spread if spread > 0 else np.ones_like(relevance)


def best(scores: NDArray[np.floating], width: int) -> NDArray[np.int64]:
    """Positions of the `width` best finite scores, best first, equal ones by position; and of all others that tie with the last."""
    if width < len(scores):
        least = -np.partition(-scores, width - 1)[width - 1]
        found = np.flatnonzero(scores >= least)  # with all that tie with the last
    else:
        found = np.arange(len(scores))
    found = found[np.isfinite(scores[found])]
    return found[np.argsort(-scores[found], kind="stable")]


def _allowed(
    order: NDArray[np.int64], groups: NDArray[np.int64], creators: NDArray[np.int64], k: int, per_creator: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    _, first = np.unique(groups[order], return_index=True)
    order = order[np.sort(first)]
    nth = _nth(creators[order])
    counts, cap = np.bincount(nth, minlength=1), per_creator
    while counts[:cap].sum() < min(k, len(order)):
        cap += 1
    return order[nth < cap], nth[nth < cap]


def _nth(creators: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often the creator of each stood before it; 0 for -1."""
    by = np.argsort(creators, kind="stable")
    ordered = creators[by]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else np.zeros(0, np.int64)
    within = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.append(starts, len(ordered))))
    nth = np.empty(len(creators), np.int64)
    nth[by] = np.where(ordered < 0, 0, within)
    return nth
