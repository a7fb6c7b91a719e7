"""How well items fit a query, before anybody's taste is asked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend import words
from avrec_dag.recommend.catalogue import Catalogue
from avrec_dag.recommend.queries import Query, Vector

_SAMPLE = 2000
_ALIKE = {"picture": "looks like the picture", "sound": "sounds like the sound", "clip": "is like the clip"}


@dataclass(frozen=True)
class Matches:
    """Items that fit, best first.

    Attributes:
        rows: (m,) places in the index.
        scores: (m,) float64: the cosine with the query plus the boost for exact words.
        reasons: Why each fits, for people.
        threshold: Half-way between what a typical item of the library scores and what the best does: what lies below is no answer, however
            much somebody likes it.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    reasons: tuple[str, ...]
    threshold: float


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
    rows = np.unique(np.concatenate([named, *near.values()]))
    raised, said = np.zeros(len(rows)), np.zeros(len(rows), bool)
    at_named = np.searchsorted(rows, named)
    raised[at_named], said[at_named] = boosts, spoken
    share = 1.0 / max(1, len(asked))
    cosines = {part: np.asarray(index.vectors(part, rows) @ vector, np.float64) * share for part, vector in asked.items()}
    scores = sum(cosines.values(), raised)
    order = np.lexsort((rows, -scores))
    alike = cosines.get("fused", np.full(len(rows), -np.inf)) > cosines.get("joint", np.full(len(rows), -np.inf))
    like = " and ".join(dict.fromkeys(_ALIKE[one.part] for one in query.examples))
    by_words = np.where(said, "said or shown in it", "named so")
    why = np.where(raised > 0, by_words, np.where(alike, like, "fits by meaning"))
    told = tuple(why[order].tolist())
    typical = _typical(catalogue, asked, share)
    best = float(scores[order[0]]) if len(order) else typical
    return Matches(rows[order], scores[order], told, (typical + best) / 2)


def _named(catalogue: Catalogue, query: Query) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Rows, ascending, and what its words add to each: of what an item is called, or of what was said or shown in one moment of it.

    Returns:
        The rows; the larger of the two; whether that is what was said or shown.
    """
    if not query.text.strip():
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool)
    wanted, place = words.asked(query.text), catalogue.index.place
    held = [np.asarray(catalogue.holders.get(term, ()), np.int64) for term in sorted(wanted)]
    called, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *held]), return_counts=True)
    shares = catalogue.moments.best_shares(catalogue.moments.named(wanted))
    told = {place[media_id]: share for media_id, share in shares.items() if media_id in place}
    rows = np.union1d(called, np.array(sorted(told), np.int64))
    by_name, by_moment = np.zeros(len(rows)), np.zeros(len(rows))
    by_name[np.searchsorted(rows, called)] = words.BOOST * counts / len(wanted)
    by_moment[np.searchsorted(rows, np.array(list(told), np.int64))] = words.BOOST * np.array(list(told.values()))
    return rows, np.maximum(by_name, by_moment), by_moment > by_name


def _typical(catalogue: Catalogue, asked: dict[str, Vector], share: float) -> float:
    """The median score of at most `_SAMPLE` items evenly spread over the index."""
    n = len(catalogue.index.items)
    if not n or not asked:
        return 0.0
    rows = np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64))
    return float(np.median(sum(np.asarray(catalogue.index.vectors(part, rows) @ vector) * share for part, vector in asked.items())))
