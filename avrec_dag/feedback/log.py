"""The log that keeps what people did."""

import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Self

import sqlalchemy as sa

from avrec_dag.feedback.database import LOG, connect, insert
from avrec_dag.feedback.events import Event, unix_us

_CHUNK = 500  # rows per INSERT: 8 columns each stay under SQLite's 32,766 parameters


class FeedbackLog:
    """The durable log at one SQLAlchemy URL. Safe for threads; picklable: another process opens its own connections.

    Any number of processes may write at once; SQLite lets them take turns, waiting up to a minute.

    Args:
        url: Such as `sqlite:///var/feedback.db` or `postgresql+psycopg://…`; SQLite, PostgreSQL and MySQL are known.

    Raises:
        SettingError: On first use, when the URL is malformed, its driver is missing or nothing answers.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._opened: sa.Engine | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.url,)

    def add(self, events: Iterable[Event]) -> int:
        """Keep the events; those whose event_id is already there are left as they are.

        Returns:
            How many were new. When this returns, they are durable; when it raises, none of this call's events need be.
        """
        engine, added, stream = self._engine(), 0, iter(events)
        with engine.begin() as connection:
            while chunk := {event.event_id: _stored(event) for event in islice(stream, _CHUNK)}:
                added += connection.execute(insert(engine.dialect.name, list(chunk.values()))).rowcount
        return added

    def days(self) -> list[str]:
        """Every UTC day with at least one event, oldest first."""
        with self._engine().connect() as connection:
            return list(connection.scalars(sa.select(LOG.c.day).distinct().order_by(LOG.c.day)))

    def events(self, day: str) -> Iterator[Event]:
        """The events of one UTC day in time order, streamed."""
        chosen = sa.select(LOG).where(LOG.c.day == day).order_by(LOG.c.happened_us, LOG.c.event_id)
        with self._engine().connect().execution_options(yield_per=1000) as connection:
            for row in connection.execute(chosen):
                yield _loaded(row._mapping)

    def of_user(self, user_id: str, *, since: datetime | None = None, limit: int = 1000) -> list[Event]:
        """The newest events of one person, oldest of them first.

        Args:
            user_id: Who.
            since: Only events that happened after this.
            limit: At most so many.
        """
        chosen = sa.select(LOG).where(LOG.c.user_id == user_id).order_by(LOG.c.happened_us.desc(), LOG.c.event_id).limit(limit)
        if since is not None:
            chosen = chosen.where(LOG.c.happened_us > unix_us(since))
        with self._engine().connect() as connection:
            return [_loaded(row._mapping) for row in connection.execute(chosen)][::-1]

    def erase_user(self, user_id: str) -> int:
        """Delete everything one person did; returns how many events that were. SQLite overwrites the bytes."""
        return self._delete(LOG.c.user_id == user_id)

    def remove_item(self, media_id: str) -> int:
        """Delete every event on one item; returns how many that were."""
        return self._delete(LOG.c.media_id == media_id)

    def close(self) -> None:
        """Close the pooled connections; the next use opens new ones."""
        with self._lock:
            if self._opened is not None:
                self._opened.dispose()
            self._opened = None

    def _delete(self, condition: sa.ColumnElement[bool]) -> int:
        engine = self._engine()
        with engine.begin() as connection:
            count = connection.execute(sa.delete(LOG).where(condition)).rowcount
        if engine.dialect.name == "sqlite":
            with engine.connect() as connection:  # else the deleted text lives on in the write-ahead file
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
        return count

    def _engine(self) -> sa.Engine:
        with self._lock:
            if self._opened is None:
                self._opened = connect(self.url)
            return self._opened


def _stored(event: Event) -> dict[str, object]:
    row = event.model_dump(exclude={"happened_at"})
    return {**row, "day": event.day, "happened_us": unix_us(event.happened_at)}


def _loaded(row: sa.RowMapping) -> Event:
    """An event as it was accepted: what once passed is not judged again."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row["happened_us"])
    known = {name: row[name] for name in ("user_id", "media_id", "kind", "value", "text", "event_id")}
    return Event.model_construct(**known, happened_at=at)
