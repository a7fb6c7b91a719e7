"""The tables of the logs of feedback, labels, reviews and impressions, for every database that may hold them."""

import json
from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect

SCHEMA_VERSION = 1
"""Of the tables below. It rises when code that knows the version before would read or write them wrongly; a new column alone does not."""
METADATA = sa.MetaData()


def _name(length: int) -> sa.types.TypeEngine[str]:
    """Text that is compared byte by byte, as SQLite compares: a PostgreSQL in another language would put events in another order."""
    return sa.String(length).with_variant(sa.String(length, "C"), "postgresql")


LOG = sa.Table(
    "avrec_feedback",
    METADATA,
    sa.Column("event_id", _name(200), primary_key=True),
    sa.Column("user_id", _name(200), nullable=False),
    sa.Column("media_id", _name(1024), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("value", sa.Float),
    sa.Column("text", sa.Text),
    sa.Column("creator", sa.String(1024)),
    sa.Column("day", _name(10), nullable=False),
    sa.Column("happened_us", sa.BigInteger, nullable=False),  # UNIX microseconds: one meaning in every database
    sa.Index("avrec_feedback_day", "day", "happened_us"),
    sa.Index("avrec_feedback_user", "user_id", "happened_us"),
)
ACTED = LOG.c.kind != sa.literal_column("'impression'")
"""Events but for impressions, of which there are many for each other one; written as an index over part of a table wants it."""
sa.Index("avrec_feedback_acts", LOG.c.user_id, LOG.c.happened_us, sqlite_where=ACTED, postgresql_where=ACTED)
LABELS = sa.Table(
    "avrec_label_events",
    METADATA,
    sa.Column("event_id", _name(32), primary_key=True),
    sa.Column("media_id", _name(1024), nullable=False),
    sa.Column("labels", sa.Text, nullable=False),  # JSON list; [] says: none of the classes
    sa.Column("previous", sa.Text),  # JSON list of what the item was said to be before; null: nothing
    sa.Column("by", _name(200), nullable=False),
    sa.Column("happened_us", sa.BigInteger, nullable=False),  # UNIX microseconds
    # By hash in PostgreSQL, whose ordered index takes 2,704 bytes at most: a media_id may have 4,096.
    sa.Index("avrec_label_events_media", "media_id", mysql_length={"media_id": 255}, postgresql_using="hash"),
)
REVIEWS = sa.Table(
    "avrec_reviews",
    METADATA,
    sa.Column("review_id", _name(32), primary_key=True),
    sa.Column("media_id", _name(1024), nullable=False),
    sa.Column("decision", sa.String(16), nullable=False),  # allow or block
    sa.Column("by", sa.String(200), nullable=False),
    sa.Column("because", sa.Text),
    sa.Column("happened_us", sa.BigInteger, nullable=False),  # UNIX microseconds
)
IMPRESSIONS = sa.Table(
    "avrec_impressions",
    METADATA,
    sa.Column("impression_id", _name(32), primary_key=True),
    sa.Column("user_id", _name(200), nullable=False),
    sa.Column("experiment", _name(64), nullable=False),
    sa.Column("arm", _name(64), nullable=False),
    sa.Column("shadow_of", _name(32), nullable=False),  # the impression shown in its stead; empty for one that was shown
    sa.Column("day", _name(10), nullable=False),
    sa.Column("served_us", sa.BigInteger, nullable=False),  # UNIX microseconds
    sa.Column("content", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql"), nullable=False),  # JSON, see experiments/impressions.py
    sa.Index("avrec_impressions_day", "day", "served_us"),
    sa.Index("avrec_impressions_user", "user_id"),
)
SCHEMA = sa.Table(
    "avrec_log_schema",
    METADATA,
    sa.Column("part", sa.String(16), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)


def listing(media_id: str) -> sa.ColumnElement[bool]:
    """The impressions whose lists hold an item."""
    return IMPRESSIONS.c.content.contains(json.dumps(media_id, ensure_ascii=False), autoescape=True)


def add(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Add the rows and pass over those whose key is there; returns how many were added."""
    # One statement for any number of rows, so that it is compiled once: compiling 500 rows of values takes longer than storing them.
    statement = _INSERTS[connection.dialect.name](table)
    return connection.execute(statement, list(rows), execution_options={"preserve_rowcount": True}).rowcount if rows else 0


_INSERTS: Mapping[str, Callable[[sa.Table], sa.Insert]] = {
    "mysql": lambda table: mysql.insert(table).prefix_with("IGNORE"),
    "postgresql": lambda table: postgresql.insert(table).on_conflict_do_nothing(),
    "sqlite": lambda table: sqlite_dialect.insert(table).on_conflict_do_nothing(),
}
