"""Why an item is on a list: read off the same sums that made its score, so a reason cannot say what the score does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp

from avrec_dag.recommend import content
from avrec_dag.recommend.blend import Scores, Views
from avrec_dag.recommend.reranking.listing import Listed

NAMED = 2
"""So many items of the person's history are named at most."""


@dataclass(frozen=True)
class Facts:
    """What reasons may mention.

    Attributes:
        items: Ids in the order of the scores.
        titles: Item -> its title; an item without one is called by its id.
        labels: Item -> its classes.
        terms: Item -> the words of its title, tags and description (`words.terms`).
        held_by: Word -> how many items have it.
    """

    items: tuple[str, ...]
    titles: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    terms: Mapping[str, frozenset[str]] = field(default_factory=dict)
    held_by: Mapping[str, int] = field(default_factory=dict)

    def shared_label(self, one: str, other: str) -> str | None:
        """A class that both items have."""
        return next((label for label in self.labels.get(one, ()) if label in self.labels.get(other, ())), None)

    def name(self, media_id: str) -> str:
        """The title in quotes, else the id."""
        return f"“{self.titles[media_id]}”" if self.titles.get(media_id) else media_id


@dataclass(frozen=True)
class Reason:
    """Why one item is recommended to one person.

    Attributes:
        text: One line for people.
        part: The part of the score that adds most: linear, content, popularity, quality, or none where nothing speaks for it.
        causes: The items of the person's history behind that part, strongest first.
        place: What re-ranking says of its place.
    """

    text: str
    part: str
    causes: tuple[str, ...] = ()
    place: Listed = field(default_factory=lambda: Listed(-1))


def contributions(views: Views, weights: sp.csr_matrix, scores: Scores, person: int, items: Sequence[int]) -> dict[str, np.ndarray]:
    """What each item of one history adds to the linear and to the content part of some items' scores.

    Args:
        views: As given to `blend`.
        weights: (people, items), as given to `blend`.
        scores: Its result.
        person: Row.
        items: Columns.

    Returns:
        linear and content: (items asked for, met) float32, met in the order of the row's stored cells, up to the common factor of the
        two parts, and up to the constant that standardising subtracts.
    """
    row = slice(weights.indptr[person], weights.indptr[person + 1])
    met, known = weights.indices[row], views.known[items, None]
    towards = sp.csr_matrix(views.linear[met]).T.tocsr()[items].toarray()
    share = content.shares(sp.csr_matrix(weights[[person]])).data
    alike = views.vectors[items] @ views.vectors[met].T
    return {
        "linear": known * scores.linear_scale[person] * np.maximum(weights.data[row], 0) * towards,
        "content": (1 - known) * scores.content_scale[person] * share * alike,
    }


def explain(views: Views, weights: sp.csr_matrix, scores: Scores, person: int, items: Sequence[int], facts: Facts) -> list[Reason]:
    """For each item, the part of the score that adds most, and what is behind it; arguments as in `contributions`."""
    added = contributions(views, weights, scores, person, items)
    row = slice(weights.indptr[person], weights.indptr[person + 1])
    met, liked = weights.indices[row], weights.data[row] > 0
    reasons = []
    for place, item in enumerate(items):
        parts = {name: float(getattr(scores, name)[person, item]) for name in ("linear", "content", "popularity", "quality")}
        part = max(parts, key=lambda name: parts[name])
        if parts[part] <= 0:
            reasons.append(Reason("for a change: nothing in particular speaks for it yet", "none"))
        elif part == "popularity":
            reasons.append(Reason(f"popular: {views.support[item]} people liked it", part))
        elif part == "quality":
            reasons.append(Reason(f"well made: quality {views.quality[item]:.2f}", part))
        else:
            each = added[part][place]
            order = [near for near in np.argsort(-each, kind="stable")[:NAMED] if each[near] > 0 and liked[near]]
            reasons.append(_from_history(part, facts, facts.items[item], tuple(facts.items[met[near]] for near in order)))
    return reasons


def _from_history(part: str, facts: Facts, media_id: str, causes: tuple[str, ...]) -> Reason:
    if not causes:
        return Reason("unlike what you did not care for", part)
    names = " and ".join(facts.name(cause) for cause in causes)
    text = f"people who liked {names} liked this too" if part == "linear" else f"its content is like {names}, which you liked"
    return Reason(text + _shared_class(facts, media_id, causes[0]), part, causes)


def _shared_class(facts: Facts, media_id: str, cause: str) -> str:
    shared = facts.shared_label(media_id, cause)
    return f" (both {shared})" if shared else ""


def noted(reason: Reason, place: Listed) -> Reason:
    """The same reason with what put the item on the list besides its score."""
    return replace(reason, place=place)
