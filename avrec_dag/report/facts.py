"""What the report shows, gathered from the ledger's tables: plain values, no pictures, no HTML."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from avrec_dag.moderation.decisions import withheld
from avrec_dag.report import said
from avrec_dag.report.capped import Capped, capped
from avrec_dag.report.copies import Copies, KeptBack, copies, kept_back
from avrec_dag.report.decisions import Decision, decided
from avrec_dag.report.technical import Technical, measured
from avrec_dag.schema import TABLES

if TYPE_CHECKING:
    from avrec_dag.ledger import Ledger

Record = dict[str, Any]
_SHOWN_HISTORY, _SHOWN_LIST = 6, 6


@dataclass(frozen=True)
class Card:
    """One item of the library, everything that is known of it."""

    media_id: str
    facts: Mapping[str, Any]
    frames: str = ""
    sound: str = ""
    classes: tuple[tuple[str, float], ...] = ()
    method: str = ""
    quality: float | None = None
    quality_reason: str = ""

    @property
    def title(self) -> str:
        """What it is called: its title, else its key."""
        return self.facts.get("title") or self.media_id

    @property
    def label(self) -> str:
        """Its likeliest class; empty without one."""
        return self.classes[0][0] if self.classes else ""


@dataclass(frozen=True)
class Suggestion:
    """One entry of a person's list."""

    card: Card
    score: float
    reason: str


@dataclass(frozen=True)
class Person:
    """One person: what they liked and what they are offered."""

    user_id: str
    n_items: int
    liked: tuple[Card, ...]
    offered: tuple[Suggestion, ...]
    tastes: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Evaluation:
    """The newest evaluation of one model."""

    evaluated_at: str
    models: Mapping[str, Mapping[str, float]]
    details: Mapping[str, Any]
    picture: str
    n_before: int
    curve: tuple[Record, ...] = ()
    curve_picture: str = ""


@dataclass(frozen=True)
class Facts:
    """The whole library."""

    made_at: str
    cards: tuple[Card, ...]
    failed: tuple[Record, ...]
    duration_s: float
    n_people: int
    n_events: int
    people: tuple[Person, ...]
    classifier: Evaluation | None
    recommender: Evaluation | None
    health: tuple[Record, ...]
    tables: tuple[Record, ...]
    days: tuple[str, ...] = field(default=())
    copies: Copies | None = None
    kept_back: KeptBack | None = None
    decisions: tuple[Decision, ...] = ()
    words: said.Words = field(default_factory=said.Words)
    technical: Technical = field(default_factory=Technical)
    capped: Capped = field(default_factory=Capped)

    @property
    def classes(self) -> list[tuple[str, list[Card]]]:
        """Class -> its items, surest first; the largest class first."""
        groups: dict[str, list[Card]] = {}
        for card in self.cards:
            if card.label:
                groups.setdefault(card.label, []).append(card)
        ordered = sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        return [(name, sorted(cards, key=lambda card: -card.classes[0][1])) for name, cards in ordered]


def gather(ledger: "Ledger", *, people: int = 5) -> Facts:
    """Read what the report shows.

    Args:
        ledger: The library.
        people: Of so many people the lists are shown: those who did most.
    """
    cards = _cards(ledger)
    histories = _records(ledger, "interactions")
    uploads = _records(ledger, "raw_media", status="failed", columns=["media_id", "error", "partition"])
    shown = sorted(histories, key=lambda row: (-len(row["media_ids"]), row["user_id"]))[:people]
    lists = {row["user_id"]: row for row in _records(ledger, "recommendations")}
    return Facts(
        made_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cards=tuple(sorted(cards.values(), key=lambda card: card.media_id)),
        failed=tuple(sorted(uploads, key=lambda row: row["media_id"])),
        duration_s=sum(card.facts.get("duration_s") or 0 for card in cards.values()),
        n_people=len(histories),
        n_events=ledger.counts("feedback_events").ok,
        people=tuple(_person(row, lists.get(row["user_id"], {}), cards) for row in shown),
        classifier=evaluated(ledger, "classifier_evaluation"),
        recommender=evaluated(ledger, "recommender_evaluation"),
        health=tuple(sorted(_records(ledger, "recommendation_health"), key=lambda row: row["metric"])),
        tables=tuple({"name": name, "ok": ledger.counts(name).ok, "failed": ledger.counts(name).failed} for name in TABLES),
        days=tuple(sorted(ledger.partitions("raw_media"))),
        copies=copies(ledger),
        kept_back=kept_back(ledger),
        decisions=decided(ledger),
        words=said.gather(ledger),
        technical=measured(ledger),
        capped=capped(ledger),
    )


def _records(ledger: "Ledger", table: str, *, status: Any = "ok", columns: Sequence[str] | None = None) -> list[Record]:
    wanted = columns or [TABLES[table].key, *TABLES[table].columns.names]
    return ledger.rows(table, None, wanted, status=status).to_pylist()


def _cards(ledger: "Ledger") -> dict[str, Card]:
    def by_id(table: str, columns: Sequence[str]) -> dict[str, Record]:
        return {row["media_id"]: row for row in _records(ledger, table, columns=["media_id", *columns])}

    hidden = withheld(ledger)
    frames, sounds = by_id("frames", ["blob"]), by_id("audio_spectrograms", ["blob"])
    classes = by_id("content_classes", ["class_names", "class_probs", "method"])
    quality = by_id("quality_scores", ["score", "reason"])
    cards = {}
    for row in _records(ledger, "raw_media"):
        media_id = row["media_id"]
        named = classes.get(media_id, {"class_names": [], "class_probs": [], "method": ""})
        cards[media_id] = Card(
            media_id,
            row,
            "" if media_id in hidden else frames.get(media_id, {}).get("blob") or "",
            sounds.get(media_id, {}).get("blob") or "",
            tuple(zip(named["class_names"] or (), named["class_probs"] or (), strict=True)),
            named["method"] or "",
            quality.get(media_id, {}).get("score"),
            quality.get(media_id, {}).get("reason") or "",
        )
    return cards


def _person(history: Record, offered: Record, cards: Mapping[str, Card]) -> Person:
    met = sorted(zip(history["media_ids"], history["weights"], strict=True), key=lambda pair: -pair[1])
    liked = [cards[media_id] for media_id, weight in met if weight > 0 and media_id in cards]
    tastes = Counter(card.label for card in liked if card.label)
    places = zip(offered.get("media_ids") or (), offered.get("scores") or (), offered.get("reasons") or (), strict=True)
    suggestions = [Suggestion(cards[media_id], score, reason) for media_id, score, reason in places if media_id in cards]
    return Person(
        history["user_id"], len(met), tuple(liked[:_SHOWN_HISTORY]), tuple(suggestions[:_SHOWN_LIST]), tuple(tastes.most_common(3))
    )


def evaluated(ledger: "Ledger", table: str) -> Evaluation | None:
    """The newest evaluation that `table` holds, classifier_evaluation or recommender_evaluation; None before the first."""
    rows = sorted(_records(ledger, table), key=lambda row: row["evaluated_at"])
    if not rows:
        return None
    models: dict[str, dict[str, float]] = {}
    for metric in rows[-1]["metrics"] or ():
        models.setdefault(metric["model"], {})[metric["metric"]] = metric["value"]
    return Evaluation(
        rows[-1]["evaluated_at"].strftime("%Y-%m-%d %H:%M UTC"), models, json.loads(rows[-1]["details"] or "{}"),
        rows[-1]["picture"] or "", len(rows) - 1, tuple(rows[-1].get("curve") or ()), rows[-1].get("curve_picture") or "",
    )  # fmt: skip
