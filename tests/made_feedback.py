"""Events of every kind for tests of the feedback log, wherever it lives."""

from datetime import UTC, datetime

from avrec_dag.feedback import Event

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
VALUES = {"watch": 0.5, "rating": 4}


def event(kind: str = "like", *, user_id: str = "ann", media_id: str = "a.mp4", at: datetime = AT, **more) -> Event:
    """A valid event of a kind: with a value or a text where the kind has one."""
    facts = {"value": VALUES[kind]} if kind in VALUES else {"text": "good 好"} if kind == "comment" else {}
    return Event(**{"user_id": user_id, "media_id": media_id, "kind": kind, "happened_at": at, **facts, **more})
