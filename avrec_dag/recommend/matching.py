"""How well items fit a query, before anybody's taste is asked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend import words
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.queries import Query, Vector

_SAMPLE = 2000
_SAID, _NAMED, _MEANT, _LIKE = range(4)
_ALIKE = {"picture": "looks like the picture", "sound": "sounds like the sound", "clip": "is like the clip"}


@dataclass(frozen=True)
class Matches:
    """Items that fit, best first.

    Attributes:
        rows: (m,) places in the index.
        scores: (m,) float64: the cosine with the query plus the boost for exact words.
        why: (m,) int8, of each the place of its reason in `reasons`.
        reasons: Why items fit, for people.
        threshold: Half-way between what a typical item of the library scores and what the best does: what lies below is no answer, however
            much somebody likes it.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    why: NDArray[np.int8]
    reasons: tuple[str, ...]
    threshold: float

    def reason(self, at: int) -> str:
        """Why one of them fits."""
        return self.reasons[self.why[at]]


def match(catalogue: Catalogue, query: Query, joint: Vector | None, at_least: int) -> Matches:
    """The items that fit a query best.

    With examples the score is the mean of two cosines: with what they mean (`joint`, which crosses from sound to picture to words) and
    with what they look and sound like (`fused`). On Debian's stamps each alone finds less: `bench/cross_modal.py`.

    Args:
        catalogue: The items.
        query: What is looked for.
        joint: Its place in the joint space (`Query.joint`).
        at_least: So many items, where there are as many.
    """
    index, fused = catalogue.index, query.fused
    asked = {part: vector for part, vector in (("joint", joint), ("fused", fused)) if vector is not None}
    named, boosts, spoken = _named(catalogue, query)
    near = {part: index.nearest(part, vector, at_least)[0] for part, vector in asked.items()}
    asked = {part: vector for part, vector in asked.items() if len(near[part])}  # where no item has such a vector, nothing is compared
    rows = _united(len(index.items), named, *near.values())
    raised, said = np.zeros(len(rows)), np.zeros(len(rows), bool)
    at_named = np.searchsorted(rows, named)
    raised[at_named], said[at_named] = boosts, spoken
    share = 1.0 / max(1, len(asked))
    cosines = {part: index.products(part, rows, vector).astype(np.float64) * share for part, vector in asked.items()}
    scores = sum(cosines.values(), raised)
    order = np.argsort(-scores, kind="stable")
    alike = cosines.get("fused", np.full(len(rows), -np.inf)) > cosines.get("joint", np.full(len(rows), -np.inf))
    like = " and ".join(dict.fromkeys(_ALIKE[one.part] for one in query.examples))
    why = np.where(raised > 0, np.where(said, _SAID, _NAMED), np.where(alike, _LIKE, _MEANT)).astype(np.int8)
    typical = _typical(catalogue, asked, share)
    best = float(scores[order[0]]) if len(order) else typical
    reasons = ("said or shown in it", "named so", "fits by meaning", like)
    return Matches(rows[order], scores[order], why[order], reasons, (typical + best) / 2)


def _united(n: int, *parts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Rows out of n that are in any of these, each once, ascending."""
    held = np.zeros(n, bool)
    for rows in parts:
        held[rows] = True
    return np.flatnonzero(held)


def _named(catalogue: Catalogue, query: Query) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Rows, ascending, and what its words add to each: of what an item is called, or of what was said or shown in one moment of it.

    Returns:
        The rows; the larger of the two; whether that is what was said or shown.
    """
    if not query.text.strip():
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool)
    wanted, place = words.asked(query.text), catalogue.index.place
    held = [np.asarray(catalogue.holders[term]) for term in wanted if term in catalogue.holders]
    counts = np.bincount(np.concatenate([np.zeros(0, np.int64), *held]), minlength=len(place))
    called = np.flatnonzero(counts)
    shares = catalogue.moments.best_shares(catalogue.moments.named(wanted))
    told = {place[media_id]: share for media_id, share in shares.items() if media_id in place}
    rows = _united(len(place), called, np.array(list(told), np.int64))
    by_name, by_moment = np.zeros(len(rows)), np.zeros(len(rows))
    by_name[np.searchsorted(rows, called)] = words.BOOST * counts[called] / len(wanted)
    by_moment[np.searchsorted(rows, np.array(list(told), np.int64))] = words.BOOST * np.array(list(told.values()))
    return rows, np.maximum(by_name, by_moment), by_moment > by_name


def _typical(catalogue: Catalogue, asked: dict[str, Vector], share: float) -> float:
    """The median score of at most `_SAMPLE` items evenly spread over the index."""
    n = len(catalogue.index.items)
    if not n or not asked:
        return 0.0
    rows = _united(n, np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64))
    return float(np.median(sum(catalogue.index.products(part, rows, vector) * share for part, vector in asked.items())))
