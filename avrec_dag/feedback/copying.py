"""One database's logs into another's, row by row as they are: nothing is judged, and nothing that is there already is touched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from avrec_dag.errors import SettingError
from avrec_dag.feedback.database import Log
from avrec_dag.feedback.opening import parsed
from avrec_dag.feedback.tables import IMPRESSIONS, LABELS, LOG, REVIEWS, add

TABLES = {"events": LOG, "label_events": LABELS, "reviews": REVIEWS, "impressions": IMPRESSIONS}
_CHUNK = 500
_MOST_NAMED = 100


@dataclass
class Copied:
    """What became of the rows of one table.

    Attributes:
        read: How many the source holds.
        added: How many the target lacked.
        there: How many it had already, alike in everything.
        differing: How many ids it had already with another content, which was left as it is.
        refused: How many it cannot keep.
        named: The first ids that differ or are refused, each with why.
    """

    read: int = 0
    added: int = 0
    there: int = 0
    differing: int = 0
    refused: int = 0
    named: list[tuple[str, str]] = field(default_factory=list)


def source(address: str, other_than: str) -> Log:
    """The log to copy from.

    Raises:
        SettingError: There is none, or it is the one to copy into.
    """
    url = parsed(address)
    if url == parsed(other_than):
        raise SettingError("both logs are the same: name the old one, and set AVREC_FEEDBACK to the new one")
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise SettingError(f"there is no feedback log {url.database} to copy from")
    return Log(address)


def copy(source: Log, target: Log) -> dict[str, Copied]:
    """Copy the events, what people said items are, what they decided and what they were shown; doing it again adds what came since.

    Every 500 rows are durable together. Whoever was erased from the target alone meanwhile comes back: erase them from both.

    Returns:
        Table -> what became of its rows.

    Raises:
        UnreachableError: One of both does not answer; what was copied stays.
        SettingError: One of both refuses.
    """
    return {name: _table(source, target, table) for name, table in TABLES.items()}


def _table(source: Log, target: Log, table: sa.Table) -> Copied:
    copied, key = Copied(), table.primary_key.columns[0]
    with source.reading() as connection:
        found = connection.execution_options(yield_per=_CHUNK).execute(sa.select(table).order_by(key)).mappings()
        for rows in found.partitions(_CHUNK):
            _add(target, table, [dict(row) for row in rows], copied)
    return copied


def _add(target: Log, table: sa.Table, rows: list[dict[str, Any]], copied: Copied) -> None:
    try:
        with target.writing() as connection:
            added = add(connection, table, rows)
            differing = _differing(connection, table, rows) if added < len(rows) else []
    except (sa.exc.DataError, sa.exc.IntegrityError, ValueError) as error:  # a ValueError of the driver: text with a NUL
        if len(rows) > 1:
            for row in rows:
                _add(target, table, [row], copied)
            return
        why = str(getattr(error, "orig", error)).strip().splitlines()[0]
        copied.read, copied.refused = copied.read + 1, copied.refused + 1
        copied.named += [(str(rows[0][table.primary_key.columns[0].name]), f"cannot be kept ({why})")] * _room(copied)
        return
    copied.read += len(rows)
    copied.added += added
    copied.differing += len(differing)
    copied.there += len(rows) - added - len(differing)
    for key in differing:
        copied.named += [(key, "is there already with another content, which was left")] * _room(copied)


def _room(copied: Copied) -> bool:
    return len(copied.named) < _MOST_NAMED


def _differing(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    key = table.primary_key.columns[0]
    chosen = sa.select(table).where(key.in_([row[key.name] for row in rows]))
    held = {row[key.name]: dict(row) for row in connection.execute(chosen).mappings()}
    return [str(row[key.name]) for row in rows if held.get(row[key.name]) != dict(row)]
