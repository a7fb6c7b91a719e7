"""One score from four views of an item: behaviour (linear), content, popularity and quality, each on the person's own scale.

relevance = (1 - p) * (w * z(linear) + (1 - w) * z(content)) + p * z(popularity)
score     = (1 - q) * relevance + q * z(quality)

z() standardises over the items that the person has not met, so that the parts can be added: an EASE score has no unit of its own.
w = n / (n + `KNOWN_AT`) grows with the n people who liked the item: behaviour carries what is known, content what is new.
p = `KNOWN_AT_WEIGHT` / (`KNOWN_AT_WEIGHT` + the person's opinions) fades as the person becomes known; it is 1 for someone new.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from avrec_dag.recommend import content

KNOWN_AT = 4.0
"""An item that so many people liked is carried half by behaviour, half by content."""
KNOWN_AT_WEIGHT = 0.5
"""A person whose absolute weights add up to this is carried half by popularity."""


@dataclass(frozen=True)
class Views:
    """What is known of the items, in one order.

    Attributes:
        linear: (items, items) float32 weights of the linear model.
        vectors: (items, d) float32 centred content vectors.
        popularity: (items,) float32.
        support: (items,) int64, how many people liked each.
        quality: (items,) float32 in [0, 1].
    """

    linear: sp.csr_matrix
    vectors: np.ndarray
    popularity: np.ndarray
    support: np.ndarray
    quality: np.ndarray

    @cached_property
    def known(self) -> np.ndarray:
        """The w in [0, 1] of each item (see the module); 0 where the linear model leaves an item out."""
        taken = np.bincount(self.linear.indices, minlength=len(self.support)) > 0
        return np.where(taken, self.support / (self.support + KNOWN_AT), 0.0).astype(np.float32)


@dataclass(frozen=True)
class Scores:
    """The scores of some people for all items, and what they are made of; all (people, items) float32 unless said.

    Attributes:
        final: The score; -inf where the person has met the item.
        linear: What behaviour adds to it.
        content: What likeness of content adds.
        popularity: What popularity adds.
        quality: What quality adds.
        linear_scale: (people,) factor from a raw linear score to its z.
        content_scale: (people,) the same for content.
    """

    final: np.ndarray
    linear: np.ndarray
    content: np.ndarray
    popularity: np.ndarray
    quality: np.ndarray
    linear_scale: np.ndarray
    content_scale: np.ndarray


def unknown_share(weights: sp.csr_matrix) -> np.ndarray:
    """The p in [0, 1] of each person (see the module): (people, items) -> float32 (people,)."""
    opinions = np.asarray(abs(weights).sum(axis=1), dtype=np.float32).ravel()
    return KNOWN_AT_WEIGHT / (KNOWN_AT_WEIGHT + opinions)


def standardise(raw: np.ndarray, open_to: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale each row to mean 0 and deviation 1 over the cells that are open.

    Args:
        raw: (rows, n) float32.
        open_to: (rows, n) bool.

    Returns:
        The z scores, and the factor applied to each row (0 where all open cells are equal, and then every z is 0).
    """
    count = np.maximum(open_to.sum(axis=1), 1)
    mean = np.where(open_to, raw, 0).sum(axis=1) / count
    deviation = np.sqrt(np.where(open_to, (raw - mean[:, None]) ** 2, 0).sum(axis=1) / count)
    # Below float32's resolution the differences are rounding, and stretching them would invent a preference.
    sure = deviation > 1e-6 * np.maximum(np.abs(raw).max(axis=1, initial=0), 1e-30)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=sure)
    return ((raw - mean[:, None]) * scale[:, None]).astype(np.float32), scale.astype(np.float32)


def blend(views: Views, weights: sp.csr_matrix, *, quality: float = 0.0) -> Scores:
    """Score every item for some people.

    Args:
        views: What is known of the items.
        weights: (people, items) opinions in [-1, 1]; every stored cell is an item met, which scores -inf.
        quality: q in [0, 1]: 0 ignores quality, 1 looks at nothing else.
    """
    shape = (weights.shape[0], len(views.support))
    open_to = np.ones(shape, dtype=bool)
    open_to[np.repeat(np.arange(shape[0]), np.diff(weights.indptr)), weights.indices] = False
    liked = weights.copy()
    liked.data = np.maximum(liked.data, 0.0)
    z_linear, linear_scale = standardise(np.asarray((liked @ views.linear).toarray(), dtype=np.float32), open_to)
    z_content, content_scale = standardise(content.score(weights, views.vectors), open_to)
    z_popularity, _ = standardise(np.broadcast_to(np.log1p(views.popularity), shape), open_to)
    z_quality, _ = standardise(np.broadcast_to(views.quality, shape), open_to)
    share = unknown_share(weights)[:, None]
    known = views.known[None, :]
    parts = {
        "linear": (1 - quality) * (1 - share) * known * z_linear,
        "content": (1 - quality) * (1 - share) * (1 - known) * z_content,
        "popularity": (1 - quality) * share * z_popularity,
        "quality": quality * z_quality,
    }
    final = np.where(open_to, sum(parts.values()), -np.inf).astype(np.float32)
    return Scores(final=final, linear_scale=linear_scale, content_scale=content_scale, **parts)
