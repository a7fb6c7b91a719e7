"""What is known of one person, in numbers for a picture and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from avrec_dag.feedback import Event
from avrec_dag.recommend.history import History
from avrec_dag.recommend.reranking.personal import shares, varieties

if TYPE_CHECKING:
    from avrec_dag.recommend.live import Recommender

MOST_CLASSES, MOST_CREATORS, MOST_ITEMS = 12, 10, 10
_LEAST_SHARE = 0.005
_NAMED = 3
_CLEARLY = 0.5
"""So many deviations from what is usual are worth a word."""


@dataclass(frozen=True)
class OfClass:
    """What a person makes of one class.

    Attributes:
        label: The class.
        share: Of what they liked, in [0, 1].
        usual: The mean of that over people, in [0, 1].
        disliked: Items of it that they did not care for.
    """

    label: str
    share: float
    usual: float
    disliked: int


@dataclass(frozen=True)
class OfCreator:
    """What a person makes of one creator.

    Attributes:
        creator: Who.
        liked: Items of theirs that the person liked.
        followed: Whether the person follows them.
    """

    creator: str
    liked: int
    followed: bool


@dataclass(frozen=True)
class OfItem:
    """One item with what the person thinks of it.

    Attributes:
        media_id: Which.
        title: Of it; empty without one.
        weight: In [-1, 1], faded.
    """

    media_id: str
    title: str
    weight: float


@dataclass(frozen=True)
class Variety:
    """How varied what a person likes is.

    Attributes:
        distance: Mean distance in content between two items that they liked, in [0, 2]; None with fewer than two.
        usual: The mean of that over people.
        says: less than usual, as usual or more than usual; unknown where that cannot be told.
    """

    distance: float | None
    usual: float
    says: str


@dataclass(frozen=True)
class Profile:
    """What is known of one person.

    Attributes:
        user_id: Who.
        text: The same in a few sentences of English.
        met: Items they did something with.
        liked: How many of those they like.
        disliked: How many they do not care for.
        shown: Items that were only ever shown.
        newest_at: When they last did something; None for somebody unknown.
        classes: What they like, most liked first.
        creators: Whom they like or follow.
        variety: How varied it is.
        likes: The items liked most.
        dislikes: The items liked least.
    """

    user_id: str
    text: str
    met: int
    liked: int
    disliked: int
    shown: int
    newest_at: datetime | None
    classes: tuple[OfClass, ...]
    creators: tuple[OfCreator, ...]
    variety: Variety
    likes: tuple[OfItem, ...]
    dislikes: tuple[OfItem, ...]


def profile(recommender: "Recommender", user_id: str, events: Sequence[Event] = ()) -> Profile:
    """One person's profile, from the opinions that their lists are made of.

    Args:
        recommender: The library.
        user_id: Anyone; of somebody unknown it says that nothing is known.
        events: What they did lately.
    """
    known = recommender.known(user_id, events)
    weights = known.weights
    liked, disliked = (_items(recommender, {one: weight for one, weight in weights.items() if sign * weight > 0}) for sign in (1, -1))
    row = sp.csr_matrix(known.row(recommender.catalogue.index.place))
    classes, creators = _classes(recommender, row), _creators(recommender, known)
    variety = _variety(recommender, row)
    return Profile(
        user_id,
        _text(known, len(liked), classes, creators, variety),
        len(weights),
        len(liked),
        len(disliked),
        len(known.shown),
        datetime.fromtimestamp(known.newest_us / 1e6, UTC) if known.newest_us else None,
        classes,
        creators,
        variety,
        liked[:MOST_ITEMS],
        disliked[:MOST_ITEMS],
    )


def _items(recommender: "Recommender", weights: Mapping[str, float]) -> tuple[OfItem, ...]:
    order = sorted(weights, key=lambda one: (-abs(weights[one]), one))
    return tuple(OfItem(one, recommender.catalogue.titles.get(one, ""), round(weights[one], 4)) for one in order)


def _classes(recommender: "Recommender", row: sp.csr_matrix) -> tuple[OfClass, ...]:
    shelf, usual = recommender.reranker.shelf, recommender.reranker.usual
    mix = np.asarray((shares(row) @ shelf.classes).todense()).ravel()
    against = row.copy()
    against.data = (against.data < 0).astype(np.float32)
    refused = np.asarray((against @ (shelf.classes > 0.5).astype(np.float32)).todense()).ravel()
    wanted = [column for column in range(len(shelf.class_names)) if mix[column] >= _LEAST_SHARE or refused[column]]
    wanted.sort(key=lambda column: (-mix[column], -refused[column], shelf.class_names[column]))
    return tuple(
        OfClass(shelf.class_names[column], round(float(mix[column]), 4), round(float(usual.mix[column]), 4), int(refused[column]))
        for column in wanted[:MOST_CLASSES]
    )


def _creators(recommender: "Recommender", known: History) -> tuple[OfCreator, ...]:
    liked: dict[str, int] = {}
    for one, weight in known.weights.items():
        creator = recommender.catalogue.creators.get(one)
        if creator and weight > 0:
            liked[creator] = liked.get(creator, 0) + 1
    names = sorted({*liked, *known.creators}, key=lambda name: (name not in known.creators, -liked.get(name, 0), name))
    return tuple(OfCreator(name, liked.get(name, 0), name in known.creators) for name in names[:MOST_CREATORS])


def _variety(recommender: "Recommender", row: sp.csr_matrix) -> Variety:
    usual = recommender.reranker.usual
    distance, worth = varieties(shares(row), recommender.reranker.shelf.vectors)
    mean = round(usual.variety, 4)
    if not worth[0]:
        return Variety(None, mean, "unknown")
    above = (float(distance[0]) - usual.variety) / usual.deviation if usual.deviation > 1e-6 else 0.0
    says = "more than usual" if above > _CLEARLY else "less than usual" if above < -_CLEARLY else "as usual"
    return Variety(round(float(distance[0]), 4), mean, says)


def _text(known: History, liked: int, classes: Sequence[OfClass], creators: Sequence[OfCreator], variety: Variety) -> str:
    if not known.opinions and not known.creators:
        return "Nothing is known of you yet: lists show what most people like and what is well made."
    parts = [f"You met {_count(len(known.opinions), 'item')} and liked {liked}."]
    if best := [f"{one.label} ({one.share:.0%})" for one in classes if one.share >= _LEAST_SHARE][:_NAMED]:
        parts.append(f"Most of what you like is {_joined(best)}.")
    if worst := [one.label for one in classes if one.disliked and one.share < one.usual][:_NAMED]:
        parts.append(f"You do not care much for {_joined(worst)}.")
    if followed := [one.creator for one in creators if one.followed][:_NAMED]:
        parts.append(f"You follow {_joined(followed)}.")
    if variety.says != "unknown":
        parts.append(f"It varies {variety.says}.")
    return " ".join(parts)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
