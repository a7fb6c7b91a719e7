"""What Dagster's records say of an item or a person: previews, messages and logs of past runs; found, and taken out."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from avrec_dag.ledger.subjects import ERASED

_METADATA = ("md_str", "text", "data", "value", "message", "user_message", "description", "stack")
"""Fields of stored events that hold words of ours; names of classes, assets and steps are in none of them."""
_COLUMNS = (
    (SqlEventLogStorageTable.c.id, SqlEventLogStorageTable.c.event),
    (AssetKeyTable.c.id, AssetKeyTable.c.last_materialization),
    (AssetCheckExecutionsTable.c.id, AssetCheckExecutionsTable.c.evaluation_event),
)
_LOGS = ("out", "err")


class Records:
    """The records of one instance that name something.

    Args:
        instance: Where runs are recorded.
        names: What is looked for, as previews and messages write it.
    """

    def __init__(self, instance: dg.DagsterInstance, names: tuple[str, ...]) -> None:
        self._instance, self._names = instance, names
        self._encoded = tuple(json.dumps(name)[1:-1] for name in names)

    def find(self) -> dict[str, int]:
        """Place -> records and log files that name it now."""
        events = sum(1 for shard in self._shards() for _ in self._hits(shard))
        logs = sum(1 for _ in self._log_files())
        return {name: n for name, n in {"records of runs": events, "logs of runs": logs}.items() if n}

    def erase(self) -> None:
        """Put `erased` where a preview or a message names it; the events themselves stay, as they say which days are done."""
        for shard in self._shards():
            changed = list(self._hits(shard))
            with self._connection(shard) as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("PRAGMA secure_delete = ON").close()
                for key, column, row, text in changed:
                    connection.execute(sa.update(column.table).where(key == row).values({column.name: text}))
            if changed:
                self._empty_write_ahead(shard)
        for path in self._log_files():
            lines = path.read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join(line for line in lines if not self._in(line)))

    @property
    def _storage(self) -> SqlEventLogStorage | None:
        storage = self._instance.event_log_storage
        return storage if isinstance(storage, SqlEventLogStorage) else None

    def _shards(self) -> list[str | None]:
        """None for what all runs share; of SQLite each run has a file of its own as well."""
        storage = self._storage
        if storage is None:
            return []
        return [None, *(storage.get_all_run_ids() if isinstance(storage, SqliteEventLogStorage) else ())]

    def _connection(self, shard: str | None) -> Any:
        assert self._storage is not None
        return self._storage.index_connection() if shard is None else self._storage.run_connection(shard)

    def _hits(self, shard: str | None) -> Iterator[tuple[sa.Column, sa.Column, int, str]]:
        """Key column, text column, row and new text of everything that names it."""
        for key, column in _COLUMNS if shard is None else _COLUMNS[:1]:
            like = sa.or_(*(column.contains(name, autoescape=True) for name in self._candidates()))
            with self._connection(shard) as connection:
                rows = connection.execute(sa.select(key, column).where(like)).fetchall()
            for row, text in rows:
                told = json.loads(text)
                if (kept := self._without(told)) != told:
                    yield key, column, row, json.dumps(kept)

    def _candidates(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self._encoded, *(json.dumps(name)[1:-1] for name in self._encoded)]))

    def _without(self, told: Any, field: str = "") -> Any:
        if isinstance(told, dict):
            # Within a field of words, whatever it holds is words: the parts of a list or object that an asset reported.
            inner = {name: field if field in _METADATA and not name.startswith("__") else name for name in told}
            return {name: self._without(value, inner[name]) for name, value in told.items()}
        if isinstance(told, list):
            return [self._without(one, field) for one in told]
        if isinstance(told, str) and field in _METADATA and any(name in told for name in (*self._names, *self._encoded)):
            return ERASED
        return told

    def _empty_write_ahead(self, shard: str | None) -> None:
        """Else the old text would live on in SQLite's write-ahead file."""
        storage = self._storage
        if isinstance(storage, SqliteEventLogStorage):
            with closing(sqlite3.connect(storage.path_for_shard(shard or "index"), timeout=60)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()

    def _in(self, content: bytes) -> bool:
        return any(name.encode() in content for name in (*self._names, *self._encoded))

    def _log_files(self) -> Iterator[Path]:
        folder: str | None = getattr(self._instance.compute_log_manager, "_base_dir", None)
        for ending in _LOGS if folder else ():
            for path in Path(folder or "").rglob(f"*.{ending}"):
                if self._in(path.read_bytes()):
                    yield path
