"""The Parquet files of one table: uniquely named, only ever added, merged by compaction.

Any number of writers need no lock, in a folder or on S3, because no process ever writes a name that another one could choose.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from avrec_dag.items import Row
from avrec_dag.schema import TABLES
from avrec_dag.storage import filesystem, write

MAX_ATTEMPTS = 3
TOMBSTONE_S = 7 * 86_400
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
_last_ns = 0


def now_ns() -> int:
    """The wall clock in nanoseconds, strictly increasing within this process: of two rows of one process the later is newer."""
    global _last_ns
    _last_ns = max(time.time_ns(), _last_ns + 1)
    return _last_ns


def latest(relation: str, key: str) -> str:
    """SQL for the newest row of each key of a relation."""
    return f'(SELECT * FROM {relation} QUALIFY row_number() OVER (PARTITION BY "{key}" ORDER BY written_ns DESC) = 1)'


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
        """Every file of one partition, or of all."""
        fs, _ = filesystem(self.uri)
        base = f"{self.base}/{partition}" if partition else self.base
        found = fs.get_file_info(pafs.FileSelector(base, recursive=True, allow_not_found=True))
        return sorted(f.path for f in found if f.path.endswith(".parquet"))

    def read(self, partition: str | None, columns: Sequence[str]) -> pa.Table:
        """All stored rows, old ones included, with the named columns and `partition`."""
        for _ in range(8):
            try:
                return self._read(self.paths(partition), columns)
            except FileNotFoundError:  # compaction removes files between listing and reading; the merged one is listed next time
                time.sleep(0.05)
        raise RuntimeError(f"{self.base}/{partition or ''} keeps changing while being read; is a compaction running in a loop?")

    def _read(self, paths: list[str], columns: Sequence[str]) -> pa.Table:
        schema = self.schema.append(pa.field("partition", pa.string()))
        if not paths:
            return schema.empty_table().select([*columns, "partition"])
        fs, _ = filesystem(self.uri)
        dataset = ds.FileSystemDataset.from_paths(
            paths,
            schema=schema,
            format=ds.ParquetFileFormat(),
            filesystem=fs,
            partitions=[ds.field("partition") == path.split("/")[-2] for path in paths],
        )
        return dataset.to_table(columns=[*columns, "partition"])

    def add(self, partition: str, rows: pa.Table) -> None:
        """Store rows under a name of their own."""
        fs, _ = filesystem(self.uri)
        buffer = pa.BufferOutputStream()
        pq.write_table(rows, buffer, compression="zstd")
        write(fs, f"{self.base}/{partition}/{time.time_ns()}-{uuid.uuid4().hex[:8]}.parquet", buffer.getvalue())

    def records(self, rows: Sequence[Row], attempts: Mapping[str, int], run_id: str, *, gone: bool) -> pa.Table:
        """Rows in the file's columns; `attempts` holds how often each key's version failed before."""
        written = now_ns()
        return pa.Table.from_pylist(
            [
                {
                    self.key: row.key,
                    "version": row.version,
                    "fields": list(row.fields.items()),
                    "status": "failed" if row.error is not None else "ok",
                    "error": row.error,
                    "attempts": MAX_ATTEMPTS if row.permanent else attempts.get(row.key, 0) + 1,
                    "run_id": run_id,
                    "written_ns": written,
                    "gone": gone,
                    **row.values,
                }
                for row in rows
            ],
            self.schema,
        )

    def compact(self, partition: str) -> None:
        """Merge a partition's files into one with the newest row of each key; fresh tombstones stay so that nothing rises again."""
        old = self.paths(partition)
        if len(old) < 2:
            return
        try:
            stored = self._read(old, self.schema.names).select(self.schema.names)
        except FileNotFoundError:
            return
        oldest = time.time_ns() - TOMBSTONE_S * 1_000_000_000
        with duckdb.connect() as con:
            con.register("stored", stored)
            newest = con.sql(f"SELECT * FROM {latest('stored', self.key)} WHERE NOT gone OR written_ns > {oldest}")
            merged = newest.to_arrow_table().cast(self.schema)
        self.add(partition, merged)
        fs, _ = filesystem(self.uri)
        for path in old:
            try:
                fs.delete_file(path)
            except FileNotFoundError:  # another compaction was faster; both kept every newest row
                continue
