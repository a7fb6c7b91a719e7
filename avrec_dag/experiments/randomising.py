"""Lists drawn at random now and then, with the exact chance of every item at every place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Policy:
    """How one list came about, with nothing about it left to guess.

    With probability 1 - epsilon it is `own`; else its places are filled from the pool without replacement, every order equally likely.
    So an item of the pool stands at a given place with probability epsilon / len(pool), and at its own place with 1 - epsilon more: the
    marginal propensities of the item-position model (Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen, Offline evaluation of
    ranking policies with click models, KDD 2018, section 4.2).

    Attributes:
        own: The list that the arm makes.
        pool: What a drawn one is drawn from, `own` first; empty where epsilon is 0, or where nobody worked it out.
        epsilon: See above.
    """

    own: tuple[str, ...]
    pool: tuple[str, ...] = ()
    epsilon: float = 0.0

    @property
    def known(self) -> bool:
        """Whether the propensities are."""
        return not self.epsilon or bool(self.pool) or not self.own

    def propensity(self, media_id: str, place: int) -> float:
        """The probability of an item at a place, counted from 0; ValueError where the pool was not worked out."""
        if not self.known:
            raise ValueError("the pool of this list was not worked out, so its propensities are not known")
        kept = (1.0 - self.epsilon) * (place < len(self.own) and self.own[place] == media_id)
        return kept + (self.epsilon / len(self.pool) if self.pool and media_id in self.pool else 0.0)

    def propensities(self, shown: Sequence[str]) -> tuple[float, ...]:
        """Those of a list, place by place."""
        return tuple(self.propensity(one, place) for place, one in enumerate(shown))


def pooled(own: Sequence[str], longer: Sequence[str], size: int) -> tuple[str, ...]:
    """The pool of a list: itself, filled up to `size` with the first others of a longer one."""
    seen = set(own)
    return (*own, *[one for one in longer if one not in seen][: max(0, size - len(own))])


def drawn(pool: Sequence[str], k: int, *, seed: int) -> tuple[str, ...]:
    """K items of the pool in random order, all orders equally likely."""
    return tuple(pool[place] for place in np.random.default_rng(seed).permutation(len(pool))[:k].tolist())
