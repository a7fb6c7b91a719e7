"""The database behind the logs of feedback, labels and reviews: their tables, and how each kind of database is opened and written to."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from avrec_dag.errors import SettingError

_METADATA = sa.MetaData()
LOG = sa.Table(
    "avrec_feedback",
    _METADATA,
    sa.Column("event_id", sa.String(200), primary_key=True),
    sa.Column("user_id", sa.String(200), nullable=False),
    sa.Column("media_id", sa.String(1024), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("value", sa.Float),
    sa.Column("text", sa.Text),
    sa.Column("creator", sa.String(1024)),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("happened_us", sa.BigInteger, nullable=False),  # UNIX microseconds: one meaning in every database
    sa.Index("avrec_feedback_day", "day", "happened_us"),
    sa.Index("avrec_feedback_user", "user_id", "happened_us"),
)
LABELS = sa.Table(
    "avrec_label_events",
    _METADATA,
    sa.Column("event_id", sa.String(32), primary_key=True),
    sa.Column("media_id", sa.String(1024), nullable=False),
    sa.Column("labels", sa.Text, nullable=False),  # JSON list; [] says: none of the classes
    sa.Column("previous", sa.Text),  # JSON list of what the item was said to be before; null: nothing
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("happened_us", sa.BigInteger, nullable=False),  # UNIX microseconds
    sa.Index("avrec_label_events_media", "media_id", "happened_us", mysql_length={"media_id": 255}),
)
REVIEWS = sa.Table(
    "avrec_reviews",
    _METADATA,
    sa.Column("review_id", sa.String(32), primary_key=True),
    sa.Column("media_id", sa.String(1024), nullable=False),
    sa.Column("decision", sa.String(16), nullable=False),  # allow or block
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("because", sa.Text),
    sa.Column("happened_us", sa.BigInteger, nullable=False),  # UNIX microseconds
)
_BUSY_S = 60
_KNOWN_BACKENDS = ("sqlite", "postgresql", "mysql")


def connect(url: str) -> sa.Engine:
    """Open the database and make the table where it is missing; SettingError when that fails."""
    hint = "set AVREC_FEEDBACK to an SQLAlchemy URL such as sqlite:///var/feedback.db"
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
        if backend not in _KNOWN_BACKENDS:
            raise SettingError(f"the feedback log cannot live in {backend}, only in {', '.join(_KNOWN_BACKENDS)}: {hint}")
        if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
            raise SettingError(f"the feedback log would be lost at exit, as {url} lives in memory: {hint}")
        if backend == "sqlite":
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(parsed)
        if backend == "sqlite":
            sa.event.listen(engine, "connect", _configure_sqlite)
        _create(engine)
    except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
        raise SettingError(f"the feedback log does not open: {type(error).__name__}: {str(error).splitlines()[0]}; {hint}") from error
    return engine


def _create(engine: sa.Engine) -> None:
    if engine.dialect.name == "mysql":  # has no CREATE INDEX IF NOT EXISTS
        _METADATA.create_all(engine)
    else:
        with engine.begin() as connection:
            for table in _METADATA.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
    _add_columns(engine)


def _add_columns(engine: sa.Engine) -> None:
    """Columns that a log of an older version lacks; another process may be adding them too."""
    for column in _missing(engine):
        try:
            with engine.begin() as connection:
                kind = column.type.compile(engine.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {LOG.name} ADD COLUMN {column.name} {kind}")
        except sa.exc.SQLAlchemyError:
            if column.name in {one.name for one in _missing(engine)}:
                raise


def _missing(engine: sa.Engine) -> list[sa.Column]:
    there = {column["name"] for column in sa.inspect(engine).get_columns(LOG.name)}
    return [column for column in LOG.columns if column.name not in there]


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Pragmas of every new connection. The switch to WAL ignores the busy timeout, so a race of first openers is retried here."""
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000}")
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            break
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")


def insert(dialect: str, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> sa.Insert:
    """The statement that adds the rows and passes over those whose key is there."""
    if dialect == "mysql":
        return mysql.insert(table).prefix_with("IGNORE").values(rows)
    if dialect == "postgresql":
        return postgresql.insert(table).values(rows).on_conflict_do_nothing()
    return sqlite_dialect.insert(table).values(rows).on_conflict_do_nothing()


class Log:
    """A log at one SQLAlchemy URL, connected on first use. Safe for threads; picklable: another process opens its own connections.

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

    def close(self) -> None:
        """Close the pooled connections; the next use opens new ones."""
        with self._lock:
            if self._opened is not None:
                self._opened.dispose()
            self._opened = None

    def _engine(self) -> sa.Engine:
        with self._lock:
            if self._opened is None:
                self._opened = connect(self.url)
            return self._opened

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction that reads before it writes: SQLite takes the lock at once, as a reader that turns writer never waits for it."""
        engine = self._engine()
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def _overwrite(self, statement: sa.Delete | sa.Update) -> int:
        """Delete or change rows so that SQLite keeps no old bytes of them; returns how many they were."""
        engine = self._engine()
        with engine.begin() as connection:
            count = connection.execute(statement).rowcount
        if engine.dialect.name == "sqlite":
            with engine.connect() as connection:  # else the old text lives on in the write-ahead file
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
        return count
