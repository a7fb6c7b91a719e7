"""The log that keeps what people did."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from avrec_dag.feedback.database import Log
from avrec_dag.feedback.events import ALIASES, Event, unix_us
from avrec_dag.feedback.tables import ACTED, LOG, add

_CHUNK = 1000
_OF_USER = (
    sa.select(LOG)
    .where(LOG.c.user_id == sa.bindparam("user_id"))
    .order_by(LOG.c.happened_us.desc(), LOG.c.event_id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
"""Asked for every list that is made: putting it together takes longer than the answer."""
_ACTS_OF_USER = _OF_USER.where(ACTED)


class FeedbackLog(Log):
    """The durable log of what people did; see `Log` for its URL and who may write."""

    def add(self, events: Iterable[Event]) -> int:
        """Keep the events, all of them in memory at once; those whose event_id is already there are left as they are.

        Returns:
            How many were new. When this returns, they are durable; when it raises, none of this call's events need be.
        """
        rows: dict[str, dict[str, object]] = {}
        for event in events:
            rows.setdefault(event.event_id, _stored(event))
        # In one order for everybody: two that add the same events in two orders would wait for each other in PostgreSQL.
        ordered, added = [rows[event_id] for event_id in sorted(rows)], 0
        with self.writing() as connection:
            for start in range(0, len(ordered), _CHUNK):
                added += add(connection, LOG, ordered[start : start + _CHUNK])
        return added

    def days(self) -> list[str]:
        """Every UTC day with at least one event, oldest first."""
        # From day to day by the index: DISTINCT reads all events, and this is asked at every look of a sensor.
        seen = sa.select(sa.func.min(LOG.c.day).label("day")).cte("seen", recursive=True)
        later = sa.select(sa.func.min(LOG.c.day)).where(LOG.c.day > seen.c.day).scalar_subquery()
        seen = seen.union_all(sa.select(later).where(seen.c.day.is_not(None)))
        with self.reading() as connection:
            return list(connection.scalars(sa.select(seen.c.day).where(seen.c.day.is_not(None)).order_by(seen.c.day)))

    def counts(self) -> dict[str, int]:
        """Day -> how many events, oldest first."""
        counted = sa.select(LOG.c.day, sa.func.count()).group_by(LOG.c.day).order_by(LOG.c.day)
        with self.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(counted)}

    def events(self, day: str) -> Iterator[Event]:
        """The events of one UTC day in time order, streamed."""
        chosen = sa.select(LOG).where(LOG.c.day == day).order_by(LOG.c.happened_us, LOG.c.event_id)
        with self.reading() as connection:
            for row in connection.execution_options(yield_per=1000).execute(chosen):
                yield _loaded(row._mapping)

    def of_user(self, user_id: str, *, since: datetime | None = None, limit: int = 1000, impressions: bool = True) -> list[Event]:
        """The newest events of one person, oldest of them first.

        Args:
            user_id: Who.
            since: Only events that happened after this.
            limit: At most so many.
            impressions: With what was merely shown to them, which no list depends on before the tables are written anew.
        """
        chosen = _OF_USER if impressions else _ACTS_OF_USER
        chosen = chosen if since is None else chosen.where(LOG.c.happened_us > unix_us(since))
        with self.reading() as connection:
            found = connection.execute(chosen, {"user_id": user_id, "most": limit})
            return [_loaded(row._mapping) for row in found][::-1]

    def erase_user(self, user_id: str) -> int:
        """Delete everything one person did; returns how many events that were. SQLite overwrites the bytes."""
        return self._overwrite(sa.delete(LOG).where(LOG.c.user_id == user_id))

    def remove_before(self, day: str) -> int:
        """Delete every event of the UTC days before one, YYYY-MM-DD; returns how many that were."""
        return self._overwrite(sa.delete(LOG).where(LOG.c.day < day))

    def remove_item(self, media_id: str) -> int:
        """Delete every event on one item; returns how many that were."""
        return self._overwrite(sa.delete(LOG).where(LOG.c.media_id == media_id))


def _stored(event: Event) -> dict[str, object]:
    row = event.model_dump(exclude={"happened_at"})
    return {**row, "day": event.day, "happened_us": unix_us(event.happened_at)}


def _loaded(row: sa.RowMapping) -> Event:
    """An event as it was accepted: what once passed is not judged again."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row["happened_us"])
    known = {name: row[name] for name in ("user_id", "media_id", "kind", "value", "text", "creator", "event_id")}
    known["kind"] = ALIASES.get(known["kind"], known["kind"])
    return Event.model_construct(**known, happened_at=at)
