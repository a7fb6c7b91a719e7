"""The database behind the logs of feedback, labels and reviews: opened on first use, read and written by many at once."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import sqlalchemy as sa

from avrec_dag.feedback.opening import LOCK, connect, parsed
from avrec_dag.feedback.refusals import AwayError, told

_AWAY_S = 1.0
"""A server that did not answer is not asked again for so long: else every thread of a service would wait out the same time-out."""


class Log:
    """A log at one SQLAlchemy URL, connected on first use. Safe for threads; picklable: another process opens its own connections.

    Any number of processes may write at once; SQLite lets them take turns, waiting up to a minute. To a server a process has at
    most `opening.CONNECTIONS`; one that was restarted is connected to again with the next call.

    Args:
        url: Such as `sqlite:///var/feedback.db` or `postgresql://user:password@host/database`; SQLite, PostgreSQL and MySQL are known.

    Raises:
        SettingError: On first use, when the URL is malformed, its driver is missing, or the database refuses it.
        UnreachableError: At any use, when no server answers. Nothing of that call is kept, unless the answer alone was lost;
            sending it again is harmless.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._opened: sa.Engine | None = None
        self._lock = threading.Lock()
        self._away: tuple[float, str] = (0.0, "")

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.url,)

    @property
    def local(self) -> bool:
        """Whether it is a file of this machine: nothing that is read of it comes from elsewhere."""
        return parsed(self.url).get_backend_name() == "sqlite"

    def close(self) -> None:
        """Close the pooled connections; the next use opens new ones."""
        with self._lock:
            if self._opened is not None:
                self._opened.dispose()
            self._opened = None

    def _engine(self) -> sa.Engine:
        with self._lock:
            if self._opened is None:
                self._opened = connect(parsed(self.url))
            return self._opened

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection."""
        with self._asked() as engine, engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction."""
        with self._asked() as engine, engine.begin() as connection:
            yield connection

    @contextmanager
    def _deciding(self) -> Iterator[sa.Connection]:
        """A transaction that reads before it writes, one after another.

        SQLite takes the lock at once, as a reader that turns writer never waits for it; PostgreSQL would let two read the same.
        """
        with self.writing() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            elif connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            yield connection

    def _overwrite(self, statement: sa.Delete | sa.Update) -> int:
        """Delete or change rows so that SQLite keeps no old bytes of them; returns how many they were."""
        with self.writing() as connection:
            count = connection.execute(statement).rowcount
        if self._engine().dialect.name == "sqlite":
            with self.reading() as connection:  # else the old text lives on in the write-ahead file
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
        return count

    @contextmanager
    def _asked(self) -> Iterator[sa.Engine]:
        until, said = self._away
        if time.monotonic() < until:
            raise AwayError(said)
        try:
            with told(parsed(self.url)):
                yield self._engine()
        except AwayError as error:
            self._away = (time.monotonic() + _AWAY_S, str(error))
            raise
