"""Why an item is on a list: read off the same sums that made its score, so a reason cannot say what the score does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avrec_dag.recommend.blend import QUALITY, Scores, Views
from avrec_dag.recommend.models.base import Interactions
from avrec_dag.recommend.models.effects import of_events
from avrec_dag.recommend.models.weighing import Array
from avrec_dag.recommend.reranking.listing import Listed

BEHAVIOUR, CONTENT, POPULARITY = "behaviour", "content", "popularity"
OF_CONTENT = ("content", "bilinear")
"""The models that know an item by what it holds."""
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
        part: The part of the score that adds most: behaviour, content, popularity, quality, a signal, or none where nothing speaks for it.
        causes: The items of the person's history behind that part, strongest first.
        also: What signals say that add something, too.
        shares: Part -> what it adds (negative: takes off) of all that parts add and take off; magnitudes sum to 1.
        place: What re-ranking says of its place.
    """

    text: str
    part: str
    causes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    place: Listed = field(default_factory=lambda: Listed(-1))


def contributions(views: Views, history: Interactions, scores: Scores, items: NDArray[np.int64]) -> dict[str, Array]:
    """What each event of one history adds to the behaviour and to the content part of some items' scores.

    Args:
        views: As given to `blend`.
        history: One person's, as given to `blend`.
        scores: That person's alone.
        items: Columns.

    Returns:
        behaviour and content: (events, items asked for) float32, up to the constant that standardising subtracts.
    """
    added = {part: np.zeros((len(history), len(items)), np.float32) for part in (BEHAVIOUR, CONTENT)}
    for name, effects in of_events(views.model, history, items).items():
        if name != POPULARITY:
            added[CONTENT if name in OF_CONTENT else BEHAVIOUR] += scores.factors[name][0, scores.at(items)] * effects
    return added


def parts_of(scores: Scores, items: NDArray[np.int64]) -> dict[str, Array]:
    """What behaviour (all models of it together), content, popularity, quality and signals add to some items of one person's scores."""
    added = {part: np.zeros(len(items), np.float32) for part in (BEHAVIOUR, CONTENT, POPULARITY, QUALITY, *scores.signals)}
    at = scores.at(items)
    for name, part in scores.parts.items():
        added[name if name in added else CONTENT if name in OF_CONTENT else BEHAVIOUR] += part[0, at]
    return added


def explain(
    views: Views, history: Interactions, scores: Scores, items: Sequence[int], facts: Facts, listed: Sequence[Listed] = ()
) -> list[Reason]:
    """For each item, the part of the score that adds most, and what is behind it.

    Args:
        views: As in `contributions`, like history and scores.
        history: One person's.
        scores: Of theirs.
        items: Columns.
        facts: What reasons may mention.
        listed: What re-ranking says of the place of each, where it made a list of them.
    """
    columns = np.asarray(items, np.int64)
    parts = parts_of(scores, columns)
    names, values = list(parts), np.array(list(parts.values()), np.float32).T
    added = contributions(views, history, scores, columns)
    ranked = {part: np.argsort(-each, axis=0, kind="stable")[:NAMED].T.tolist() for part, each in added.items()}
    reasons = []
    for place, (item, strongest, each) in enumerate(zip(items, values.argmax(axis=1).tolist(), values.tolist(), strict=True)):
        part, causes = names[strongest], ()
        if each[strongest] <= 0:
            part, text = "none", "for a change: nothing in particular speaks for it yet"
        elif part == POPULARITY:
            text = f"popular: {views.support[item]} people liked it"
        elif part == QUALITY:
            text = f"well made: quality {views.quality[item]:.2f}"
        elif part in scores.signals:
            text, causes = scores.signals[part].says(item), scores.signals[part].causes
        else:
            events = [event for event in ranked[part][place] if added[part][event, place] > 0 and history.weights[event] > 0]
            causes = tuple(dict.fromkeys(facts.items[history.columns[event]] for event in events))
            text = _from_history(part, facts, facts.items[item], causes)
        also = tuple(one.says(item) for name, one in scores.signals.items() if name != names[strongest] and parts[name][place] > 0)
        shares = _shares(dict(zip(names, each, strict=True)))
        reasons.append(Reason(text, part, causes, also, shares, listed[place] if listed else Listed(-1)))
    return reasons


def _shares(added: Mapping[str, float]) -> dict[str, float]:
    total = sum(map(abs, added.values()))
    return {name: round(value / total, 4) for name, value in added.items() if value} if total else {}


def _from_history(part: str, facts: Facts, media_id: str, causes: tuple[str, ...]) -> str:
    if not causes:
        return "unlike what you did not care for"
    names = " and ".join(facts.name(cause) for cause in causes)
    text = f"people who liked {names} liked this too" if part == BEHAVIOUR else f"its content is like {names}, which you liked"
    return text + _shared_class(facts, media_id, causes[0])


def _shared_class(facts: Facts, media_id: str, cause: str) -> str:
    shared = facts.shared_label(media_id, cause)
    return f" (both {shared})" if shared else ""
