"""The database behind the feedback log: its one table, and how each kind of database is opened and written to."""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

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
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("happened_us", sa.BigInteger, nullable=False),  # UNIX microseconds: one meaning in every database
    sa.Index("avrec_feedback_day", "day", "happened_us"),
    sa.Index("avrec_feedback_user", "user_id", "happened_us"),
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
        return
    with engine.begin() as connection:
        connection.execute(CreateTable(LOG, if_not_exists=True))
        for index in LOG.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))


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


def insert(dialect: str, rows: Sequence[Mapping[str, object]]) -> sa.Insert:
    """The statement that adds the rows and passes over those whose event_id is there."""
    if dialect == "mysql":
        return mysql.insert(LOG).prefix_with("IGNORE").values(rows)
    if dialect == "postgresql":
        return postgresql.insert(LOG).values(rows).on_conflict_do_nothing()
    return sqlite_dialect.insert(LOG).values(rows).on_conflict_do_nothing()
