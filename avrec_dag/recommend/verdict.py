"""Why one item would, or would not, be on one person's list."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from avrec_dag.errors import MissingError
from avrec_dag.feedback import Event
from avrec_dag.recommend.answers import Advice
from avrec_dag.recommend.blend import blend
from avrec_dag.recommend.explain import explain
from avrec_dag.recommend.history import History
from avrec_dag.recommend.reranking.knobs import Knobs
from avrec_dag.recommend.telling import advice

if TYPE_CHECKING:
    from avrec_dag.recommend.live import Recommender


@dataclass(frozen=True)
class Verdict:
    """One item for one person.

    Attributes:
        advice: The item with its score and what speaks for it, as if it could be listed.
        listed_at: Its place on the list, from 1; None where it is not on it.
        rank: Its place by score alone among the items that the person may be shown, from 1.
        of: How many those are, this one included.
        barred: What keeps it off every list of theirs, in sentences; empty where nothing does.
        text: Whether it is on the list, and why or why not.
    """

    advice: Advice
    listed_at: int | None
    rank: int
    of: int
    barred: tuple[str, ...]
    text: str


def verdict(
    recommender: "Recommender", user_id: str, media_id: str, k: int, *, events: Sequence[Event] = (), knobs: Knobs | None = None
) -> Verdict:
    """Judge one item for one person, by the sums that their list is made of.

    Args:
        recommender: The library.
        user_id: Anyone.
        media_id: An item of the index.
        k: How long the list is.
        events: What the person did lately.
        knobs: What counts how much; None: as the library has it.

    Raises:
        MissingError: The item is not in the index, or may not be shown.
    """
    knobs, items = knobs or recommender.knobs, recommender.catalogue.index.items
    column = recommender.catalogue.index.place.get(media_id)
    if column is None:
        raise MissingError(f"{media_id!r} is in no list yet: it is not in the index, or moderation keeps it back")
    known, share = recommender.known(user_id, events), knobs.quality_share
    history = recommender.history(user_id, events)
    scores = blend(recommender.views, history, quality=share).moved(recommender.signals.of_history(known), 1.0 - share)
    # The parts add up to the score but for a constant, and are finite for what the person met, too.
    total = sum((part[0] for part in scores.parts.values()), np.zeros(len(items), np.float32))
    shown = np.isfinite(scores.final[0])
    shown[recommender.filter.columns([items[one] for one in history.columns])] = False
    shift = float((scores.final[0][shown] - total[shown]).mean()) if shown.any() else 0.0
    barred = _barred(recommender, known, media_id, may_be_shown=bool(shown[column]))
    shown[column] = False
    rank, of = 1 + int((total[shown] > total[column]).sum()), 1 + int(shown.sum())
    (reason,) = explain(recommender.views, history, scores, [column], recommender.catalogue.facts)
    value = float(total[column]) + shift
    told = advice(media_id, 0.5 + 0.5 * value / (1.0 + abs(value)), reason, recommender.catalogue.facts)
    listed = [one.media_id for one in recommender.recommend(user_id, k, events=events, **asdict(knobs))]
    place = listed.index(media_id) + 1 if media_id in listed else None
    return Verdict(told, place, rank, of, barred, _text(told, place, rank, of, barred, k))


def _barred(recommender: "Recommender", known: History, media_id: str, *, may_be_shown: bool) -> tuple[str, ...]:
    catalogue, why = recommender.catalogue, []
    opinion = known.opinions.get(media_id)
    if opinion is not None:
        thought = "liked it" if opinion.weight > 0 else "did not care for it" if opinion.weight < 0 else "said nothing about it"
        why.append(f"you met it on {datetime.fromtimestamp(opinion.last_us / 1e6, UTC):%Y-%m-%d} and {thought}; nothing is shown twice")
    elif not may_be_shown:
        why.append("you met a copy of it; nothing is shown twice")
    canonical = catalogue.canonical_of.get(media_id, media_id)
    if canonical != media_id and canonical in catalogue.index.place:
        why.append(f"it is a copy of {catalogue.facts.name(canonical)}, which is shown in its place")
    return tuple(why)


def _text(told: Advice, place: int | None, rank: int, of: int, barred: Sequence[str], k: int) -> str:
    if place is not None:
        return f"It is number {place} of your list: {told.reason}."
    if barred:
        return f"It is on none of your lists: {'; '.join(barred)}."
    if rank > k:
        return f"It is not on your list of {k}: {rank - 1} of {of - 1} other items suit you better. What speaks for it: {told.reason}."
    return (
        f"It is number {rank} by score, and gave its place on your list of {k} to variety, to a copy, or to other creators: {told.reason}."
    )
