"""The Parquet files of one table: uniquely named, only ever added, merged by compaction.

Any number of writers need no lock, in a folder or on S3, because no process ever writes a name that another one could choose.
"""

import re
import threading
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from avrec_dag.errors import AvrecError, SettingError
from avrec_dag.ledger.newest import newest
from avrec_dag.schema import TABLES
from avrec_dag.steps import WHOLE
from avrec_dag.storage import asked, filesystem, remove, write

TOMBSTONE_S = 7 * 86_400
"""A tombstone outlives every writer that may still add an older row of its key."""
BOOKKEEPING: list[tuple[str, pa.DataType]] = [
    ("version", pa.string()),
    ("fields", pa.map_(pa.string(), pa.string())),
    ("status", pa.string()),  # ok or failed
    ("error", pa.string()),
    ("attempts", pa.int32()),
    ("run_id", pa.string()),
    ("written_ns", pa.int64()),
    ("gone", pa.bool_()),
]
_READS = 20
_last_ns, _clock = 0, threading.Lock()


def now_ns() -> int:
    """The wall clock in nanoseconds, strictly increasing within this process: of two rows of one process the later is newer."""
    global _last_ns
    with _clock:
        _last_ns = max(time.time_ns(), _last_ns + 1)
        return _last_ns


@dataclass(frozen=True)
class TableFiles:
    """The files of one table in one store.

    Attributes:
        uri: The store.
        table: The table's name.
    """

    uri: str
    table: str

    @property
    def key(self) -> str:
        """The column that names a row."""
        return TABLES[self.table].key

    @property
    def schema(self) -> pa.Schema:
        """All columns of a file: key, bookkeeping, the table's own."""
        return pa.schema([(self.key, pa.string()), *BOOKKEEPING, *TABLES[self.table].columns])

    @property
    def base(self) -> str:
        """The table's folder inside its file system."""
        return f"{filesystem(self.uri)[1]}/tables/{self.table}"

    def paths(self, partition: str | None = None) -> list[str]:
        """Every file of one partition, or of all.

        A big folder is read in pieces, between which a compaction may move rows from a file still to come into one already
        passed; its merged file is there before the second listing begins, so the two together miss nothing. S3 lists by name,
        merged files after those they replace.
        """
        fs, _ = filesystem(self.uri)
        folder = _folder(self.base, partition)
        selector = pafs.FileSelector(folder, recursive=True, allow_not_found=True)
        listings = 2 if isinstance(fs, pafs.LocalFileSystem) else 1
        found = (f.path for _ in range(listings) for f in asked(fs, folder, lambda: fs.get_file_info(selector)))
        return sorted({path for path in found if path.endswith(".parquet")})

    def read(self, partition: str | None, columns: Sequence[str], where: ds.Expression | None = None) -> pa.Table:
        """All stored rows, old ones included, with the named columns and `partition`.

        Raises:
            AvrecError: Files kept vanishing between listing and reading.
        """
        for attempt in range(_READS):
            paths = self.paths(partition)
            try:
                return self._read(paths, columns, where)
            except OSError:  # compaction removes files between listing and reading; the merged one is listed next time
                if self._all_there(paths):
                    raise
                time.sleep(0.01 * attempt)
        raise AvrecError(f"{self.table} {partition or ''}: files kept vanishing while they were read; is compaction running in a loop?")

    def _all_there(self, paths: list[str]) -> bool:
        fs, _ = filesystem(self.uri)
        return all(info.type == pafs.FileType.File for info in asked(fs, self.base, lambda: fs.get_file_info(paths)))

    def _read(self, paths: list[str], columns: Sequence[str], where: ds.Expression | None = None) -> pa.Table:
        schema = self.schema.append(pa.field("partition", pa.string()))
        wanted = list(dict.fromkeys([*columns, "partition"]))
        if not paths:
            return pa.schema([schema.field(name) for name in wanted]).empty_table()
        fs, _ = filesystem(self.uri)
        dataset = ds.FileSystemDataset.from_paths(
            paths,
            schema=schema,
            format=ds.ParquetFileFormat(),
            filesystem=fs,
            partitions=[ds.field("partition") == path.split("/")[-2] for path in paths],
        )
        return asked(fs, self.base, lambda: dataset.to_table(columns=wanted, filter=where))

    def add(self, partition: str, rows: pa.Table) -> str:
        """Store rows, in the columns of `schema`, under a name of their own; returns the file's path."""
        fs, _ = filesystem(self.uri)
        buffer = pa.BufferOutputStream()
        pq.write_table(rows, buffer, compression="zstd")
        path = f"{_folder(self.base, partition)}/{now_ns()}-{uuid.uuid4().hex[:8]}.parquet"
        write(fs, path, buffer.getvalue(), new=True)
        return path

    def compact(self, partition: str, forget: Collection[str] | None = None, *, bare: bool = False) -> int:
        """Merge a partition's files into one with the newest row of each key, sorted by key.

        Fresh tombstones stay, so that nothing rises again. Concurrent writers lose nothing: only files that were read are
        removed, and only after the merged file is there; of two compactions at once both keep every newest row.

        Args:
            partition: The partition.
            forget: Given, a single file is rewritten too, and keys among these keep nothing but their tombstone.
            bare: Not even that.

        Returns:
            Rows, newest or not, that are stored no more.
        """
        old = self.paths(partition)
        if len(old) < (2 if forget is None else 1):
            return 0
        try:
            stored = self._read(old, self.schema.names).select([*self.schema.names, "partition"])
        except OSError:
            if self._all_there(old):
                raise
            return 0  # another compaction was faster
        merged = newest(stored, self.key).drop_columns("partition")
        merged = merged.filter(~_outlived())
        if forget:
            others = ~ds.field(self.key).isin(pa.array(forget, pa.string()))
            merged = merged.filter(others if bare else ds.field("gone") | others)
        if merged.num_rows:
            self.add(partition, merged)
        fs, _ = filesystem(self.uri)
        for path in old:
            remove(fs, path)
        return stored.num_rows - merged.num_rows

    def drop(self, partition: str) -> None:
        """Delete every file of a partition."""
        fs, _ = filesystem(self.uri)
        for path in self.paths(partition):
            remove(fs, path)

    def purge(self, *, dry_run: bool) -> int:
        """Delete tombstones that have outlived every writer; returns how many there are."""
        old = self.read(None, [self.key], _outlived())
        for partition in () if dry_run else old["partition"].unique().to_pylist():
            self.compact(partition, [])
        return old.num_rows


def _outlived() -> ds.Expression:
    """Tombstones that no writer needs any more."""
    return ds.field("gone") & (ds.field("written_ns") <= time.time_ns() - TOMBSTONE_S * 1_000_000_000)


def _folder(base: str, partition: str | None) -> str:
    if partition is None:
        return base
    if not re.fullmatch(rf"\d{{4}}-\d{{2}}-\d{{2}}|{WHOLE}", partition):
        raise SettingError(f"{partition!r} is no partition: give a day as YYYY-MM-DD, or {WHOLE!r} for tables without days")
    return f"{base}/{partition}"
