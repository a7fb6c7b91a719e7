"""Dagster's records in SQLite, with the connections to its event log kept open.

Dagster's own storage opens and closes a connection for every event, two to four times. The last one that closes writes the whole
write-ahead log back, so that every event waits for the disk several times: half the time of a day of small clips.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import sqlalchemy as sa
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage, SqliteEventLogStorageWatchdog
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage, _event_logs_directory
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import QueuePool

_KEPT = 8


class SqliteEventLog(SqliteEventLogStorage):
    """The same files, read and written through at most eight kept connections: the index and the runs of late.

    A commit is in the write-ahead log when it returns, which outlives the end of any process; a machine that loses its power may
    lose the last of them, never the file (`synchronous=NORMAL`). What a run made is in the library's own tables before Dagster is told.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, sa.Engine] = OrderedDict()
        self._opened_by = os.getpid()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> sa.Engine:
        if self._opened_by != os.getpid():  # a connection must not cross a fork
            self._engines, self._opened_by = OrderedDict(), os.getpid()
        if shard not in self._engines:
            patience = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
            engine = sa.create_engine(self.conn_string_for_shard(shard), poolclass=QueuePool, pool_size=1, connect_args=patience)
            sa.event.listen(engine, "connect", _trust_the_log)
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        while len(self._engines) > _KEPT:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]

    def watch(self, run_id: str, cursor: str | None, callback: Any) -> None:
        """Have a function told of a run's events: they stand in the write-ahead log first, which Dagster's own does not look at."""
        super().watch(run_id, cursor, callback)
        watchdog, _ = self._watchers[run_id][callback]
        watchdog._patterns = [watchdog._log_path, f"{watchdog._log_path}-wal"]
        watchdog.on_modified = lambda _: SqliteEventLogStorageWatchdog._process_log(watchdog)

    def dispose(self) -> None:
        """Close what is open."""
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()
        super().dispose()


class SqliteRecords(DagsterSqliteStorage):
    """Dagster's SQLite storage with that event log."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = SqliteEventLog(_event_logs_directory(base_dir))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """As Dagster makes it from dagster.yaml."""
        return cls.from_local(inst_data=inst_data, **config_value)


def _trust_the_log(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
