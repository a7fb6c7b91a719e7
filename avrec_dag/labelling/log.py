"""The log that keeps what people say items are. Nothing in it is ever changed, but for what has to be erased."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from avrec_dag.feedback.database import Log
from avrec_dag.feedback.events import unix_us
from avrec_dag.feedback.tables import LABELS, add
from avrec_dag.labelling.events import NOBODY, Correction, LabelEvent, newest

_CHUNK = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Added:
    """What became of some corrections: `added` were kept; `unchanged` were there already or only repeat what their person said last."""

    added: int
    unchanged: int


class LabelLog(Log):
    """The durable label log, in the database of the feedback log; see `Log` for its URL and who may write."""

    def add(self, corrections: Iterable[Correction], said: Mapping[str, Sequence[str]] | None = None) -> Added:
        """Keep the corrections: all of them, or none when this raises; when it returns they are durable.

        A correction without a time gets this machine's, or one later than the newest of its item where clocks disagree: who
        speaks last is heard.

        Args:
            corrections: What people say.
            said: Item -> what it is said to be where no correction speaks of it, kept as `previous`.
        """
        wanted, added = list(corrections), 0
        with self._deciding() as connection:
            for start in range(0, len(wanted), _CHUNK):
                rows = [_stored(event) for event in _next(connection, wanted[start : start + _CHUNK], said or {})]
                added += add(connection, LABELS, rows)
        return Added(added, len(wanted) - added)

    def history(self, media_id: str) -> list[LabelEvent]:
        """Everything people said of one item, oldest first."""
        with self.reading() as connection:
            return _events(connection, [media_id])

    def newest(self) -> dict[str, LabelEvent]:
        """Item -> the statement that holds, for every item somebody spoke of."""
        with self.reading() as connection:
            return newest(_loaded(row) for row in connection.execution_options(yield_per=1000).execute(sa.select(LABELS)).mappings())

    def digest(self) -> str:
        """Hash of everything in the log: equal content, equal hash."""
        total = hashlib.sha256()
        chosen = sa.select(LABELS.c.event_id, LABELS.c.by).order_by(LABELS.c.event_id)
        with self.reading() as connection:
            for event_id, by in connection.execution_options(yield_per=1000).execute(chosen):
                total.update(f"{event_id}\0{by}\n".encode())
        return total.hexdigest()[:32]

    def last_at(self) -> datetime | None:
        """When somebody last said something; None where nobody did."""
        with self.reading() as connection:
            last = connection.scalar(sa.select(sa.func.max(LABELS.c.happened_us)))
        return None if last is None else _EPOCH + timedelta(microseconds=last)

    def anonymise(self, by: str) -> int:
        """Take a person's name off everything they said, which itself stays; returns how many statements that were."""
        return self._overwrite(sa.update(LABELS).where(LABELS.c.by == by).values(by=NOBODY))

    def remove_item(self, media_id: str) -> int:
        """Delete everything said of one item; returns how many statements that were."""
        return self._overwrite(sa.delete(LABELS).where(LABELS.c.media_id == media_id))


def _next(connection: sa.Connection, corrections: Sequence[Correction], said: Mapping[str, Sequence[str]]) -> list[LabelEvent]:
    """The events that the corrections make after what the log holds, without those that repeat what their person said last."""
    held = newest(_events(connection, [one.media_id for one in corrections]))
    events, now = {}, datetime.now(UTC)
    for one in corrections:
        last = held.get(one.media_id)
        if one.at is None and last is not None and (last.labels, last.by) == (one.labels, one.by):
            continue
        at = one.at or max(now, last.at + timedelta(microseconds=1) if last else now)
        before = said.get(one.media_id) if last is None else last.labels if last.at < at else None
        event = LabelEvent(one.media_id, one.labels, one.by, at, None if before is None else tuple(before))
        events[event.event_id] = event
        held |= newest([*([last] if last else []), event])
    return list(events.values())


def _events(connection: sa.Connection, media_ids: Sequence[str]) -> list[LabelEvent]:
    chosen = sa.select(LABELS).where(LABELS.c.media_id.in_(set(media_ids))).order_by(LABELS.c.happened_us, LABELS.c.event_id)
    return [_loaded(row) for row in connection.execute(chosen).mappings()]


def _stored(event: LabelEvent) -> dict[str, object]:
    return {
        "event_id": event.event_id,
        "media_id": event.media_id,
        "labels": json.dumps(event.labels, ensure_ascii=False),
        "previous": None if event.previous is None else json.dumps(event.previous, ensure_ascii=False),
        "by": event.by,
        "happened_us": unix_us(event.at),
    }


def _loaded(row: sa.RowMapping) -> LabelEvent:
    at = _EPOCH + timedelta(microseconds=row["happened_us"])
    previous = None if row["previous"] is None else tuple(json.loads(row["previous"]))
    return LabelEvent(row["media_id"], tuple(json.loads(row["labels"])), row["by"], at, previous)
